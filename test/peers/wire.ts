/** A piece of wire between two ends, over TCP, that takes note of what passes. */
import type { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { portOf } from '../help/serve.ts'
import { addressOf } from './address.ts'

/** One direction. */
export interface Passed {
  /** All bytes, those of the head too. */
  readonly bytes: number
  /** A field of the HTTP head. */
  field(name: string): string | undefined
}

export interface Wire {
  readonly fromClient: Passed
  readonly fromServer: Passed
  /** Holds back what is sent from now on; resolves when both sides have sent something. */
  hold(): Promise<unknown>
  /** Lets go of it. */
  release(): void
}

/** A wire that is there before anybody uses it. */
interface Laid {
  readonly url: string
  readonly close: () => Promise<unknown>
  readonly wire: Promise<Wire>
}

class Direction implements Passed {
  bytes = 0
  #head = ''
  readonly #to: Socket
  /** What is held back, and who is told of it. */
  #held: { chunks: Buffer[]; told: () => void } | undefined

  constructor(from: Socket, to: Socket) {
    this.#to = to
    from.on('data', (chunk) => this.#take(chunk))
    from.on('end', () => to.end())
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroySoon())
  }

  field(name: string): string | undefined {
    const lines = this.#head.split('\r\n\r\n', 1).join().split('\r\n')
    const line = lines.find((each) => each.toLowerCase().startsWith(`${name}:`))
    return line?.slice(name.length + 1).trim()
  }

  hold(): Promise<void> {
    return new Promise((told) => {
      this.#held = { chunks: [], told }
    })
  }

  release(): void {
    for (const chunk of this.#held?.chunks ?? []) this.#to.write(chunk)
    this.#held = undefined
  }

  #take(chunk: Buffer): void {
    this.bytes += chunk.length
    if (!this.#head.includes('\r\n\r\n')) this.#head += chunk.toString('latin1')
    if (this.#held === undefined) this.#to.write(chunk)
    else {
      this.#held.chunks.push(chunk)
      this.#held.told()
    }
  }
}

/** Leads to the server at an address, for one connection. */
export async function layWire(url: string): Promise<Laid> {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true })
  const wire = new Promise<Wire>((resolve) => {
    server.once('connection', (client: Socket) => {
      const upstream = connect({ ...addressOf(url), allowHalfOpen: true })
      sockets.push(client, upstream)
      const fromClient = new Direction(client, upstream)
      const fromServer = new Direction(upstream, client)
      resolve({
        fromClient,
        fromServer,
        hold: () => Promise.all([fromClient.hold(), fromServer.hold()]),
        release() {
          fromClient.release()
          fromServer.release()
        },
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `ws://127.0.0.1:${portOf(server)}/`,
    wire,
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}
