/** The other end of a connection, byte by byte: a TCP client and a TCP server that send exactly what a test says. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'

/** An HTTP head, fields as they came. */
export interface Head {
  /** Request line or status line. */
  readonly start: string
  /** Of a response; NaN for a request. */
  readonly status: number
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** All values of that field, in any case. */
  all(name: string): string[]
}

/** A response: its head, and what came until it was whole. */
export interface Answer extends Head {
  readonly body: string
}

/** One end of a byte stream: keeps what comes, waits for events. */
export class RawPeer {
  readonly socket: Duplex
  #received = Buffer.alloc(0)
  #finished = false
  #wake: () => void = () => {}
  /** The socket is closed; true when by an error. */
  readonly closed: Promise<boolean>

  constructor(socket: Duplex) {
    this.socket = socket
    let failed = false
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    socket.on('end', () => this.#finish())
    socket.on('error', () => {
      failed = true
    })
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#finish()
        resolve(failed)
      })
    })
  }

  /** What has come and was not taken. */
  get received(): Buffer {
    return this.#received
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  /** Waits until `found` gives a size, and takes that many bytes. Rejects when the stream ends before. */
  async take(found: (received: Buffer) => number | undefined): Promise<Buffer> {
    for (;;) {
      const size = found(this.#received)
      if (size !== undefined) {
        const taken = this.#received.subarray(0, size)
        this.#received = this.#received.subarray(size)
        return taken
      }
      if (this.#finished) throw new Error(`the stream ended after ${JSON.stringify(String(this.#received))}`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  bytes(size: number): Promise<Buffer> {
    return this.take((received) => (received.length >= size ? size : undefined))
  }

  async head(): Promise<Head> {
    const bytes = await this.take((received) => {
      const end = received.indexOf('\r\n\r\n')
      return end < 0 ? undefined : end + 4
    })
    return parseHead(bytes.toString('latin1'))
  }

  /** A whole response that has a Content-Length or none. */
  async answer(): Promise<Answer> {
    const head = await this.head()
    const [length = '0'] = head.all('content-length')
    const body = await this.bytes(Number(length))
    return { ...head, body: body.toString() }
  }

  /** All that comes until the other side ends. */
  rest(): Promise<Buffer> {
    return this.take((received) => (this.#finished ? received.length : undefined))
  }

  /** Ends it with a reset. */
  reset(): void {
    if (!(this.socket instanceof Socket)) throw new Error('only TCP can be reset')
    this.socket.resetAndDestroy()
  }

  #finish(): void {
    this.#finished = true
    this.#wake()
  }
}

export function parseHead(text: string): Head {
  const [start = '', ...lines] = text.split('\r\n').filter((line) => line !== '')
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  return {
    start,
    status: Number(/^HTTP\/\d\.\d (\d{3})/.exec(start)?.[1]),
    fields,
    all: (name) =>
      fields.filter(([each]) => each.toLowerCase() === name.toLowerCase()).map(([, value]) => value),
  }
}

/** Connects to a port of 127.0.0.1 and closes with the test. */
export async function rawClient(t: Test, port: number): Promise<RawPeer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return new RawPeer(socket)
}

/** Sends those bytes on a connection of their own and reads the answer. */
export async function exchange(t: Test, port: number, request: string | Uint8Array): Promise<Answer> {
  const peer = await rawClient(t, port)
  peer.write(request)
  const answer = await peer.answer()
  peer.socket.destroy()
  return answer
}

/** The key of the RFC's own example (RFC 6455 section 1.3), and its answer. */
export const sampleKey = 'dGhlIHNhbXBsZSBub25jZQ=='
export const sampleAccept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

export interface RequestParts {
  readonly method?: string
  readonly target?: string
  readonly version?: string
  /** Names of the usual fields that are left out. */
  readonly without?: readonly string[]
  /** Lines that come behind the usual ones. */
  readonly lines?: readonly string[]
}

/** A good handshake request, or one that differs from it where a test says so. */
export function upgradeRequest(parts: RequestParts = {}): string {
  const { method = 'GET', target = '/', version = 'HTTP/1.1', without = [], lines = [] } = parts
  const usual = [
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${sampleKey}`,
    'Sec-WebSocket-Version: 13',
  ].filter((line) => !without.some((name) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`)))
  return [`${method} ${target} ${version}`, ...usual, ...lines, '', ''].join('\r\n')
}

/** A whole text message as a client sends it. */
export function clientText(text: string): Buffer {
  return encodeFrame({ opcode: Opcode.text, payload: text, maskKey: 0x1e2d3c4b })
}

/** A whole text message as a server sends it. */
export function serverText(text: string): Buffer {
  return encodeFrame({ opcode: Opcode.text, payload: text })
}

export interface RawServer {
  readonly port: number
  readonly url: string
  readonly server: Server
  /** The heads that came, in order. */
  readonly requests: Head[]
  /** The connections that came, in order. */
  readonly peers: RawPeer[]
}

/** A server that leaves the answer to each request's head to `answer`. */
export async function rawServer(
  t: Test,
  answer: (peer: RawPeer, request: Head) => void | Promise<void>,
): Promise<RawServer> {
  const requests: Head[] = []
  const peers: RawPeer[] = []
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    const peer = new RawPeer(socket)
    peers.push(peer)
    void peer.head().then(
      (head) => {
        requests.push(head)
        return answer(peer, head)
      },
      () => {}, // The client left before it had asked.
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    const closed = once(server, 'close')
    server.close()
    for (const peer of peers) peer.socket.destroy()
    await closed
  })
  const { port } = server.address() as AddressInfo // It listens on TCP.
  return { port, url: `ws://127.0.0.1:${port}/`, server, requests, peers }
}
