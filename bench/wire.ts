/** One TCP connection of the load: bytes out, bytes in, and the opening handshake of either side. */
import { Buffer } from 'node:buffer'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** All connections to servers read into it: what is read is counted at once. */
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024)

const handshakeId = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export class Wire {
  /** Is given all bytes that come. They are gone when it has returned. */
  take: (bytes: Buffer) => void = () => {}
  /** Is called when the other side, and not `close`, ends the connection. */
  lost: () => void = () => {}
  readonly #socket: Socket
  #closing = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('close', () => {
      if (!this.#closing) this.lost()
    })
  }

  /** A connection to a server. */
  static async connect(host: string, port: number): Promise<Wire> {
    // Nothing is read before `take` is there.
    let take: (bytes: Buffer) => void = () => {}
    const socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (size) => {
          take(readBuffer.subarray(0, size))
          return true
        },
      },
    })
    const wire = new Wire(socket)
    take = (bytes) => wire.take(bytes)
    await once(socket, 'connect')
    return wire
  }

  /** A connection of a client. */
  static over(socket: Socket): Wire {
    const wire = new Wire(socket)
    socket.on('data', (bytes) => wire.take(bytes))
    return wire
  }

  /** Bytes that the system has not taken yet. */
  get waiting(): number {
    return this.#socket.writableLength
  }

  write(bytes: Buffer | string): void {
    this.#socket.write(bytes)
  }

  /** Ends our half. */
  end(): void {
    this.#socket.end()
  }

  /** Reads no more, ever. */
  stall(): void {
    this.#socket.pause()
  }

  /** Resolves when the other side has ended its half, or all. */
  async ended(): Promise<void> {
    if (this.#socket.readableEnded || this.#socket.destroyed) return
    await Promise.race([once(this.#socket, 'end'), once(this.#socket, 'close')])
  }

  /** With a reset, which leaves no port behind that has to wait. */
  async close(): Promise<void> {
    this.#closing = true
    if (this.#socket.closed) return
    const closed = once(this.#socket, 'close')
    if (this.#socket.writableEnded) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
    await closed
  }

  /** The client's handshake. */
  async upgrade(): Promise<void> {
    const key = randomBytes(16).toString('base64')
    this.write(
      `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    )
    const head = (await this.#head()).toString('latin1')
    if (!/^HTTP\/1\.1 101 [^]*\r\n\r\n$/.test(head)) throw new Error(`the server answered ${head}`)
  }

  /** The server's handshake. */
  async accept(): Promise<void> {
    const head = (await this.#head()).toString('latin1')
    const key = /^sec-websocket-key: *(\S+)/im.exec(head)?.[1] ?? ''
    const accept = createHash('sha1').update(`${key}${handshakeId}`).digest('base64')
    this.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
  }

  /** Collects at least so many bytes. */
  read(size: number): Promise<Buffer> {
    return this.#collect((_, length) => length >= size)
  }

  #head(): Promise<Buffer> {
    return this.#collect((bytes) => bytes.includes('\r\n\r\n'))
  }

  #collect(enough: (bytes: Buffer, length: number) => boolean): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let length = 0
      this.lost = () => reject(new Error(`the connection was lost after ${length} bytes`))
      this.take = (bytes) => {
        chunks.push(Buffer.from(bytes))
        length += bytes.length
        if (!enough(bytes, length)) return
        this.take = () => {}
        this.lost = () => {}
        resolve(Buffer.concat(chunks))
      }
    })
  }
}
