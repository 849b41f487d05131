/**
 * The load with permessage-deflate: connections that send frames compressed beforehand, and of what comes back read
 * only the headers, since how long an answer is depends on who compresses it.
 */
import { Buffer } from 'node:buffer'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import { encodeFrame, Opcode } from '../frames/index.ts'
import { host } from './contestants/host.ts'
import { deflateLevel, type DeflateWorkload, messagesOf, offerOf } from './deflate-workload.ts'

const tail = Buffer.from([0, 0, 0xff, 0xff])
const finishFlush = constants.Z_SYNC_FLUSH
/** All connections read into it. */
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024)

/** The requests of a connection: those that it begins with, and those that it then goes round and round. */
export interface DeflateScript {
  readonly first: readonly Buffer[]
  readonly round: readonly Buffer[]
}

export class DeflateLoad {
  readonly #connections: readonly DeflateConnection[]

  private constructor(connections: readonly DeflateConnection[]) {
    this.#connections = connections
  }

  /** Opens the connections. `frames` says that the server speaks WebSocket: then each must be answered right. */
  static async open(
    port: number,
    workload: DeflateWorkload,
    script: DeflateScript,
    frames = true,
  ): Promise<DeflateLoad> {
    const connections: DeflateConnection[] = []
    while (connections.length < workload.connections)
      connections.push(await DeflateConnection.open(port, workload, script, frames))
    return new DeflateLoad(connections)
  }

  /** Messages that have been answered. */
  get messages(): number {
    return this.#connections.reduce((sum, each) => sum + each.messages, 0)
  }

  start(): void {
    for (const each of this.#connections) void each.start(Infinity)
  }

  /** Each connection sends so many messages, one when the one before is answered, and falls silent. */
  async talk(messages: number): Promise<void> {
    for (const each of this.#connections) await each.start(messages)
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((each) => each.close()))
  }
}

class DeflateConnection {
  messages = 0
  readonly #socket: Socket
  readonly #script: DeflateScript
  #sent = 0
  /** Bytes that are to come of the frame whose header has been read. */
  #left = 0
  /** A header that has not come as a whole. */
  #partial = Buffer.alloc(0)
  #take: (bytes: Buffer) => void = () => {}
  #closing = false

