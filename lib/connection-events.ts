/** What a connection tells the application of. */
import type { Buffer } from 'node:buffer'
import type { CloseInfo } from './close-info.ts'
import type { ConnectionState } from './lifecycle.ts'
import type { Message } from './message.ts'

export interface ConnectionEvents {
  /**
   * Text as a string, binary as a Buffer that is the listener's to keep and to change. Its `buffer` may hold other data
   * too: transfer a copy, not that.
   */
  message: [message: Message]
  /** It has been answered. */
  ping: [payload: Buffer]
  /** An answer to one of our Pings, or a Pong that nobody asked for (RFC 6455 section 5.5.3). */
  pong: [payload: Buffer]
  /** `send` may go on. */
  drain: []
  /** It has changed; each state is told of once, in order. */
  state: [state: ConnectionState]
  /** TCP has ended: the whole story, once. */
  close: [info: CloseInfo]
}
