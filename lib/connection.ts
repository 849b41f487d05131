/**
 * An open WebSocket connection: the one owner of its Duplex. The reader brings in what comes, the sender takes out
 * what goes, every event of its life goes to the close machine; here they meet the application.
 *
 * Nothing that the peer, the network or a handler does is thrown from here: it ends the connection, and `CloseInfo`
 * tells the story.
 */
import { Buffer } from 'node:buffer'
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { types } from 'node:util'
import { CloseCode } from '../frames/close-code.ts'
import { decodeClosePayload, encodeClosePayload } from '../frames/close-payload.ts'
import { maxControlPayload } from '../frames/header.ts'
import { type ControlOpcode, type MessageOpcode, Opcode } from '../frames/opcode.ts'
import { isLimit, type Violation, violation } from '../frames/violation.ts'
import type { CloseFrame, CloseInfo } from './close-info.ts'
import { Closing, type ClosingSink } from './closing.ts'
import { Deflater } from './deflate/deflater.ts'
import { type DeflateAgreement, type DeflateLimits, limitsFrom } from './deflate/parameters.ts'
import { Awaited } from './awaited.ts'
import type { DirectInput, InputSink } from './direct-input.ts'
import { asError, ConnectionClosedError, ProtocolError } from './errors.ts'
import { iteratorOf, type Parts, streamFragments } from './fragment-stream.ts'
import { type HeartbeatMember, heartbeatOf } from './heartbeat.ts'
import {
  type ConnectionState,
  type Failure,
  openLife,
  readyStates,
  receives,
  type Role,
  sends,
} from './lifecycle.ts'
import { maskKeysFrom } from './mask-keys.ts'
import {
  checkConnectionOptions,
  type ConnectionOptions,
  type ConnectionSettings,
  connectionSettings,
} from './options.ts'
import { PeerWatch } from './peer-watch.ts'
import { RateLimit } from './rate-limit.ts'
import { Reader, type ReaderOptions, type ReaderSink } from './reader.ts'
import type { Message } from './message.ts'
import { type Data, payloadOf } from './payload.ts'
import type { PreparedMessage } from './prepared-message.ts'
import { Sender, type SenderOptions, type SenderSink } from './sender.ts'
import { wholeMilliseconds } from './timers.ts'

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

/** For the server: queues a message for many connections, as `send` would. */
export let sendPrepared: (connection: Connection, message: PreparedMessage) => boolean
/** For the server: a handler of the connection threw or rejected. */
export let failHandler: (connection: Connection, error: unknown) => void
/** Gives what is queued to a listener that is being added; one function for all connections. */
let onNewListener: (this: Connection, event: string | symbol) => void

/** What the parts of a connection tell it. One object, since an idle connection would pay for a closure for each. */
type Inside = InputSink & ReaderSink & SenderSink & ClosingSink & HeartbeatMember
let insideOf: (connection: Connection) => Inside

/** A socket knows its connection, so that its listeners are the same for all. */
const owner = Symbol('connection')
type OwnedSocket = Duplex & { readonly [owner]: Connection }
type Listener<T extends unknown[] = []> = (this: OwnedSocket, ...detail: T) => void
let listeners: {
  readonly data: Listener<[chunk: Buffer]>
  readonly end: Listener
  readonly error: Listener<[error: Error]>
  readonly close: Listener
  readonly drain: Listener
}

