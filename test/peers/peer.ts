/** Another implementation's end of a connection, in one vocabulary for all of them. */
import type { Connection } from '../../lib/index.ts'
import type { Wire } from './wire.ts'

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

/** What a Close has in it. */
export interface CloseBody {
  readonly code: number | undefined
  readonly reason: string
}

/** Tests that are not run with a peer since it does otherwise, each with the reason. */
export interface Difference {
  /** Matches their titles. */
  readonly tests: RegExp
  readonly why: string
}

export interface Implementation {
  /** The product and its version. */
  readonly name: string
  readonly version: string
  readonly transports: readonly Transport[]
  /** What its peers can do. */
  readonly abilities: readonly (keyof Abilities)[]
  /** Its permessage-deflate: it may agree to compression and then send nothing compressed. */
  readonly deflate: 'both ways' | 'inflates only' | 'none'
  /** Its application may close with any code, not only with 1000 and from 3000 on as WHATWG has it. */
  readonly closesWithAnyCode: boolean
  /** How it answers our Close: with our code, and perhaps our reason; the RFC leaves it open. */
  readonly answer: (close: CloseBody) => CloseBody
  /** What it tells of an end, where that is less than what happened. */
  readonly tells?: (record: PeerRecord, end: End) => PeerRecord
  /** The reasons for `answer` and `tells`, and what else is to be known. */
  readonly notes?: readonly string[]
  readonly differences?: readonly Difference[]
}

/** Who began the closing handshake, as far as there was one. */
export type End = 'ours' | 'theirs' | 'both' | 'lost'

/** What the two sides agree on, as far as the peer has a part in it. */
export interface Terms {
  readonly protocols: string[]
  /** permessage-deflate is offered, or accepted. */
  readonly deflate: boolean
}

/** An implementation that connects to our server. */
export interface PeerClient extends Implementation {
  /** Where the page is from that opens its connections, if it is a browser. */
  readonly origin?: string
  open(url: string, options: Terms & { ca: string }): Promise<Peer>
}

/** An implementation whose server our client connects to. */
export interface PeerServer extends Implementation {
  listen(
    transport: Transport,
    options: Terms & { certificate: Certificate },
  ): Promise<Listening & { readonly peer: Promise<Peer> }>
}

/** Both ends of an open connection. */
export interface Meeting {
  readonly ours: Connection
  readonly theirs: Peer
  /** What is between them, where that was asked for. */
  readonly wire: Wire | undefined
}
