/**
 * The other end of a connection, in full control of its bytes: speaks frames by hand, well or badly, ends or resets
 * TCP when a test says so, and keeps a record of all that it was sent. It answers nothing by itself.
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { encodeClosePayload } from '../../frames/close-payload.ts'
import { encodeFrame } from '../../frames/encoder.ts'
import { mask } from '../../frames/mask.ts'
import { type MessageOpcode, Opcode } from '../../frames/opcode.ts'
import type { Role } from '../../lib/index.ts'

/** A frame as it stood on the wire. */
export interface RawFrame {
  readonly first: number
  readonly masked: boolean
  /** Unmasked. */
  readonly payload: Buffer
}

/** Reads frames one at a time and knows no rule but how long they are. What it leaves is the part of one. */
export class FrameRecord {
  readonly frames: RawFrame[] = []
  #chunks: Buffer[] = []
  #bytes = 0
  #wanted = 2

  /** The beginning of a frame that has not come to its end. */
  get rest(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes < this.#wanted) return
    let bytes = Buffer.concat(this.#chunks)
    while (bytes.length >= (this.#wanted = sizeOfFrame(bytes))) {
      this.frames.push(frameOf(bytes.subarray(0, this.#wanted)))
      bytes = bytes.subarray(this.#wanted)
    }
    this.#chunks = [bytes]
    this.#bytes = bytes.length
  }
}

/** How many bytes the frame takes that begins here, or its header as far as it is not there. */
function sizeOfFrame(bytes: Buffer): number {
  if (bytes.length < 2) return 2
  const { start, length } = headerOf(bytes)
  return bytes.length < start ? start : start + length
}

function headerOf(bytes: Buffer): { start: number; length: number; masked: boolean } {
  const second = bytes[1] ?? 0
  const masked = (second & 0x80) !== 0
  const short = second & 0x7f
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0
  const start = 2 + extended + (masked ? 4 : 0)
  if (bytes.length < start) return { start, length: 0, masked }
  const length =
    extended === 2 ? bytes.readUInt16BE(2) : extended === 8 ? Number(bytes.readBigUInt64BE(2)) : short
  return { start, length, masked }
}

function frameOf(bytes: Buffer): RawFrame {
  const { start, length, masked } = headerOf(bytes)
  const payload = Buffer.from(bytes.subarray(start, start + length))
  if (masked) mask(payload, 0, length, bytes.readInt32BE(start - 4))
  return { first: bytes[0] ?? 0, masked, payload }
}

const names: Readonly<Record<number, string>> = {
  0: 'more',
  1: 'text',
  2: 'binary',
  8: 'close',
  9: 'ping',
  10: 'pong',
}

/**
 * A frame as a line: `text "hello"`, `binary 00ff`, `close 1000 "bye"`, `close`, `ping 61`, `pong`, `binary 65536 bytes`; `…`
 * behind it where FIN is not set. Whatever is odd about it stands in front.
 */
export function lineOf(frame: RawFrame, from: Role): string {
  const { first, masked, payload } = frame
  const odd = [
    ...(masked === (from === 'client') ? [] : [masked ? 'masked' : 'unmasked']),
    ...((first & 0x70) === 0 ? [] : [`rsv ${(first & 0x70) >> 4}`]),
  ]
  const name = names[first & 0x0f] ?? `opcode ${first & 0x0f}`
  const open = (first & 0x80) === 0 ? '…' : ''
  return [...odd, name, contentOf(name, payload)].filter((word) => word !== '').join(' ') + open
}

function contentOf(name: string, payload: Buffer): string {
  if (name === 'close' && payload.length >= 2) {
    const reason = payload.length === 2 ? '' : ` ${JSON.stringify(payload.toString('utf8', 2))}`
    return `${payload.readUInt16BE(0)}${reason}`
  }
  if (payload.length > 125) return `${payload.length} bytes`
  return name === 'text' || name === 'more' ? JSON.stringify(payload.toString()) : payload.toString('hex')
}

/** How the other side's end of TCP came: an orderly FIN, a reset, or not yet. */
export type End = 'fin' | 'reset' | undefined

export class RawPeer {
  readonly socket: Duplex
  readonly role: Role
  readonly #reset: () => void
  readonly #record = new FrameRecord()
  /** What has come of the opening handshake, until its end is found. */
  #head: Buffer | undefined
  #end: End
  #closed = false
  readonly #waits = new Set<() => void>()

  /** `handshake`: what comes first is an HTTP head. */
  constructor(socket: Duplex, role: Role, reset: () => void, handshake = false) {
    this.socket = socket
    this.role = role
    this.#reset = reset
    if (handshake) this.#head = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => this.#heard(chunk))
    socket.on('end', () => this.#over('fin'))
    socket.on('error', () => this.#over('reset'))
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  get frames(): readonly RawFrame[] {
    return this.#record.frames
  }

  /** All frames that came, as lines. The part of a frame is `part`. */
  get wire(): string[] {
    const from = this.role === 'client' ? 'server' : 'client'
    const lines = this.#record.frames.map((frame) => lineOf(frame, from))
    return this.#record.rest.length === 0 ? lines : [...lines, 'part']
  }

  /** How the other side ended TCP. */
  get end(): End {
    return this.#end
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Waits until that is so; looks whenever something has come. Rejects when nothing more can come. */
  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (this.#closed) throw new Error(`the socket closed; it was sent: ${this.wire.join(', ')}`)
      await new Promise<void>((resolve) => this.#waits.add(resolve))
    }
  }

  /** Waits for the other side's Close. */
  untilClose(): Promise<void> {
    return this.until(() => this.wire.some((line) => line.startsWith('close')))
  }

  /** Waits for the other side's end of TCP. */
  untilEnd(): Promise<void> {
    return this.until(() => this.#end !== undefined)
  }

  // What it says

  write(bytes: Uint8Array): void {
    if (this.socket.writable) this.socket.write(bytes)
  }

  hex(hex: string): void {
    this.write(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
  }

  frame(opcode: Opcode, payload: Uint8Array | string = '', fin = true): void {
    this.write(this.encode(opcode, payload, fin))
  }

  encode(opcode: Opcode, payload: Uint8Array | string = '', fin = true): Buffer {
    const maskKey = this.role === 'client' ? 0x51c3a96f : undefined
    return encodeFrame({ opcode, payload, fin, maskKey })
  }

  text(text: string, fin = true): void {
    this.frame(Opcode.text, text, fin)
  }

  message(opcode: MessageOpcode, payload: Uint8Array | string): void {
    this.frame(opcode, payload)
  }

  ping(payload: Uint8Array | string = ''): void {
    this.frame(Opcode.ping, payload)
  }

  close(code?: number, reason = ''): void {
    this.frame(Opcode.close, encodeClosePayload(code, reason))
  }

  fin(): void {
    this.socket.end()
  }

  /** RST, where the transport has it. */
  reset(): void {
    this.#reset()
  }

  stopReading(): void {
    this.socket.pause()
  }

  readOn(): void {
    this.socket.resume()
  }

  // The opening handshake

  /** Sends a request and takes the 101, or takes a request and sends the 101. */
  async open(): Promise<void> {
    if (this.role === 'client') this.write(Buffer.from(requestHead))
    const head = await this.head()
    if (this.role === 'client' && !head.startsWith('HTTP/1.1 101 ')) throw new Error(head)
    if (this.role === 'server') this.write(Buffer.from(responseHead(head)))
  }

  /** The head of the handshake, once it has come. */
  async head(): Promise<string> {
    let end = -1
    await this.until(() => (end = (this.#head ?? '').indexOf('\r\n\r\n')) >= 0 || this.#end !== undefined)
    const head = this.#head
    if (head === undefined || end < 0) throw new Error('the other side left during the handshake')
    this.#head = undefined
    this.#record.push(head.subarray(end + 4))
    return head.toString('latin1', 0, end + 4)
  }

  #heard(chunk: Buffer): void {
    if (this.#head === undefined) this.#record.push(chunk)
    else this.#head = Buffer.concat([this.#head, chunk])
    this.#wake()
  }

  #over(end: End): void {
    this.#end ??= end
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waits) wake()
    this.#waits.clear()
  }
}

/** With the key of RFC 6455 section 1.3. */
export const requestHead: string = [
  'GET / HTTP/1.1',
  'Host: localhost',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
  '\r\n',
].join('\r\n')

export function responseHead(request: string): string {
  const key = /^sec-websocket-key: *(\S+)/im.exec(request)?.[1] ?? ''
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    '\r\n',
  ].join('\r\n')
}
