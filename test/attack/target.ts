/** A server under attack as its attacker and an observer outside see it. */
import { Buffer } from 'node:buffer'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { encodeFrame } from '../../frames/encoder.ts'
import type { Opcode } from '../../frames/opcode.ts'
import type { ServerOptions } from '../../lib/index.ts'
import { sampleKey } from '../help/raw-http.ts'
import { FrameRecord, type RawFrame } from '../wire/raw-peer.ts'

/** What the server tells of itself; delays of its event loop in ms since the last report. */
export interface Report {
  readonly delay99: number
  readonly delayMax: number
  readonly messages: number
  readonly escaped: number
  readonly connections: number
}

export class Target {
  readonly #child: ChildProcess
  readonly port: number

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  static async start(options: ServerOptions): Promise<Target> {
    const program = fileURLToPath(new URL('victim.js', import.meta.url))
    const child = fork(program, [JSON.stringify(options)], { execArgv: ['--expose-gc'] })
    const [port] = await once(child, 'message')
    return new Target(child, Number(port))
  }

  async report(): Promise<Report> {
    const answered = once(this.#child, 'message')
    this.#child.send('report')
    const [report]: Report[] = await answered
    if (report === undefined) throw new Error('no report')
    return report
  }

  /** Resident memory in bytes, now and at its highest since `forgetPeak`. */
  get memory(): { readonly now: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8')
    const read = (name: string): number => 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1])
    return { now: read('VmRSS'), peak: read('VmHWM') }
  }

  forgetPeak(): void {
    writeFileSync(`/proc/${this.#child.pid}/clear_refs`, '5')
  }

  async stop(): Promise<void> {
    const left = once(this.#child, 'exit')
    this.#child.disconnect()
    await left
  }
}

/** A client that says what it likes. */
export class Attacker {
  readonly socket: Socket
  readonly head: string
  readonly #record = new FrameRecord()
  #closed = false
  #wake: () => void = () => {}

  private constructor(socket: Socket, head: string, rest: Buffer) {
    this.socket = socket
    this.head = head
    this.#record.push(rest)
    socket.on('data', (chunk: Buffer) => {
      this.#record.push(chunk)
      this.#wake()
    })
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  static async open(port: number, offer = 'permessage-deflate; client_max_window_bits'): Promise<Attacker> {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.setNoDelay(true)
    const lines = [
      'GET / HTTP/1.1',
      'Host: x',
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
    ]
    const extensions = offer === '' ? [] : [`Sec-WebSocket-Extensions: ${offer}`]
    socket.write([...lines, `Sec-WebSocket-Key: ${sampleKey}`, ...extensions, '', ''].join('\r\n'))
    let received = Buffer.alloc(0)
    while (!received.includes('\r\n\r\n') && !socket.readableEnded) {
      const [chunk]: Buffer[] = await Promise.race([
        once(socket, 'data'),
        once(socket, 'close').then(() => []),
      ])
      if (chunk === undefined) break
      received = Buffer.concat([received, chunk])
    }
    const end = received.indexOf('\r\n\r\n')
    return new Attacker(socket, received.toString('latin1', 0, end), received.subarray(end + 4))
  }

  get frames(): readonly RawFrame[] {
    return this.#record.frames
  }

  /** The code of the server's Close; 1006 where TCP ended without one, undefined where it is open. */
  get closeCode(): number | undefined {
    const close = this.frames.find(({ first }) => first === 0x88)
    return close?.payload.readUInt16BE(0) ?? (this.#closed ? 1006 : undefined)
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  /** Resolves when the kernel has taken it. */
  async write(bytes: Uint8Array): Promise<void> {
    if (!this.socket.write(bytes) && !this.#closed)
      await Promise.race([once(this.socket, 'drain'), once(this.socket, 'close')])
  }

  /** Waits until the server has read all that was sent. */
  async flush(): Promise<void> {
    const before = this.#pongs
    await this.write(frame(9, Buffer.alloc(0)))
    await this.until(() => this.#pongs > before || this.#closed)
  }

  get #pongs(): number {
    return this.frames.filter(({ first }) => first === 0x8a).length
  }

  leave(): void {
    this.socket.destroy()
  }
}

/** A masked frame; `rsv1` where its message begins compressed. */
export function frame(opcode: Opcode, payload: Uint8Array, { fin = true, rsv1 = false } = {}): Buffer {
  return encodeFrame({ opcode, payload, fin, rsv1, maskKey: 0x1e2d3c4b })
}
