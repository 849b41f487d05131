/**
 * An open WebSocket connection: the one owner of its Duplex. It feeds what comes in to decoder and receiver, what
 * goes out to the sender, and every event of its life to the close machine, whose effects it performs.
 *
 * Nothing that the peer, the network or a handler does is thrown from here: it ends the connection, and `CloseInfo`
 * tells the story.
 */
import { Buffer } from 'node:buffer'
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { CloseCode } from '../frames/close-code.ts'
import { decodeClosePayload, encodeClosePayload } from '../frames/close-payload.ts'
import { Decoder } from '../frames/decoder.ts'
import { maxControlPayload } from '../frames/header.ts'
import { type ControlOpcode, Opcode } from '../frames/opcode.ts'
import { type Violation, violation } from '../frames/violation.ts'
import { unfinishedMessages } from './budget.ts'
import type { CloseFrame, CloseInfo } from './close-info.ts'
import { ConnectionClosedError, ProtocolError } from './errors.ts'
import { heartbeatOf } from './heartbeat.ts'
import {
  beginLife,
  closeInfo,
  type ConnectionState,
  type Effect,
  type Failure,
  type Life,
  type LifeEvent,
  type LifeEvents,
  readyStates,
  receives,
  type Role,
  sends,
  step,
} from './lifecycle.ts'
import { maskKeysFrom } from './mask-keys.ts'
import { MessageQueue } from './message-queue.ts'
import { type ConnectionOptions, type ConnectionSettings, connectionSettings } from './options.ts'
import { Pings } from './pings.ts'
import { PeerWatch } from './peer-watch.ts'
import { type Message, Receiver } from './receiver.ts'
import { type Data, opcodeOf, payloadOf, Sender } from './sender.ts'
import type { Cancel } from './timers.ts'
import { type Wait, wait } from './wait.ts'

export interface ConnectionEvents {
  message: [message: Message]
  /** Answered already. */
  ping: [payload: Buffer]
  pong: [payload: Buffer]
  /** `send` may go on. */
  drain: []
  state: [state: ConnectionState]
  close: [info: CloseInfo]
}

/** What a connection over a Duplex of your own needs to know, once the handshake is done. */
export interface ConnectionInit extends ConnectionOptions {
  readonly role: Role
  /** The subprotocol agreed on; default none. */
  readonly protocol?: string
  readonly url?: string
  /** Called with what a listener or handler threw, instead of a process warning. */
  readonly onHandlerError?: (error: unknown, connection: Connection) => void
  /** Called when the connection has closed, before anybody else hears of it. */
  readonly onClosed?: (connection: Connection) => void
}

/** For the server: queues a frame that is whole already, as `send` would. */
export let sendFrame: (connection: Connection, frame: Buffer) => boolean
/** For the server: the connection's handler threw or rejected. */
export let failHandler: (connection: Connection, error: unknown) => void
/** Gives what is queued to a listener that has come; one function for all connections. */
let onNewListener: (this: Connection, event: string | symbol) => void

