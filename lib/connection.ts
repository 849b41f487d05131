/**
 * An open WebSocket connection as the application has it. It only asks and tells: what it is asked for, its core does,
 * and what the core tells of, it emits.
 */
import { Buffer } from 'node:buffer'
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { CloseCode } from '../frames/close-code.ts'
import { encodeClosePayload } from '../frames/close-payload.ts'
import { maxControlPayload } from '../frames/header.ts'
import type { CloseFrame, CloseInfo } from './close-info.ts'
import type { ConnectionEvents } from './connection-events.ts'
import { Core } from './core.ts'
import type { DeflateAgreement } from './deflate/parameters.ts'
import type { DirectInput } from './direct-input.ts'
import { iteratorOf, type Parts } from './fragment-stream.ts'
import { type ConnectionState, readyStates, type Role, sends } from './lifecycle.ts'
import type { Message } from './message.ts'
import {
  checkConnectionOptions,
  type ConnectionOptions,
  type ConnectionSettings,
  connectionSettings,
} from './options.ts'
import { type Data, payloadOf } from './payload.ts'

/** What a connection over a Duplex needs to know, once the handshake is done. */
export interface ConnectionInit extends ConnectionOptions {
  readonly role: Role
  /** The subprotocol agreed on; default none. */
  readonly protocol?: string
  readonly url?: string
  /** What was agreed on for permessage-deflate (RFC 7692 section 5); default none. */
  readonly deflate?: DeflateAgreement | undefined
  /** @internal What the options come to, where that has been worked out already. */
  readonly settings?: ConnectionSettings
  /** @internal What comes on the socket beside its 'data'. */
  readonly input?: DirectInput
  /** Called with what a listener threw, instead of a process warning. */
  readonly onHandlerError?: (error: unknown, connection: Connection) => void
  /** Called when the connection has closed, before anybody else hears of it. */
  readonly onClosed?: (connection: Connection) => void
}

const ownOptionNames = [
  'role',
  'protocol',
  'url',
  'deflate',
  'settings',
  'input',
  'onHandlerError',
  'onClosed',
] as const satisfies readonly (keyof ConnectionInit)[]

/** For the server. */
export let coreOf: (connection: Connection) => Core<Connection>
/** Gives what is queued to a listener that is being added; one function for all connections. */
let onNewListener: (this: Connection, event: string | symbol) => void

