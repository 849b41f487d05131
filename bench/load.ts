/**
 * The load: connections that send frames made beforehand and only count the bytes that come back, so that it costs
 * less than any server.
 */
import { Buffer } from 'node:buffer'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { encodeFrame, Opcode } from '../frames/index.ts'
import type { Workload } from './workload.ts'

export interface LoadOptions {
  readonly host: string
  readonly port: number
  /** The server speaks WebSocket; else it is to send back what it gets as it is. */
  readonly frames: boolean
  /** Text messages; else binary ones. */
  readonly text: boolean
  readonly workload: Workload
}

/** What one connection sends and what it is to get back for it. */
interface Exchange {
  /** As many requests as may be under way, one behind the other. */
  readonly requests: Buffer
  readonly requestSize: number
  readonly reply: Buffer
}

/** All connections read into it: what is read is counted at once. */
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024)

export class Load {
  readonly #connections: LoadConnection[] = []

  /** Opens the connections and sees to it that each gets the right answer to one message. */
  static async open(options: LoadOptions): Promise<Load> {
    const load = new Load()
    const exchange = exchangeOf(options)
    for (let count = options.workload.connections; count > 0; count--) {
      load.#connections.push(await LoadConnection.open(options, exchange))
    }
    return load
  }

  /** Messages that have come back. */
  get messages(): number {
    return this.#connections.reduce((sum, each) => sum + each.messages, 0)
  }

  start(): void {
    for (const each of this.#connections) each.start()
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((each) => each.close()))
  }
}

class LoadConnection {
  /** Messages that have come back. */
  messages = 0
  readonly #socket: Socket
  readonly #exchange: Exchange
  /** Bytes of a reply that has not come as a whole. */
  #partial = 0
  #take: (bytes: Buffer) => void = () => {}
  #closing = false

  private constructor({ host, port }: LoadOptions, exchange: Exchange) {
    this.#exchange = exchange
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

  static async open(options: LoadOptions, exchange: Exchange): Promise<LoadConnection> {
    const connection = new LoadConnection(options, exchange)
    await once(connection.#socket, 'connect')
    if (options.frames) await connection.#upgrade(options)
    await connection.#tryOnce()
    return connection
  }

  start(): void {
    const { requests, requestSize, reply } = this.#exchange
    this.#take = ({ length }) => {
      this.#partial += length
      if (this.#partial < reply.length) return
      const whole = Math.floor(this.#partial / reply.length)
      this.#partial -= whole * reply.length
      this.messages += whole
      this.#socket.write(requests.subarray(0, whole * requestSize))
    }
    this.#socket.write(requests)
    this.#socket.on('close', () => {
      if (!this.#closing) throw new Error('the server closed a connection')
    })
  }

  async close(): Promise<void> {
    this.#closing = true
    const closed = once(this.#socket, 'close')
    this.#socket.destroy()
    await closed
  }

  async #upgrade({ host, port }: LoadOptions): Promise<void> {
    const key = randomBytes(16).toString('base64')
    this.#socket.write(
      `GET / HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    )
    const head = await this.#read((bytes) => bytes.includes('\r\n\r\n'))
    if (!/^HTTP\/1\.1 101 [^]*\r\n\r\n$/.test(head.toString('latin1'))) {
      throw new Error(`the server answered ${head.toString('latin1')}`)
    }
  }

  async #tryOnce(): Promise<void> {
    const { requests, requestSize, reply } = this.#exchange
    this.#socket.write(requests.subarray(0, requestSize))
    const answer = await this.#read((bytes) => bytes.length >= reply.length)
    if (!answer.equals(reply)) throw new Error('the server does not echo')
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

function exchangeOf({ frames, text, workload }: LoadOptions): Exchange {
  const opcode = text ? Opcode.text : Opcode.binary
  const payload = randomBytes(workload.size / 2).toString('hex')
  const maskKey = randomInt(2 ** 32)
  const request = encodeFrame({ opcode, payload, maskKey })
  return {
    requests: Buffer.concat(Array.from({ length: workload.inFlight }, () => request)),
    requestSize: request.length,
    reply: frames ? encodeFrame({ opcode, payload }) : request,
  }
}