export class Connection
  extends EventEmitter<ConnectionEvents>
  implements AsyncIterable<Message>, AsyncDisposable
{
  /** The subprotocol agreed on, or the empty string. */
  readonly protocol: string
  /** A client's: the URL it is connected to. */
  readonly url?: string

  readonly #socket: Duplex
  readonly #settings: ConnectionSettings
  readonly #onHandlerError: ConnectionInit['onHandlerError']
  readonly #onClosed: ConnectionInit['onClosed']
  readonly #decoder: Decoder
  readonly #receiver: Receiver
  readonly #sender: Sender
  readonly #watch: PeerWatch
  /** A chunk of a net or TLS socket belongs to its reader; a chunk of somebody's Duplex may not be written to. */
  readonly #ownsChunks: boolean

  #life: Life
  readonly #events: (() => void)[] = []
  #stepping = false
  #info: CloseInfo | undefined
  #cancelDeadline: Cancel | undefined
  #cancelLinger: Cancel | undefined

  readonly #queue: MessageQueue
  #paused = false
  #finRead = false
  /** `close()` was called: what finds the queue full is thrown away, so that the peer's Close is found. */
  #discards = false

  readonly #pings = new Pings()
  readonly #drainWaits = new Set<Wait<void>>()
  readonly #partWaits = new Set<Wait<IteratorResult<Data>>>()
  readonly #flushWaits = new Set<Wait<void>>()
  readonly #closeWaits = new Set<Wait<CloseInfo>>()
  #closed: Promise<CloseInfo> | undefined

  static {
    sendFrame = (connection, frame) => connection.#admit() && connection.#sender.frame(frame)
    failHandler = (connection, error) => connection.#handlerFailed(error)
    // Node calls this when a listener's promise is rejected, because of `captureRejections`.
    Connection.prototype[EventEmitter.captureRejectionSymbol] = function (
        this: Connection,
        error: Error,
        ..._event: unknown[]
      ) {
      this.#handlerFailed(error)
    }
    onNewListener = function (event) {
      // The listener is added behind this event, and whoever adds it goes on first.
      if (event === 'message') process.nextTick(() => this.#drainQueue())
    }
  }

  /**
   * Speaks WebSocket over `socket`, on which the opening handshake has been made. Bytes behind it that were read
   * already must be put back with `unshift`.
   *
   * @throws TypeError or RangeError that names the wrong option
   */
  constructor(socket: Duplex, init: ConnectionInit) {
    super({ captureRejections: true })
    const { role, protocol = '', url } = init
    if (role !== 'client' && role !== 'server')
      throw new TypeError('option "role" must be "client" or "server"')
    const settings = connectionSettings(init, role)
    const { timers } = settings
    this.protocol = protocol
    if (url !== undefined) this.url = url
    this.#socket = socket
    this.#settings = settings
    this.#onHandlerError = init.onHandlerError
    this.#onClosed = init.onClosed
    this.#ownsChunks = socket instanceof Socket
    this.#life = step(beginLife(role, settings.closeReply === 'manual'), 'opened').life
    this.#queue = new MessageQueue(settings.maxQueuedMessages)
    this.#receiver = new Receiver(
      {
        message: (message) => this.#receive(message),
        control: (opcode, payload) => this.#control(opcode, payload),
        violation: (fault) => this.#violate(fault, 'protocol-error'),
      },
      unfinishedMessages,
    )
    this.#decoder = new Decoder(this.#receiver, {
      from: role === 'client' ? 'server' : 'client',
      maxMessageSize: settings.maxMessageSize,
    })
    this.#sender = new Sender(socket, {
      maskKeys: role === 'client' ? maskKeysFrom(settings.random) : undefined,
      highWaterMark: settings.highWaterMark,
      onDrain: () => this.#drained(),
    })
    this.#watch = new PeerWatch(settings, timers.now())
    unfinishedMessages.admit(settings.maxMessageSize)
    heartbeatOf(timers).add(this.#beat)
    EventEmitter.prototype.on.call(this, 'newListener', onNewListener)

    // TCP is ended when the closing handshake says so, not when the peer's end is read.
    socket.allowHalfOpen = true
    if (socket instanceof Socket) socket.setTimeout(0).setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('end', () => this.#ended())
    socket.on('error', (error) => this.#dispatch('socket-error', error))
    socket.on('close', () => this.#dispatch('socket-closed'))
    socket.on('drain', () => this.#sender.flush())
    // A socket that died while the handshake was under way will not say so again.
    if (socket.destroyed) process.nextTick(() => this.#dispatch('socket-closed'))
  }

  /** Who has closed what; see `ConnectionState`. */
  get state(): ConnectionState {
    return this.#life.state
  }

  /** The number that the WHATWG interface gives the state: 1 open, 2 closing, 3 closed. */
  get readyState(): 0 | 1 | 2 | 3 {
    return readyStates[this.#life.state]
  }

  /** Bytes sent that the kernel has not taken yet. */
  get bufferedAmount(): number {
    return this.#sender.bufferedAmount
  }

  /** The peer's address, where there is one and the connection is not closed. */
  get remoteAddress(): string | undefined {
    return this.#socket instanceof Socket ? this.#socket.remoteAddress : undefined
  }

  /** Resolves when TCP has ended, with the whole story; never rejects. */
  get closed(): Promise<CloseInfo> {
    this.#closed ??=
      this.#info === undefined
        ? wait<CloseInfo>(
            undefined,
            (end) => this.#closeWaits.add(end),
            () => {},
          )
        : Promise.resolve(this.#info)
    return this.#closed
  }

  /**
   * Sends one message: a string as text, anything else as binary (RFC 6455 section 6.1). A server sends large data
   * without copying it: do not change it before `drained()`.
   *
   * @returns false when the caller should wait for `drained()`; also when nothing can be sent any more, or when
   * `onBackpressure: 'drop'` dropped the message
   * @throws TypeError for data of another type
   */
  send(data: Data): boolean {
    payloadOf(data)
    return this.#admit() && this.#sender.message(data)
  }

  /**
   * Resolves when `send` may go on.
   *
   * Rejects with `ConnectionClosedError` once nothing more can be sent, with the signal's reason when that aborts.
   */
  drained(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (sends[this.state] && !this.#sender.mustDrain) return Promise.resolve()
    return this.#waitIn(this.#drainWaits, options.signal)
  }

  /**
   * Sends one message in fragments as they come (section 5.4), text if the first part is a string, else binary.
   * Other messages wait behind it; closing cuts it. Resolves when the last fragment is queued.
   *
   * Rejects with `ConnectionClosedError` when the connection closes first, and with what `parts` threw or a TypeError
   * for a part of the wrong type: the message cannot be taken back then, so the connection is failed with 1011.
   */
  sendFragments(parts: Iterable<Data> | AsyncIterable<Data>): Promise<void> {
    const iterator = iteratorOf(parts)
    const sent = this.#stream(iterator)
    sent.catch(() => {})
    return sent
  }

  /**
   * The next message, when no listener took it.
   *
   * Rejects with `ConnectionClosedError` after the last one, with the signal's reason when that aborts: then the
   * wait ends and no message is lost.
   */
  receive(options: { readonly signal?: AbortSignal } = {}): Promise<Message> {
    if (options.signal?.aborted === true) return this.#queue.wait(options.signal)
    const message = this.#take()
    if (message !== undefined) return Promise.resolve(message)
    const waiting = this.#queue.wait(options.signal)
    if (!this.#mayReceive()) this.#queue.rejectWaits(this.#closedError())
    return waiting
  }

  /** The messages until the connection closes; leaving the loop closes nothing. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const iterator: AsyncIterableIterator<Message> = {
      next: async () => {
        try {
          return { done: false, value: await this.receive() }
        } catch {
          return { done: true, value: undefined }
        }
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /**
   * Sends a Ping; resolves with the round trip in milliseconds.
   *
   * Rejects as `receive` does.
   *
   * @param data at most 125 bytes; default a number of its own
   * @throws RangeError for more (section 5.5), TypeError for data of another type
   */
  ping(data?: Data, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    const payload = data === undefined ? this.#pings.nextPayload() : Buffer.from(payloadOf(data))
    if (payload.length > maxControlPayload) {
      throw new RangeError(`a Ping holds at most 125 bytes, not ${payload.length} (RFC 6455 5.5)`)
    }
    const answered = this.#pings.sent(payload, this.#settings.timers.now(), options.signal)
    if (this.#info !== undefined) this.#pings.rejectAll(this.#closedError())
    else if (options.signal?.aborted !== true && sends[this.state]) this.#sender.ping(payload)
    return answered
  }

  /** Stops reading: no message and no event of the peer's until `resume`. While closing it has no effect. */
  pause(): void {
    this.#paused = true
    this.#regulate()
  }

  resume(): void {
    this.#paused = false
    this.#drainQueue()
    this.#regulate()
  }

  /**
   * Closes the connection: the whole handshake of RFC 6455 section 7.1.2, or the answer to the peer's Close. Messages
   * that still come are delivered until the peer's Close. Resolves as `closed` does.
   *
   * @param code default none, which the peer sees as 1005
   * @param reason at most 123 bytes of UTF-8
   * @throws RangeError for a code that must not be sent (section 7.4) or too long a reason, TypeError for a reason
   * without a code
   */
  close(code?: number, reason?: string): Promise<CloseInfo> {
    const frame = closeFrame(code, reason)
    this.#discards = true
    this.#dispatch('local-close', frame, false)
    this.#regulate()
    return this.closed
  }

  /**
   * Sends our Close and goes on receiving, without a deadline, until the peer closes; the keepalive still watches.
   * Resolves when the Close has left, or the connection is closed.
   *
   * @throws as `close` does
   */
  closeOutput(code?: number, reason?: string): Promise<void> {
    const frame = closeFrame(code, reason)
    this.#dispatch('local-close', frame, true)
    if (this.#life.sentFlushed || this.#info !== undefined) return Promise.resolve()
    return this.#waitIn(this.#flushWaits, undefined)
  }

  /** Ends it now, without a handshake. Messages that nobody has taken are gone. */
  terminate(): void {
    this.#queue.clear()
    this.#dispatch('terminate')
  }

  /** Closes with 1000 and waits for the end, at most `closeTimeout`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close(CloseCode.normal)
  }

  /** About once a second. */
  readonly #beat = (now: number): void => {
    const held = this.#held
    if (this.#watch.stalls(now, held, this.#decoder)) {
      this.#violate(violation('no-progress'), 'limit')
      return
    }
    const silence = this.#watch.silence(now, held)
    if (silence === 'ping' && this.state === 'open') this.#sender.ping(Buffer.alloc(0))
    else if (silence === 'gone') this.#dispatch('keepalive-timeout')
  }

  // Input

  #read(chunk: Buffer): void {
    this.#watch.heard(chunk.length)
    if (!receives[this.state]) return
    this.#sender.cork()
    this.#decoder.push(this.#ownsChunks ? chunk : Buffer.from(chunk))
    this.#sender.uncork()
    this.#regulate()
  }

  /** The peer has ended TCP. What it sent before and nobody has taken yet comes first. */
  #ended(): void {
    this.#finRead = true
    if (!this.#decoder.holding) this.#dispatch('peer-fin')
  }

  #receive(message: Message): void {
    if (this.#queue.handOver(message)) return
    if (!this.#paused && this.#queue.empty && this.listenerCount('message') > 0) {
      this.#tell('message', message)
      return
    }
    if (this.#discards && this.#queue.full) return
    this.#queue.push(message)
    if (this.#held) this.#decoder.hold()
  }

  #control(opcode: ControlOpcode, payload: Buffer): void {
    if (opcode === Opcode.close) {
      const frame = decodeClosePayload(payload)
      if ('name' in frame) this.#violate(frame, 'protocol-error')
      else this.#dispatch('close-received', frame)
    } else if (opcode === Opcode.ping) {
      if (this.state === 'open') this.#sender.pong(payload) // 5.5.2; not once our own Close is queued
      this.#tell('ping', payload)
    } else {
      this.#pings.pong(payload, this.#settings.timers.now())
      this.#tell('pong', payload)
    }
  }

  /** Reading has stopped because nobody takes what comes. */
  get #held(): boolean {
    return receives[this.state] && !this.#discards && (this.#paused || this.#queue.full)
  }

  /** Makes decoder and socket read or not read. */
  #regulate(): void {
    if (this.#held) {
      this.#decoder.hold()
      this.#socket.pause()
      return
    }
    const held = this.#decoder.holding
    this.#decoder.resume()
    // What was held may have filled the queue again.
    if (this.#held) this.#socket.pause()
    else if (this.#socket.isPaused()) this.#socket.resume()
    if (held && this.#finRead) this.#ended()
  }

  #take(): Message | undefined {
    const message = this.#queue.shift()
    if (message !== undefined) this.#regulate()
    return message
  }

  #mayReceive(): boolean {
    return this.#info === undefined && this.state !== 'close-received'
  }

  /** Gives what is queued to listeners that came later. */
  #drainQueue(): void {
    while (!this.#paused && this.listenerCount('message') > 0) {
      const message = this.#queue.shift()
      if (message === undefined) break
      this.#tell('message', message)
    }
    this.#regulate()
  }

  // Output

  /** Whether another message may be queued; applies `onBackpressure`. */
  #admit(): boolean {
    if (!sends[this.state]) return false
    const { maxBufferedAmount, onBackpressure } = this.#settings
    if (this.bufferedAmount <= maxBufferedAmount) return true
    if (onBackpressure === 'terminate') this.#violate(violation('send-buffer-full'), 'limit', true)
    return false
  }

  async #stream(parts: Iterator<Data> | AsyncIterator<Data>): Promise<void> {
    await this.#sender.beginStream()
    try {
      let opcode: ReturnType<typeof opcodeOf> | undefined
      /** A surrogate pair that two parts share must not be encoded by halves. */
      let half = ''
      for (;;) {
        const next = await this.#nextPart(parts)
        if (!sends[this.state]) throw new ConnectionClosedError(await this.closed)
        if (next.done === true) break
        const part: Data = next.value
        const first = opcode === undefined
        opcode ??= opcodeOf(part)
        if (opcodeOf(part) !== opcode)
          throw new TypeError('the parts of one message must be all strings or all bytes')
        let payload = payloadOf(part)
        if (typeof payload === 'string') {
          payload = half + payload
          half = /[\ud800-\udbff]$/.exec(payload)?.[0] ?? ''
          if (half !== '') payload = payload.slice(0, -1)
        }
        if (!this.#sender.fragment(first ? opcode : Opcode.continuation, payload, false)) await this.drained()
      }
      if (!sends[this.state]) throw new ConnectionClosedError(await this.closed)
      this.#sender.fragment(opcode === undefined ? Opcode.text : Opcode.continuation, half, true)
    } catch (error) {
      Promise.resolve(parts.return?.()).catch(() => {})
      if (!(error instanceof ConnectionClosedError))
        this.#fail('handler-error', CloseCode.internalError, asError(error))
      throw error
    } finally {
      this.#sender.endStream()
    }
  }

  /** The next part, unless the connection closes first. */
  #nextPart(parts: Iterator<Data> | AsyncIterator<Data>): Promise<IteratorResult<Data>> {
    const waits = this.#partWaits
    return wait<IteratorResult<Data>>(
      undefined,
      (end) => {
        waits.add(end)
        const next = Promise.resolve().then(() => parts.next())
        void next.then((part) => end.resolve(part), (error: unknown) => end.reject(error)).then(() => waits.delete(end))
      },
      () => {},
    )
  }

  #drained(): void {
    for (const end of this.#drainWaits) end.resolve()
    this.#drainWaits.clear()
    this.#tell('drain')
  }

  #waitIn(waits: Set<Wait<void>>, signal: AbortSignal | undefined): Promise<void> {
    const waiting = wait<void>(
      signal,
      (end) => waits.add(end),
      (end) => waits.delete(end),
    )
    if (this.#info !== undefined) this.#rejectIn(waits, this.#closedError())
    return waiting
  }

  #rejectIn<T>(waits: Set<Wait<T>>, reason: Error): void {
    for (const end of waits) end.reject(reason)
    waits.clear()
  }

  // Life

  /** Takes an event to the close machine. Events that its effects cause wait until those are done. */
  #dispatch<E extends LifeEvent>(event: E, ...detail: LifeEvents[E]): void {
    this.#events.push(() => {
      const before = this.#life.state
      const { life, effects } = step(this.#life, event, ...detail)
      this.#life = life
      for (const effect of effects) this.#perform(effect)
      if (event === 'close-flushed') this.#closeFlushed()
      if (life.state !== before) this.#entered(life.state)
    })
    if (this.#stepping) return
    this.#stepping = true
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) next()
    this.#stepping = false
  }

  #perform(effect: Effect): void {
    const { timers, closeTimeout, lingerTimeout } = this.#settings
    switch (effect) {
      case 'drop-output':
        return this.#sender.drop()
      case 'send-close': {
        const { code, reason } = this.#life.sent ?? {}
        return this.#sender.close(encodeClosePayload(code, reason), () => this.#dispatch('close-flushed'))
      }
      case 'end':
        return this.#sender.end()
      case 'start-deadline':
        this.#cancelDeadline = timers.after(closeTimeout, () => this.#dispatch('deadline'))
        return
      case 'start-linger':
        this.#cancelLinger = timers.after(lingerTimeout, () => this.#dispatch('linger'))
        return
      case 'destroy':
        this.#stopTimers()
        this.#socket.destroy()
        return
      case 'finish':
        this.#stopTimers()
        this.#info = closeInfo(this.#life)
    }
  }

  /** The state has changed: read or throw away, and tell. */
  #entered(state: ConnectionState): void {
    if (!receives[state]) {
      this.#decoder.stop()
      this.#receiver.clear()
      // Only a socket that is read tells of its end.
      this.#socket.resume()
    }
    if (state === 'close-received') this.#queue.rejectWaits(this.#closedError())
    this.#tell('state', state)
    if (this.#info !== undefined) this.#finish(this.#info)
  }

  #closeFlushed(): void {
    for (const end of this.#flushWaits) end.resolve()
    this.#flushWaits.clear()
  }

  #finish(info: CloseInfo): void {
    heartbeatOf(this.#settings.timers).delete(this.#beat)
    this.#onClosed?.(this)
    this.#sender.drop()
    const error = this.#closedError()
    this.#queue.rejectWaits(error)
    this.#pings.rejectAll(error)
    this.#rejectIn(this.#drainWaits, error)
    this.#rejectIn(this.#partWaits, error)
    this.#closeFlushed()
    for (const end of this.#closeWaits) end.resolve(info)
    this.#closeWaits.clear()
    this.#tell('close', info)
  }

  #stopTimers(): void {
    this.#cancelDeadline?.()
    this.#cancelLinger?.()
  }

  #closedError(): ConnectionClosedError {
    return new ConnectionClosedError(this.#info ?? closeInfo(this.#life))
  }

  #violate(fault: Violation, trigger: 'protocol-error' | 'limit', hopeless = false): void {
    this.#fail(trigger, fault.closeCode, new ProtocolError(fault), hopeless)
  }

  #fail(trigger: Failure['trigger'], code: number, error: Error, hopeless = false): void {
    const close: CloseFrame = { code, reason: error instanceof ProtocolError ? error.code : '' }
    this.#dispatch('violation', { close, trigger, error, hopeless })
  }

  // Handlers

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
    this.#fail('handler-error', CloseCode.internalError, asError(error))
    if (this.#onHandlerError === undefined) process.emitWarning(asError(error))
    else this.#onHandlerError(error, this)
  }
}

function closeFrame(code: number | undefined, reason: string | undefined): CloseFrame {
  encodeClosePayload(code, reason)
  return { code, reason: reason ?? '' }
}

function iteratorOf(parts: Iterable<Data> | AsyncIterable<Data>): Iterator<Data> | AsyncIterator<Data> {
  if (Symbol.asyncIterator in parts) return parts[Symbol.asyncIterator]()
  return parts[Symbol.iterator]()
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(`a handler threw ${String(error)}`)
}
