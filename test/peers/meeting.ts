/** Brings a connection of ours and a peer together, whichever of them is the server. */
import { once } from 'node:events'
import { connect, type Connection, type ConnectionOptions, WebSocketServer } from '../../lib/index.ts'
import { listen } from './listening.ts'
import type { Certificate, Implementation, Meeting, PeerClient, PeerServer, Transport } from './peer.ts'

export interface MeetOptions {
  readonly transport: Transport
  readonly certificate: Certificate
  /** Subprotocols that the client offers, and those that the server knows. */
  readonly offered?: string[]
  readonly known?: string[]
  /** Options of our side. */
  readonly our?: ConnectionOptions
  /** Called with what gives up the meeting's servers. */
  readonly teardown: (close: () => Promise<unknown>) => void
}

/** Who meets whom: the other implementation, and how to bring the two together. */
export interface Pairing extends Implementation {
  meet(options: MeetOptions): Promise<Meeting>
}

export function ourServerAnd(client: PeerClient): Pairing {
  return {
    ...client,
    name: `our server and ${client.name}`,
    async meet({ transport, certificate, offered = [], known = [], our = {}, teardown }) {
      const { http, url, close } = await listen(transport, certificate)
      const server = new WebSocketServer({ server: http, protocols: known, ...our })
      teardown(async () => {
        for (const connection of server.connections) connection.terminate()
        await server.close()
        await close()
      })
      const accepted = once(server, 'connection')
      const theirs = await client.open(url, { protocols: offered, ca: certificate.cert })
      const [ours]: Connection[] = await accepted
      if (ours === undefined) throw new Error('no connection')
      return { ours, theirs }
    },
  }
}

export function ourClientAnd(server: PeerServer): Pairing {
  return {
    ...server,
    name: `our client and ${server.name}`,
    async meet({ transport, certificate, offered = [], known = [], our = {}, teardown }) {
      const { url, peer, close } = await server.listen(transport, { protocols: known, certificate })
      const ours = await connect(url, { protocols: offered, tls: { ca: certificate.cert }, ...our })
      teardown(async () => {
        ours.terminate()
        await close()
      })
      return { ours, theirs: await peer }
    },
  }
}