  private constructor(port: number, script: DeflateScript) {
    this.#script = script
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (size) => {
          this.#take(readBuffer.subarray(0, size))
          return true
        },
      },
    })
  }

  static async open(
    port: number,
    workload: DeflateWorkload,
    script: DeflateScript,
    frames: boolean,
  ): Promise<DeflateConnection> {
    const connection = new DeflateConnection(port, script)
    await once(connection.#socket, 'connect')
    const answer = await connection.#upgrade(offerOf(workload))
    if (!frames) return connection
    const { takeover, windowBits } = workload
    const limited = answer.includes('_no_context_takeover')
    const narrow = answer.includes(`server_max_window_bits=${windowBits}`)
    if (!answer.startsWith('permessage-deflate') || limited === takeover || narrow !== windowBits < 15)
      throw new Error(`the server agreed on "${answer}"`)
    await connection.#tryOnce(workload)
    return connection
  }

  /** Resolves when so many messages have been answered. */
  start(messages: number): Promise<void> {
    this.#socket.on('close', () => {
      if (!this.#closing) throw new Error('the server closed a connection')
    })
    return new Promise((resolve) => {
      this.#take = (bytes) => {
        this.#count(bytes, messages)
        if (this.messages === messages) resolve()
      }
      this.#ask()
    })
  }

  async close(): Promise<void> {
    this.#closing = true
    const closed = once(this.#socket, 'close')
    this.#socket.destroy()
    await closed
  }

  #ask(): void {
    const { first, round } = this.#script
    const at = this.#sent++
    const request = first[at] ?? round[(at - first.length) % round.length]
    if (request !== undefined) this.#socket.write(request)
  }

  #count(bytes: Buffer, enough: number): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#left === 0) {
        const header = this.#partial.length === 0 ? bytes : Buffer.concat([this.#partial, bytes.subarray(at)])
        const begin = header === bytes ? at : 0
        const frame = frameAt(header, begin)
        if (frame === undefined) {
          this.#partial = Buffer.from(header.subarray(begin))
          return
        }
        at += frame.header - this.#partial.length
        this.#partial = Buffer.alloc(0)
        this.#left = frame.payload
      }
      const taken = Math.min(this.#left, bytes.length - at)
      this.#left -= taken
      at += taken
      if (this.#left > 0) return
      if (++this.messages < enough) this.#ask()
    }
  }

  /** Resolves with what the server says of extensions. */
  async #upgrade(offer: string): Promise<string> {
    this.#socket.write(
      `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n` +
        `Sec-WebSocket-Extensions: ${offer}\r\n\r\n`,
    )
    const head = (await this.#read((bytes) => bytes.includes('\r\n\r\n'))).toString('latin1')
    if (!/^HTTP\/1\.1 101 [^]*\r\n\r\n$/.test(head)) throw new Error(`the server answered ${head}`)
    return /^sec-websocket-extensions: *(.*)$/im.exec(head)?.[1] ?? ''
  }

  async #tryOnce({ direction, size }: DeflateWorkload): Promise<void> {
    this.#ask()
    const answer = await this.#read((bytes) => {
      const frame = frameAt(bytes, 0)
      return frame !== undefined && bytes.length >= frame.header + frame.payload
    })
    const payload = answer.subarray(frameAt(answer, 0)?.header)
    const compressed = ((answer[0] ?? 0) & 0x40) > 0
    const text = compressed ? inflateRawSync(Buffer.concat([payload, tail]), { finishFlush }) : payload
    const expected = direction === 'receive' ? `${size}` : messagesOf(size)[0]
    if (text.toString() !== expected) throw new Error('the server answers something else')
    if (compressed !== (direction !== 'receive')) throw new Error('the server does not compress')
  }

  /** Collects until it is enough. */
  #read(enough: (bytes: Buffer) => boolean): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let read = Buffer.alloc(0)
      const onClose = (): void => reject(new Error('the server closed the connection'))
      this.#socket.once('close', onClose)
      this.#take = (bytes) => {
        read = Buffer.concat([read, bytes])
        if (!enough(read)) return
        this.#socket.off('close', onClose)
        resolve(read)
      }
    })
  }
}

/** How long the header and the payload of a frame are; undefined where the header is not there as a whole. */
function frameAt(bytes: Buffer, at: number): { header: number; payload: number } | undefined {
  const second = bytes[at + 1]
  if (second === undefined) return undefined
  const short = second & 0x7f
  const lengthEnd = short < 126 ? 2 : short === 126 ? 4 : 10
  // A masking key is there only in what comes back as it was sent.
  const header = lengthEnd + (second < 0x80 ? 0 : 4)
  if (at + header > bytes.length) return undefined
  const payload =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6)
  return { header, payload }
}

/** Made once for all connections of a workload. */
export function scriptOf({ direction, size, takeover, windowBits }: DeflateWorkload): DeflateScript {
  const maskKey = randomInt(2 ** 32)
  if (direction === 'send') {
    return { first: [], round: [encodeFrame({ opcode: Opcode.text, payload: 'next', maskKey })] }
  }
  const messages = messagesOf(size).map((text) => Buffer.from(text))
  let window = Buffer.alloc(0)
  const compressed = (): Buffer[] =>
    messages.map((message) => {
      const dictionary = window.length === 0 ? {} : { dictionary: window }
      const whole = deflateRawSync(message, { level: deflateLevel, windowBits, finishFlush, ...dictionary })
      if (takeover) window = Buffer.concat([window, message]).subarray(-(2 ** windowBits))
      const payload = whole.subarray(0, -tail.length)
      return encodeFrame({ opcode: Opcode.text, payload, rsv1: true, maskKey })
    })
  const first = compressed()
  // The second time round the window before the first message is the one of every later time.
  return { first, round: takeover ? compressed() : first }
}
