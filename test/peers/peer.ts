/** Another implementation's end of a connection, in one vocabulary for all of them. */
import type { Connection } from '../../lib/index.ts'

/** Its own story of the end. */
export interface PeerRecord {
  readonly code: number
  readonly reason: string
  readonly wasClean: boolean
}

export interface Peer {
  /** The subprotocol it believes in. */
  readonly protocol: string
  readonly closed: Promise<PeerRecord>
  send(data: string | Buffer): void
  /** The next message. */
  receive(): Promise<string | Buffer>
  close(code?: number, reason?: string): void
  /** What only some can do. */
  readonly can: Abilities
}

export interface Abilities {
  /** Sends a Ping; resolves with the payload of the Pong. */
  readonly ping?: (payload: Buffer) => Promise<Buffer>
  /** Sends one frame of a message. */
  readonly fragment?: (part: string | Buffer, options: { binary: boolean; fin: boolean }) => void
  readonly terminate?: () => void
  /** Stops reading. */
  readonly pause?: () => void
  readonly resume?: () => void
}

/** How they listen or connect. */
export type Transport = 'TCP' | 'TLS' | 'a Unix socket'

/** A private key and its certificate in PEM. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** A server of whichever kind, for one connection. */
export interface Listening {
  /** Where: an address to connect to. */
  readonly url: string
  readonly close: () => Promise<unknown>
}

export interface Implementation {
  readonly name: string
  readonly transports: readonly Transport[]
  /** What its peers can do. */
  readonly abilities: readonly (keyof Abilities)[]
  /** Its application may close with any code, not only with 1000 and from 3000 on as WHATWG has it. */
  readonly closesWithAnyCode: boolean
  /** It repeats our reason, not only our code, in its answer; the RFC leaves it open. */
  readonly repeatsReason: boolean
}

/** An implementation that connects to our server. */
export interface PeerClient extends Implementation {
  open(url: string, options: { protocols: string[]; ca: string }): Promise<Peer>
}

/** An implementation whose server our client connects to. */
export interface PeerServer extends Implementation {
  listen(
    transport: Transport,
    options: { protocols: string[]; certificate: Certificate },
  ): Promise<Listening & { readonly peer: Promise<Peer> }>
}

/** Both ends of an open connection. */
export interface Meeting {
  readonly ours: Connection
  readonly theirs: Peer
}