export class Connection
  extends EventEmitter<ConnectionEvents>
  implements AsyncIterable<Message>, AsyncDisposable
{
  /** The subprotocol agreed on, or the empty string. */
  readonly protocol: string
  /** A client's: the URL it is connected to. */
  readonly url?: string
  readonly #core: Core<Connection>

  static {
    coreOf = (connection) => connection.#core
    onNewListener = function (event) {
      const { reader } = this.#core
      // The listener is added behind this event, and whoever adds it goes on first.
      if (event === 'message' && reader.queued) process.nextTick(() => reader.deliverQueued())
    }
    // Node calls this when a listener's promise is rejected, because of `captureRejections`.
    Connection.prototype[EventEmitter.captureRejectionSymbol] = function (
      this: Connection,
      error: Error,
      ..._event: unknown[]
    ) {
      this.#core.handlerFailed(error)
    }
  }

  /**
   * Speaks WebSocket over `socket`, on which the opening handshake has been made. Bytes behind the handshake that
   * were read already must have been put back with `unshift`.
   *
   * @throws TypeError or RangeError that names the wrong option
   */
  constructor(socket: Duplex, init: ConnectionInit) {
    super({ captureRejections: true })
    const { role, protocol = '', url } = init
    if (role !== 'client' && role !== 'server')
      throw new TypeError('option "role" must be "client" or "server"')
    if (init.settings === undefined) checkConnectionOptions(init, ownOptionNames)
    this.protocol = protocol
    if (url !== undefined) this.url = url
    this.#core = new Core<Connection>(this, socket, init.settings ?? connectionSettings(init, role), init)
    this.#watchListeners()
    init.input?.feed(this.#core)
  }

  /** Who has closed what; see `ConnectionState`. */
  get state(): ConnectionState {
    return this.#core.state
  }

  /** The number that the WHATWG interface gives the state: 1 open, 2 closing, 3 closed. */
  get readyState(): 0 | 1 | 2 | 3 {
    return readyStates[this.state]
  }

  /** Bytes sent that the kernel has not taken yet. */
  get bufferedAmount(): number {
    return this.#core.sender.bufferedAmount
  }

  /** The peer's address, where there is one; to be asked for while the connection is open. */
  get remoteAddress(): string | undefined {
    return this.#core.socket instanceof Socket ? this.#core.socket.remoteAddress : undefined
  }

  /** Resolves when TCP has ended, with the whole story; never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#core.wait((awaited) => awaited.end)
  }

  /**
   * Sends one message: a string as text, anything else as binary (RFC 6455 section 6.1). A server sends large data
   * without copying it: do not change it before `bufferedAmount` is 0.
   *
   * @param options.compress false to send this message as it is; default true where compression was agreed on
   * @returns false when the caller should wait for `drained()`; also when nothing can be sent any more, and when
   * `onBackpressure: 'drop'` dropped the message
   * @throws TypeError for data of another type
   */
  send(data: Data, options?: { readonly compress?: boolean }): boolean {
    const payload = payloadOf(data)
    return this.#core.send(payload, options?.compress ?? true)
  }

  /**
   * Resolves when `send` may go on.
   *
   * Rejects with `ConnectionClosedError` when the connection has closed, with the signal's reason when that aborts.
   */
  drained(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (sends[this.state] && !this.#core.sender.mustDrain) return Promise.resolve()
    return this.#core.wait((awaited) => awaited.drain(options.signal))
  }

  /**
   * Sends one message in fragments as they come (section 5.4): text if the first part is a string, else binary.
   * Messages sent meanwhile wait behind it; closing cuts it. Resolves when the last fragment is queued.
   *
   * Rejects with `ConnectionClosedError` when the connection closes first. Rejects with what `parts` threw, or a
   * TypeError for a part of the wrong type; the message cannot be taken back then, so the connection fails with 1011.
   *
   * @throws TypeError when `parts` is no iterable
   */
  sendFragments(parts: Parts): Promise<void> {
    const sent = this.#core.stream(iteratorOf(parts))
    sent.catch(() => {})
    return sent
  }

  /**
   * The next message. It goes to no listener then.
   *
   * Rejects with `ConnectionClosedError` after the last one, with the signal's reason when that aborts: that ends
   * the wait, and no message is lost.
   */
  receive(options: { readonly signal?: AbortSignal } = {}): Promise<Message> {
    const message = options.signal?.aborted === true ? undefined : this.#core.reader.take()
    if (message !== undefined) return Promise.resolve(message)
    return this.#core.waitForMessage(options.signal)
  }

  /** The messages until the connection closes. Leaving the loop closes nothing. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const iterator: AsyncIterableIterator<Message> = {
      next: () =>
        this.receive().then(
          (value) => ({ done: false, value }),
          () => ({ done: true, value: undefined }),
        ),
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /**
   * Sends a Ping; resolves with the round trip in milliseconds. A Pong to a later Ping answers this one too.
   *
   * Rejects with `ConnectionClosedError` when the connection closes first, with the signal's reason when that aborts.
   *
   * @param data at most 125 bytes; default a number of its own
   * @throws RangeError for more (section 5.5), TypeError for data of another type
   */
  ping(data?: Data, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    const payload = data === undefined ? undefined : Buffer.from(payloadOf(data))
    if (payload !== undefined && payload.length > maxControlPayload) {
      throw new RangeError(`a Ping holds at most 125 bytes, not ${payload.length} (RFC 6455 5.5)`)
    }
    return this.#core.ping(payload, options.signal)
  }

  /**
   * Stops reading: neither messages nor the peer's Pings and Close are seen until `resume`, or `close`. Meanwhile the
   * keepalive sends its Pings and expects no answer, and `progressTimeout` does not run.
   */
  pause(): void {
    this.#core.reader.pause()
  }

  /** Reads on after `pause`. */
  resume(): void {
    this.#core.reader.resume()
  }

  /**
   * Closes the connection: the whole handshake of RFC 6455 section 7.1.2, or the answer to the peer's Close. Messages
   * are delivered until the peer's Close comes. Resolves as `closed` does.
   *
   * @param code default none, which the peer sees as 1005
   * @param reason at most 123 bytes of UTF-8
   * @throws RangeError for a code that must not be sent (section 7.4) or too long a reason, TypeError for a reason
   * without a code
   */
  close(code?: number, reason?: string): Promise<CloseInfo> {
    const frame = closeFrame(code, reason)
    this.#core.closing.dispatch('local-close', frame, false)
    this.#core.reader.discard()
    return this.closed
  }

  /**
   * Sends our Close and goes on receiving without a deadline until the peer closes; only the keepalive watches.
   * Resolves when the Close has left, or the connection has closed.
   *
   * @throws as `close` does
   */
  closeOutput(code?: number, reason?: string): Promise<void> {
    const frame = closeFrame(code, reason)
    this.#core.closing.dispatch('local-close', frame, true)
    if (this.#core.closing.flushed || this.state === 'closed') return Promise.resolve()
    return this.#core.wait((awaited) => awaited.flush())
  }

  /** Ends it now, without a handshake. Messages that nobody has taken are gone. */
  terminate(): void {
    this.#core.reader.clear()
    this.#core.closing.dispatch('terminate')
  }

  /** Closes with 1000 and waits for the end, at most `closeTimeout`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close(CloseCode.normal)
  }

  /** As any emitter's. Messages are still kept for a listener that comes later. */
  override removeAllListeners(event?: keyof ConnectionEvents | 'newListener'): this {
    if (event === undefined) super.removeAllListeners()
    else super.removeAllListeners(event)
    if (event === undefined || event === 'newListener') this.#watchListeners()
    return this
  }

  #watchListeners(): void {
    EventEmitter.prototype.on.call(this, 'newListener', onNewListener)
  }
}

function closeFrame(code: number | undefined, reason = ''): CloseFrame {
  encodeClosePayload(code, reason)
  return { code, reason }
}
