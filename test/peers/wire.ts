/** A piece of wire between two ends, over TCP, that takes note of what passes. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { portOf } from '../help/serve.ts'
import type { Listening } from './peer.ts'

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
}

class Record implements Passed {
  bytes = 0
  #head = ''

  take(chunk: Buffer): void {
    this.bytes += chunk.length
    if (!this.#head.includes('\r\n\r\n')) this.#head += chunk.toString('latin1')
  }

  field(name: string): string | undefined {
    const lines = this.#head.split('\r\n\r\n', 1).join().split('\r\n')
    const line = lines.find((each) => each.toLowerCase().startsWith(`${name}:`))
    return line?.slice(name.length + 1).trim()
  }
}

/** Leads to the server at a `ws:` address; for one connection. */
export async function layWire(url: string): Promise<Listening & { readonly wire: Wire }> {
  const { hostname, port } = new URL(url)
  const fromClient = new Record()
  const fromServer = new Record()
  const sockets: Socket[] = []
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    sockets.push(client, upstream)
    join(client, upstream, fromClient)
    join(upstream, client, fromServer)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `ws://127.0.0.1:${portOf(server)}/`,
    wire: { fromClient, fromServer },
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

function join(from: Socket, to: Socket, record: Record): void {
  from.on('data', (chunk) => record.take(chunk))
  from.pipe(to)
  from.on('error', () => to.destroy())
  from.on('close', () => to.destroySoon())
}
