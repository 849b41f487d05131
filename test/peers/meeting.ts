/** Brings a connection of ours and a peer together, whichever of them is the server. */
import { once } from 'node:events'
import { connect, type Connection, type ConnectionOptions, WebSocketServer } from '../../lib/index.ts'
import { listen } from './listening.ts'
import type { Certificate, Implementation, Meeting, PeerClient, PeerServer, Transport } from './peer.ts'
import { layWire, type Wire } from './wire.ts'

export interface MeetOptions {
  readonly transport: Transport
  readonly certificate: Certificate
  /** Subprotocols that the client offers, and those that the server knows. */
  readonly offered: string[]
  readonly known: string[]
  /** They speak permessage-deflate. */
  readonly deflate: boolean
  /** There is a wire between the two, over TCP. */
  readonly wired: boolean
  /** Options of our side. */
  readonly our: ConnectionOptions
  /** Called with what gives up the meeting's servers. */
  readonly teardown: (close: () => Promise<unknown>) => void
}

/** Who meets whom: the other implementation, and how to bring the two together. */
export interface Pairing extends Implementation {
  readonly ourRole: 'server' | 'client'
  meet(options: MeetOptions): Promise<Meeting>
}

export function ourServerAnd(client: PeerClient): Pairing {
  return {
    ...client,
    ourRole: 'server',
    async meet(options) {
      const { transport, certificate, offered, known, deflate, our, teardown } = options
      const { http, url, close } = await listen(transport, certificate)
      const origins = client.origin === undefined ? {} : { origins: [client.origin] }
      const server = new WebSocketServer({ server: http, protocols: known, ...origins, ...our })
      teardown(async () => {
        for (const connection of server.connections) connection.terminate()
        await server.close()
        await close()
      })
      const way = await wayTo(url, options)

      const accepted = once(server, 'connection')
      const theirs = await client.open(way.url, {
        protocols: offered,
        deflate,
        ca: certificate.cert,
      })
      const [ours]: Connection[] = await accepted
      if (ours === undefined) throw new Error('no connection')
      return { ours, theirs, wire: await way.wire }
    },
  }
}

export function ourClientAnd(server: PeerServer): Pairing {
  return {
    ...server,
    ourRole: 'client',
    async meet(options) {
      const { transport, certificate, offered, known, deflate, our, teardown } = options
      const { url, peer, close } = await server.listen(transport, { protocols: known, deflate, certificate })
      teardown(close)
      const way = await wayTo(url, options)

      const ours = await connect(way.url, {
        protocols: offered,
        tls: { ca: certificate.cert },
        ...our,
      })
      teardown(() => {
        ours.terminate()
        return ours.closed
      })
      return { ours, theirs: await peer, wire: await way.wire }
    },
  }
}

/** How to reach a server: by its own URL, or by that of a wire. */
async function wayTo(
  url: string,
  { wired, teardown }: MeetOptions,
): Promise<{ readonly url: string; readonly wire?: Promise<Wire> }> {
  if (!wired) return { url }
  const laid = await layWire(url)
  teardown(laid.close)
  return laid
}