export class Connection
  extends EventEmitter<ConnectionEvents>
  implements AsyncIterable<Message>, AsyncDisposable
{
  /** The subprotocol agreed on, or the empty string. */
  readonly protocol: string
  /** A client's: the URL it is connected to. */
  readonly url?: string

  readonly #inside: Inside
  readonly #socket: Duplex
  readonly #settings: ConnectionSettings
  readonly #onHandlerError: ConnectionInit['onHandlerError']
  readonly #onClosed: ConnectionInit['onClosed']
  readonly #reader: Reader
  readonly #sender: Sender
  readonly #closing: Closing
  readonly #watch: PeerWatch

  #awaited: Awaited | undefined

  static {
    sendPrepared = (connection, message) => connection.#admits() && connection.#sender.prepared(message)
    failHandler = (connection, error) => connection.#handlerFailed(error)
    onNewListener = function (event) {
      // The listener is added behind this event, and whoever adds it goes on first.
      if (event === 'message' && this.#reader.queued) process.nextTick(() => this.#reader.deliverQueued())
    }
    listeners = {
      data(chunk) {
        this[owner].#read(chunk)
      },
      end() {
        this[owner].#reader.end()
      },
      error(error) {
        this[owner].#closing.dispatch('socket-error', error)
      },
      close() {
        this[owner].#closing.dispatch('socket-closed')
      },
      drain() {
        this[owner].#sender.flush()
      },
    }
    insideOf = (connection) => new Inside(connection)
    const Inside = class implements Inside {
      readonly #of: Connection

      constructor(connection: Connection) {
        this.#of = connection
      }

      read(chunk: Buffer): void {
        this.#of.#read(chunk)
      }

      roomAhead(): Buffer | undefined {
        return this.#of.#reader.roomAhead()
      }

      filled(room: Buffer, size: number): void {
        this.#of.#filled(room, size)
      }

      deliver(message: Message): boolean {
        return this.#of.#deliver(message)
      }

      control(opcode: ControlOpcode, payload: Buffer): void {
        this.#of.#control(opcode, payload)
      }

      violation(fault: Violation): void {
        this.#of.#violated(fault)
      }

      ended(): void {
        this.#of.#closing.dispatch('peer-fin')
      }

      exceeded(): void {
        this.#of.#reader.waitForOutput()
      }

      drained(): void {
        this.#of.#drained()
      }

      moved(state: ConnectionState): void {
        this.#of.#moved(state)
      }

      entered(state: ConnectionState): void {
        this.#of.#tell('state', state)
      }

      flushed(): void {
        this.#of.#awaited?.flushed()
      }

      finished(info: CloseInfo): void {
        this.#of.#finished(info)
      }

      beat(now: number): void {
        this.#of.#beat(now)
      }
    }
    // Node calls this when a listener's promise is rejected, because of `captureRejections`.
    Connection.prototype[EventEmitter.captureRejectionSymbol] = function (
      this: Connection,
      error: Error,
      ..._event: unknown[]
    ) {
      this.#handlerFailed(error)
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
    const settings = init.settings ?? connectionSettings(init, role)
    const { timers, closeReply, random, highWaterMark, maxBufferedAmount } = settings
    const inside = insideOf(this)
    this.protocol = protocol
    if (url !== undefined) this.url = url
    this.#socket = socket
    this.#settings = settings
    this.#onHandlerError = init.onHandlerError
    this.#onClosed = init.onClosed
    this.#inside = inside
    this.#watch = new PeerWatch(settings, wholeMilliseconds(timers))
    const output = limitsFrom(role, init.deflate)
    this.#sender = new Sender(
      socket,
      {
        maskKeys: role === 'client' ? maskKeysFrom(random) : undefined, // 5.1
        compression: output === undefined ? undefined : outputCompression(output, settings),
        highWaterMark,
        maxBufferedAmount,
      },
      inside,
    )
    const from = role === 'client' ? 'server' : 'client'
    this.#reader = new Reader(socket, readerOptions(from, init.deflate, settings), inside)
    const life = openLife(role, closeReply === 'manual')
    this.#closing = new Closing(life, socket, this.#sender, settings, inside)
    heartbeatOf(timers).add(inside)
    this.#watchListeners()
    this.#listenTo(socket)
    init.input?.feed(inside)
  }

  /** Who has closed what; see `ConnectionState`. */
  get state(): ConnectionState {
    return this.#closing.state
  }

  /** The number that the WHATWG interface gives the state: 1 open, 2 closing, 3 closed. */
  get readyState(): 0 | 1 | 2 | 3 {
    return readyStates[this.state]
  }

  /** Bytes sent that the kernel has not taken yet. */
  get bufferedAmount(): number {
    return this.#sender.bufferedAmount
  }

  /** The peer's address, where there is one; to be asked for while the connection is open. */
  get remoteAddress(): string | undefined {
    return this.#socket instanceof Socket ? this.#socket.remoteAddress : undefined
  }

  /** Resolves when TCP has ended, with the whole story; never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#await((awaited) => awaited.end)
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
    return this.#admits() && this.#sender.message(payload, options?.compress ?? true)
  }

  /**
   * Resolves when `send` may go on.
   *
   * Rejects with `ConnectionClosedError` when the connection has closed, with the signal's reason when that aborts.
   */
  drained(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (sends[this.state] && !this.#sender.mustDrain) return Promise.resolve()
    return this.#await((awaited) => awaited.drain(options.signal))
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
    const sent = this.#stream(iteratorOf(parts))
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
    const message = options.signal?.aborted === true ? undefined : this.#reader.take()
    if (message !== undefined) return Promise.resolve(message)
    const waiting = this.#reader.wait(options.signal)
    if (this.state === 'closed' || this.state === 'close-received')
      this.#reader.rejectWaits(this.#closedError())
    return waiting
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
    const { signal } = options
    const payload = data === undefined ? this.#waits.pings.nextPayload() : Buffer.from(payloadOf(data))
    if (payload.length > maxControlPayload) {
      throw new RangeError(`a Ping holds at most 125 bytes, not ${payload.length} (RFC 6455 5.5)`)
    }
    const now = this.#settings.timers.now()
    const answered = this.#await(({ pings }) => pings.sent(payload, now, signal))
    if (sends[this.state] && signal?.aborted !== true) this.#sender.ping(payload)
    return answered
  }

  /**
   * Stops reading: neither messages nor the peer's Pings and Close are seen until `resume`, or `close`. Meanwhile the
   * keepalive sends its Pings and expects no answer, and `progressTimeout` does not run.
   */
  pause(): void {
    this.#reader.pause()
  }

  /** Reads on after `pause`. */
  resume(): void {
    this.#reader.resume()
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
    this.#closing.dispatch('local-close', frame, false)
    this.#reader.discard()
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
    this.#closing.dispatch('local-close', frame, true)
    if (this.#closing.flushed || this.state === 'closed') return Promise.resolve()
    return this.#await((awaited) => awaited.flush())
  }

  /** Ends it now, without a handshake. Messages that nobody has taken are gone. */
  terminate(): void {
    this.#reader.clear()
    this.#closing.dispatch('terminate')
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

  #listenTo(socket: Duplex): void {
    // TCP ends when the close machine says so, not when the peer's end is read.
    socket.allowHalfOpen = true
    if (socket instanceof Socket) socket.setTimeout(0).setNoDelay(true)
    const owned: Duplex & { [owner]?: Connection } = socket
    owned[owner] = this
    socket.on('data', listeners.data)
    socket.on('end', listeners.end)
    socket.on('error', listeners.error)
    socket.on('close', listeners.close)
    socket.on('drain', listeners.drain)
    socket.resume() // Who brought it may have paused it, as long as nobody listened.
    // A socket that ended or died during the handshake will not say so again.
    if (socket.readableEnded) process.nextTick(() => this.#reader.end())
    if (socket.closed) process.nextTick(() => this.#closing.dispatch('socket-closed'))
  }

  #filled(room: Buffer, size: number): void {
    this.#watch.heard(size)
    this.#sender.cork()
    this.#reader.filled(room, size)
    this.#sender.uncork()
  }

  #read(chunk: Buffer): void {
    this.#watch.heard(chunk.length)
    // All that the frames of one read cause to be sent leaves in one write.
    this.#sender.cork()
    this.#reader.read(chunk)
    this.#sender.uncork()
  }

  #control(opcode: ControlOpcode, payload: Buffer): void {
    if (opcode === Opcode.close) {
      const frame = decodeClosePayload(payload)
      if ('name' in frame) this.#violated(frame)
      else this.#closing.dispatch('close-received', frame)
    } else if (opcode === Opcode.ping) {
      this.#sender.pong(payload) // 5.5.2; behind our own Close it goes nowhere
      this.#tell('ping', payload)
    } else {
      this.#awaited?.pong(payload, this.#settings.timers.now())
      this.#tell('pong', payload)
    }
  }

  /** Whether another message may be queued; applies `onBackpressure`. */
  #admits(): boolean {
    if (!sends[this.state]) return false
    if (!this.#sender.full) return true
    if (this.#settings.onBackpressure === 'terminate') this.#violated(violation('send-buffer-full'), true)
    return false
  }

  #drained(): void {
    this.#reader.outputGone()
    if (!sends[this.state]) return
    this.#awaited?.drained()
    this.#tell('drain')
  }

  async #stream(parts: ReturnType<typeof iteratorOf>): Promise<void> {
    await this.#sender.beginTurn('stream')
    try {
      if (sends[this.state]) {
        await streamFragments(parts, {
          fragment: (opcode, payload, fin) => this.#fragment(opcode, payload, fin),
          unlessClosed: (part) => this.#await((awaited) => awaited.unlessEnded(part)),
        })
        return
      }
    } catch (error) {
      // The rest of the message will never come, and there is no frame that says so.
      if (sends[this.state]) this.#failed('handler-error', CloseCode.internalError, asError(error))
      throw error
    } finally {
      this.#sender.endTurn()
    }
    throw new ConnectionClosedError(await this.closed)
  }

  async #fragment(
    opcode: MessageOpcode | typeof Opcode.continuation,
    payload: Uint8Array | string,
    fin: boolean,
  ): Promise<void> {
    if (!sends[this.state]) throw new ConnectionClosedError(await this.closed)
    const room = this.#sender.fragment(opcode, payload, fin)
    if (!fin) await this.#await((awaited) => awaited.unlessEnded(room))
  }

  get #waits(): Awaited {
    return (this.#awaited ??= new Awaited())
  }

  /** Waits for something; where the end has come, it will not be in vain. */
  #await<T>(wait: (awaited: Awaited) => Promise<T>): Promise<T> {
    const waiting = wait(this.#waits)
    const { info } = this.#closing
    if (info !== undefined) this.#waits.ended(info)
    return waiting
  }

  /** About once a second. */
  #beat(now: number): void {
    if (this.#socket.closed && this.#socket.writableLength === 0) {
      this.#closing.dispatch('socket-closed') // A Duplex with `emitClose: false` does not say so.
      return
    }
    this.#reader.beat()
    const { held } = this.#reader
    if (receives[this.state] && this.#watch.stalls(now, held, this.#reader)) {
      this.#violated(violation('no-progress'))
      return
    }
    this.#watch.output(this.#socket.writableLength, this.#sender.takenAmount)
    const silence = this.#watch.silence(now, held)
    if (silence === 'ping' && sends[this.state]) this.#sender.ping(Buffer.alloc(0))
    else if (silence === 'gone') this.#closing.dispatch('keepalive-timeout')
  }

  #violated(fault: Violation, hopeless = false): void {
    const trigger = isLimit(fault) ? 'limit' : 'protocol-error'
    this.#failed(trigger, fault.closeCode, new ProtocolError(fault), hopeless)
  }

  #failed(trigger: Failure['trigger'], code: number, error: Error, hopeless = false): void {
    const reason = error instanceof ProtocolError ? error.code : ''
    this.#closing.dispatch('violation', { close: { code, reason }, trigger, error, hopeless })
  }

  #moved(state: ConnectionState): void {
    if (!receives[state]) this.#reader.stop()
    if (state === 'close-received') this.#reader.rejectWaits(this.#closedError())
  }

  #finished(info: CloseInfo): void {
    heartbeatOf(this.#settings.timers).delete(this.#inside)
    this.#sender.drop()
    callBack(
      () => this.#onClosed?.(this),
      (error) => this.#handlerFailed(error),
    )
    if (this.#reader.awaited) this.#reader.rejectWaits(new ConnectionClosedError(info))
    this.#awaited?.ended(info)
    this.#tell('close', info)
  }

  #closedError(): ConnectionClosedError {
    return new ConnectionClosedError(this.#closing.infoSoFar)
  }

  /** As `#tell`, spelled out: `emit` is told of its one argument, and tells whether anybody listens. */
  #deliver(message: Message): boolean {
    try {
      return this.emit('message', message)
    } catch (error) {
      this.#handlerFailed(error)
      return true
    }
  }

  /** Emits; what a listener throws ends the connection, not the process. */
  #tell<E extends keyof ConnectionEvents>(event: E, ...detail: ConnectionEvents[E]): void {
    try {
      this.emit<keyof ConnectionEvents>(event, ...detail)
    } catch (error) {
      this.#handlerFailed(error)
    }
  }

  #handlerFailed(error: unknown): void {
    // That the connection is closing is not news: a handler that waited for more has simply ended.
    if (error instanceof ConnectionClosedError && this.state !== 'open') return
    this.#failed('handler-error', CloseCode.internalError, asError(error))
    const onHandlerError = this.#onHandlerError ?? warnOf
    callBack(() => onHandlerError(error, this), warnOf)
  }
}

