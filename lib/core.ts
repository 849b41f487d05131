/**
 * The core of a connection: the one owner of its Duplex. The reader brings in what comes, the sender takes out what
 * goes, every event of its life goes to the close machine, and what concerns the application is emitted by its face.
 *
 * Nothing that the peer, the network or a handler does is thrown from here: it ends the connection, and `CloseInfo`
 * tells the story.
 */
import { Buffer } from 'node:buffer'
import type { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { types } from 'node:util'
import { CloseCode } from '../frames/close-code.ts'
import { decodeClosePayload } from '../frames/close-payload.ts'
import { type ControlOpcode, type MessageOpcode, Opcode } from '../frames/opcode.ts'
import { isLimit, type Violation, violation } from '../frames/violation.ts'
import { Awaited } from './awaited.ts'
import type { CloseInfo } from './close-info.ts'
import { Closing, type ClosingSink } from './closing.ts'
import type { ConnectionEvents } from './connection-events.ts'
import { Deflater } from './deflate/deflater.ts'
import { type DeflateAgreement, type DeflateLimits, limitsFrom } from './deflate/parameters.ts'
import type { InputSink } from './direct-input.ts'
import { asError, ConnectionClosedError, ProtocolError } from './errors.ts'
import { type iteratorOf, streamFragments } from './fragment-stream.ts'
import { type HeartbeatMember, heartbeatOf } from './heartbeat.ts'
import { type ConnectionState, type Failure, openLife, receives, type Role, sends } from './lifecycle.ts'
import { maskKeysFrom } from './mask-keys.ts'
import type { Message } from './message.ts'
import type { ConnectionSettings } from './options.ts'
import { PeerWatch } from './peer-watch.ts'
import { RateLimit } from './rate-limit.ts'
import type { PreparedMessage } from './prepared-message.ts'
import { Reader, type ReaderOptions, type ReaderSink } from './reader.ts'
import { Sender, type SenderOptions, type SenderSink } from './sender.ts'
import { wholeMilliseconds } from './timers.ts'

export interface CoreInit<Face> {
  readonly role: Role
  readonly deflate?: DeflateAgreement | undefined
  /** Called with what a listener threw, instead of a process warning. */
  readonly onHandlerError?: (error: unknown, face: Face) => void
  /** Called when the connection has closed, before anybody else hears of it. */
  readonly onClosed?: (face: Face) => void
}

/** A socket knows its core, so that its listeners are the same for all. */
const core = Symbol('core')
type Owner = Pick<Core, 'read' | 'reader' | 'sender' | 'closing'>
type OwnedSocket = Duplex & { readonly [core]: Owner }
type Listener<T extends unknown[] = []> = (this: OwnedSocket, ...detail: T) => void
const onData: Listener<[chunk: Buffer]> = function (chunk) {
  this[core].read(chunk)
}
const onEnd: Listener = function () {
  this[core].reader.end()
}
const onError: Listener<[error: Error]> = function (error) {
  this[core].closing.dispatch('socket-error', error)
}
const onClose: Listener = function () {
  this[core].closing.dispatch('socket-closed')
}
const onDrain: Listener = function () {
  this[core].sender.flush()
}

export class Core<Face extends EventEmitter<ConnectionEvents> = EventEmitter<ConnectionEvents>>
  implements InputSink, ReaderSink, SenderSink, ClosingSink, HeartbeatMember
{
  readonly socket: Duplex
  readonly reader: Reader
  readonly sender: Sender
  readonly closing: Closing
  readonly #settings: ConnectionSettings
  readonly #face: Face
  readonly #onHandlerError: CoreInit<Face>['onHandlerError']
  readonly #onClosed: CoreInit<Face>['onClosed']
  readonly #watch: PeerWatch
  #awaited: Awaited | undefined

  constructor(face: Face, socket: Duplex, settings: ConnectionSettings, init: CoreInit<Face>) {
    const { role, deflate } = init
    const { timers, closeReply, random, highWaterMark, maxBufferedAmount } = settings
    this.socket = socket
    this.#settings = settings
    this.#face = face
    this.#onHandlerError = init.onHandlerError
    this.#onClosed = init.onClosed
    this.#watch = new PeerWatch(settings, wholeMilliseconds(timers))
    const output = limitsFrom(role, deflate)
    this.sender = new Sender(
      socket,
      {
        maskKeys: role === 'client' ? maskKeysFrom(random) : undefined, // 5.1
        compression: output === undefined ? undefined : outputCompression(output, settings),
        highWaterMark,
        maxBufferedAmount,
      },
      this,
    )
    const from = role === 'client' ? 'server' : 'client'
    this.reader = new Reader(socket, readerOptions(from, deflate, settings), this)
    const life = openLife(role, closeReply === 'manual')
    this.closing = new Closing(life, socket, this.sender, settings, this)
    heartbeatOf(timers).add(this)
    this.#listen()
  }

  get state(): ConnectionState {
    return this.closing.state
  }

  /** Queues a message; false as for `Connection.send`. */
  send(payload: Uint8Array | string, compress: boolean): boolean {
    return this.#admits() && this.sender.message(payload, compress)
  }

  /** The same for one that many connections send. */
  sendPrepared(message: PreparedMessage): boolean {
    return this.#admits() && this.sender.prepared(message)
  }

  /** Sends one message from what the iterator yields; settles as `Connection.sendFragments` does. */
  async stream(parts: ReturnType<typeof iteratorOf>): Promise<void> {
    await this.sender.beginTurn('stream')
    try {
      if (sends[this.state]) {
        await streamFragments(parts, {
          fragment: (opcode, payload, fin) => this.#fragment(opcode, payload, fin),
          unlessClosed: (part) => this.wait((awaited) => awaited.unlessEnded(part)),
        })
        return
      }
    } catch (error) {
      // The rest of the message will never come, and there is no frame that says so.
      if (sends[this.state]) this.#failed('handler-error', CloseCode.internalError, asError(error))
      throw error
    } finally {
      this.sender.endTurn()
    }
    throw await this.#ended()
  }

  /** Sends a Ping, which has a payload of its own by default; settles as `Connection.ping` does. */
  ping(data: Buffer | undefined, signal: AbortSignal | undefined): Promise<number> {
    const now = this.#settings.timers.now()
    const { pings } = this.#waits
    const payload = data ?? pings.nextPayload()
    const answered = this.wait(() => pings.sent(payload, now, signal))
    if (sends[this.state] && signal?.aborted !== true) this.sender.ping(payload)
    return answered
  }

  /** Waits for something; where the end has come, it will not be in vain. */
  wait<T>(begin: (awaited: Awaited) => Promise<T>): Promise<T> {
    const awaited = this.#waits
    const waiting = begin(awaited)
    const { info } = this.closing
    if (info !== undefined) awaited.ended(info)
    return waiting
  }

  /** Waits for the next message; rejects at once where none will come. */
  waitForMessage(signal: AbortSignal | undefined): Promise<Message> {
    const waiting = this.reader.wait(signal)
    if (this.state === 'closed' || this.state === 'close-received') this.#rejectReads()
    return waiting
  }

  /** A handler threw or rejected. */
  handlerFailed(error: unknown): void {
    // That the connection is closing is not news: a handler that waited for more has simply ended.
    if (error instanceof ConnectionClosedError && this.state !== 'open') return
    this.#failed('handler-error', CloseCode.internalError, asError(error))
    const onHandlerError = this.#onHandlerError ?? warnOf
    callBack(() => onHandlerError(error, this.#face), warnOf)
  }

  // What comes

  read(chunk: Buffer): void {
    this.#watch.heard(chunk.length)
    // All that the frames of one read cause to be sent leaves in one write.
    this.sender.cork()
    this.reader.read(chunk)
    this.sender.uncork()
  }

  roomAhead(): Buffer | undefined {
    return this.reader.roomAhead()
  }

  filled(room: Buffer, size: number): void {
    this.#watch.heard(size)
    this.sender.cork()
    this.reader.filled(room, size)
    this.sender.uncork()
  }

  /** As `#tell`, spelled out: `emit` is told of its one argument, and tells whether anybody listens. */
  deliver(message: Message): boolean {
    try {
      return this.#face.emit('message', message)
    } catch (error) {
      this.handlerFailed(error)
      return true
    }
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    if (opcode === Opcode.close) {
      const frame = decodeClosePayload(payload)
      if ('name' in frame) this.#violated(frame)
      else this.closing.dispatch('close-received', frame)
    } else if (opcode === Opcode.ping) {
      this.sender.pong(payload) // 5.5.2; behind our own Close it goes nowhere
      this.#tell('ping', payload)
    } else {
      this.#awaited?.pong(payload, this.#settings.timers.now())
      this.#tell('pong', payload)
    }
  }

  violation(fault: Violation): void {
    this.#violated(fault)
  }

  ended(): void {
    this.closing.dispatch('peer-fin')
  }

  // What becomes of the output

  exceeded(): void {
    this.reader.waitForOutput()
  }

  drained(): void {
    this.reader.outputGone()
    if (!sends[this.state]) return
    this.#awaited?.drained()
    this.#tell('drain')
  }

  // How it closes

  moved(state: ConnectionState): void {
    if (!receives[state]) this.reader.stop()
    if (state === 'close-received') this.#rejectReads()
  }

  entered(state: ConnectionState): void {
    this.#tell('state', state)
  }

  flushed(): void {
    this.#awaited?.flushed()
  }

  finished(info: CloseInfo): void {
    heartbeatOf(this.#settings.timers).delete(this)
    this.sender.drop()
    callBack(
      () => this.#onClosed?.(this.#face),
      (error) => this.handlerFailed(error),
    )
    if (this.reader.awaited) this.#rejectReads()
    this.#awaited?.ended(info)
    this.#tell('close', info)
  }

  /** About once a second. */
  beat(now: number): void {
    const { socket, reader, sender } = this
    if (socket.closed && socket.writableLength === 0) {
      this.closing.dispatch('socket-closed') // A Duplex with `emitClose: false` does not say so.
      return
    }
    reader.beat()
    const { held } = reader
    if (receives[this.state] && this.#watch.stalls(now, held, reader)) {
      this.#violated(violation('no-progress'))
      return
    }
    this.#watch.output(socket.writableLength, sender.takenAmount)
    const silence = this.#watch.silence(now, held)
    if (silence === 'ping' && sends[this.state]) sender.ping(Buffer.alloc(0))
    else if (silence === 'gone') this.closing.dispatch('keepalive-timeout')
  }

  get #waits(): Awaited {
    return (this.#awaited ??= new Awaited())
  }

  #listen(): void {
    const { socket } = this
    // TCP ends when the close machine says so, not when the peer's end is read.
    socket.allowHalfOpen = true
    if (socket instanceof Socket) socket.setTimeout(0).setNoDelay(true)
    const owned: Duplex & { [core]?: Owner } = socket
    owned[core] = this
    socket.on('data', onData)
    socket.on('end', onEnd)
    socket.on('error', onError)
    socket.on('close', onClose)
    socket.on('drain', onDrain)
    socket.resume() // Who brought it may have paused it, as long as nobody listened.
    // A socket that ended or died during the handshake will not say so again.
    if (socket.readableEnded) process.nextTick(() => this.reader.end())
    if (socket.closed) process.nextTick(() => this.closing.dispatch('socket-closed'))
  }

  /** Whether another message may be queued; applies `onBackpressure`. */
  #admits(): boolean {
    if (!sends[this.state]) return false
    if (!this.sender.full) return true
    if (this.#settings.onBackpressure === 'terminate') this.#violated(violation('send-buffer-full'), true)
    return false
  }

  async #fragment(
    opcode: MessageOpcode | typeof Opcode.continuation,
    payload: Uint8Array | string,
    fin: boolean,
  ): Promise<void> {
    if (!sends[this.state]) throw await this.#ended()
    const room = this.sender.fragment(opcode, payload, fin)
    if (!fin) await this.wait((awaited) => awaited.unlessEnded(room))
  }

  /** The end, as an error. */
  async #ended(): Promise<ConnectionClosedError> {
    return new ConnectionClosedError(await this.wait((awaited) => awaited.end))
  }

  #rejectReads(): void {
    this.reader.rejectWaits(new ConnectionClosedError(this.closing.infoSoFar))
  }

  #violated(fault: Violation, hopeless = false): void {
    const trigger = isLimit(fault) ? 'limit' : 'protocol-error'
    this.#failed(trigger, fault.closeCode, new ProtocolError(fault), hopeless)
  }

  #failed(trigger: Failure['trigger'], code: number, error: Error, hopeless = false): void {
    const reason = error instanceof ProtocolError ? error.code : ''
    this.closing.dispatch('violation', { close: { code, reason }, trigger, error, hopeless })
  }

  /** Emits; what a listener throws ends the connection, not the process. */
  #tell<E extends keyof ConnectionEvents>(event: E, ...detail: ConnectionEvents[E]): void {
    try {
      this.#face.emit<keyof ConnectionEvents>(event, ...detail)
    } catch (error) {
      this.handlerFailed(error)
    }
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
