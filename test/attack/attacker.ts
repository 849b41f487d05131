/** A client that says what it likes. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { upgradeRequest } from '../help/raw-http.ts'
import { FrameRecord, type RawFrame } from '../wire/raw-peer.ts'

export class Attacker {
  readonly socket: Socket
  /** The response, without its last empty line. */
  readonly head: string
  readonly #record = new FrameRecord()
  #closed = false
  readonly #waits: (() => void)[] = []

  private constructor(socket: Socket, head: string, rest: Buffer) {
    this.socket = socket
    this.head = head
    this.#record.push(rest)
    socket.on('data', (chunk: Buffer) => {
      this.#record.push(chunk)
      this.#wake()
    })
    socket.on('drain', () => this.#wake())
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  /** Makes the handshake, with that offer of extensions if it is one. */
  static async open(port: number, offer = '', target = '/'): Promise<Attacker> {
    const socket = await dial(port)
    const extensions = offer === '' ? [] : [`Sec-WebSocket-Extensions: ${offer}`]
    socket.write(upgradeRequest({ target, lines: ['Sec-WebSocket-Protocol: chat', ...extensions] }))
    let received = Buffer.alloc(0)
    while (!received.includes('\r\n\r\n') && !socket.closed) {
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

  get closed(): boolean {
    return this.#closed
  }

  /** The code of the server's Close; 1006 where TCP ended without one, undefined where it is open. */
  get closeCode(): number | undefined {
    const close = this.frames.findLast(({ first }) => first === 0x88)
    if (close !== undefined) return close.payload.length === 0 ? 1005 : close.payload.readUInt16BE(0)
    return this.#closed ? 1006 : undefined
  }

  /** Waits until that is so. What has not come in a minute will not: that is thrown. */
  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      await new Promise<void>((resolve, reject) => {
        const impatience = setTimeout(() => reject(new Error('the server did nothing for a minute')), 60_000)
        this.#waits.push(() => {
          clearTimeout(impatience)
          resolve()
        })
      })
    }
  }

  #wake(): void {
    for (const wake of this.#waits.splice(0)) wake()
  }

  /** The code of the server's Close, when it comes. */
  async refused(): Promise<number> {
    await this.until(() => this.closeCode !== undefined)
    return this.closeCode ?? 0
  }

  /** Resolves when the kernel has taken it, or the connection is gone. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closed || this.socket.write(bytes)) return
    await this.until(() => this.#closed || !this.socket.writableNeedDrain)
  }

  /** Waits until the server has read all that was sent. */
  async flush(): Promise<void> {
    const before = this.#pongs
    await this.write(frame(Opcode.ping, ''))
    await this.until(() => this.#pongs > before || this.#closed)
  }

  get #pongs(): number {
    return this.frames.filter(({ first }) => first === 0x8a).length
  }

  leave(): void {
    this.socket.destroy()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }
}

/** A TCP connection, and nothing said yet. */
export async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket.setNoDelay(true)
}

/** A masked frame; `rsv1` where its message begins compressed. */
export function frame(
  opcode: Opcode,
  payload: Uint8Array | string,
  { fin = true, rsv1 = false } = {},
): Buffer {
  return encodeFrame({ opcode, payload, fin, rsv1, maskKey: 0x1e2d3c4b })
}

/** A masked header and nothing behind it. */
export function header(first: number, size: number | bigint): Buffer {
  const key = Buffer.from([0x1e, 0x2d, 0x3c, 0x4b])
  if (size < 126) return Buffer.concat([Buffer.from([first, 0x80 | Number(size)]), key])
  const long = size > 0xffff
  const bytes = Buffer.alloc(long ? 10 : 4)
  bytes[0] = first
  bytes[1] = 0x80 | (long ? 127 : 126)
  if (long) bytes.writeBigUInt64BE(BigInt(size), 2)
  else bytes.writeUInt16BE(Number(size), 2)
  return Buffer.concat([bytes, key])
}