/** Calls the application back: what that throws, or rejects with where it is async, goes to `failed`. */
function callBack(callback: () => unknown, failed: (error: unknown) => void): void {
  try {
    const returned = callback()
    if (types.isPromise(returned)) returned.catch(failed)
  } catch (error) {
    failed(error)
  }
}

function warnOf(error: unknown): void {
  process.emitWarning(asError(error))
}

function readerOptions(
  from: Role,
  deflate: DeflateAgreement | undefined,
  { maxMessageSize, maxQueuedMessages, rateLimit, timers }: ConnectionSettings,
): ReaderOptions {
  return {
    from,
    maxMessageSize,
    maxQueuedMessages,
    rateLimit: rateLimit === false ? undefined : new RateLimit(rateLimit, timers),
    deflate: limitsFrom(from, deflate),
  }
}

function outputCompression(
  limits: DeflateLimits,
  { compression }: ConnectionSettings,
): SenderOptions['compression'] {
  if (compression === false) throw new TypeError('"deflate" was agreed on, but option "compression" is off')
  const { level, memLevel, threshold } = compression
  return { deflater: new Deflater({ ...limits, level, memLevel }), threshold }
}

function closeFrame(code: number | undefined, reason = ''): CloseFrame {
  encodeClosePayload(code, reason)
  return { code, reason }
}
