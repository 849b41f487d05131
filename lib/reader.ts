/**
 * The one way into a connection: from the socket through decoder, receiver and inflation come messages and control
 * frames, in order. A message that nobody takes is queued. When the queue is full, when our output is not taken, and on
 * `pause`, reading stops, and the peer feels it.
 */
import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Decoder } from '../frames/decoder.ts'
import { type ControlOpcode, Opcode } from '../frames/opcode.ts'
import { type Violation, violation } from '../frames/violation.ts'
import { unfinishedMessages } from './budget.ts'
import { Inflater } from './deflate/inflater.ts'
import { Inflation, type InflationSink } from './deflate/inflation.ts'
import type { DeflateLimits } from './deflate/parameters.ts'
import type { Message } from './message.ts'
import { MessageQueue } from './message-queue.ts'
import type { RateLimit } from './rate-limit.ts'
import { Receiver } from './receiver.ts'

export interface ReaderOptions {
  /** Whose frames come. */
  readonly from: 'client' | 'server'
  readonly maxMessageSize: number
  readonly maxQueuedMessages: number
  readonly rateLimit: RateLimit | undefined
  /** How the peer compresses; undefined where it was not agreed on. */
  readonly deflate: DeflateLimits | undefined
}

export interface ReaderSink {
  /** Gives a message to whoever listens; false when nobody does. */
  deliver(message: Message): boolean
  control(opcode: ControlOpcode, payload: Buffer): void
  violation(violation: Violation): void
  /** The peer has ended TCP, and all that it sent before has been read. */
  ended(): void
}

export class Reader implements InflationSink {
  readonly #socket: Duplex
  readonly #sink: ReaderSink
  readonly #decoder: Decoder
  readonly #receiver: Receiver
  readonly #inflation: Inflation | undefined
  readonly #maxQueuedMessages: number
  /** Made when it is first needed: where somebody listens it never is. */
  #queue: MessageQueue | undefined
  /** A chunk of a net or TLS socket belongs to its reader; a chunk of somebody's Duplex may not be written to. */
  readonly #ownsChunks: boolean
  readonly #rateLimit: RateLimit | undefined
  #paused = false
  /** What we have to send is not taken, and more input would make more of it. */
  #outputWaits = false
  /** One more chunk may be read all the same. */
  #sips = false
  #discards = false
  /** A message was thrown away. */
  #lost = false
  #stopped = false
  #finRead = false
  /** A listener is being given what was queued. */
  #delivering = false

  constructor(socket: Duplex, options: ReaderOptions, sink: ReaderSink) {
    this.#socket = socket
    this.#sink = sink
    this.#ownsChunks = socket instanceof Socket
    this.#maxQueuedMessages = options.maxQueuedMessages
    this.#rateLimit = options.rateLimit
    const { from, maxMessageSize, deflate } = options
    if (deflate !== undefined) {
      const inflater = new Inflater(deflate.windowBits, deflate.noContextTakeover, maxMessageSize)
      this.#inflation = new Inflation(inflater, unfinishedMessages, this)
    }
    this.#receiver = new Receiver(this.#inflation ?? this, unfinishedMessages)
    this.#decoder = new Decoder(this.#receiver, { from, maxMessageSize, rsv1Allowed: deflate !== undefined })
    unfinishedMessages.admit(maxMessageSize)
  }

  /** Frames that have ended. */
  get frames(): number {
    return this.#decoder.frames
  }

  /** A frame or a message has begun and not ended. */
  get unfinished(): boolean {
    return this.#decoder.unfinished
  }

  /** Messages wait for somebody to take them. */
  get queued(): boolean {
    return this.#queue?.empty === false
  }

  /** Reading has stopped: nobody takes what comes, or a message waits behind one that is being decompressed. */
  get held(): boolean {
    if (this.#stopped) return false
    if (this.#inflation?.behind === true) return true
    if (this.#discards) return false
    return (
      this.#paused || (this.#outputWaits && !this.#sips) || this.#queue?.full === true || this.#isAheadOfRate
    )
  }

  read(chunk: Buffer): void {
    this.#rateLimit?.bytes(chunk.length)
    this.#decoder.push(this.#ownsChunks ? chunk : Buffer.from(chunk))
    this.#haveRead()
  }

  /** As the decoder's. */
  roomAhead(): Buffer | undefined {
    return this.#decoder.roomAhead()
  }

  /** What has come there counts as if it had been read in a chunk. */
  filled(room: Buffer, size: number): void {
    this.#rateLimit?.bytes(size)
    this.#decoder.filled(room, size)
    this.#haveRead()
  }

  /** Reads no more than a chunk a beat until the output has gone: nothing at all, and two could wait for each other. */
  waitForOutput(): void {
    this.#outputWaits = true
    this.#sips = false
    this.#regulate()
  }

  outputGone(): void {
    if (!this.#outputWaits) return
    this.#outputWaits = false
    this.#regulate()
  }

  /** Some time has gone by: what waited for that may go on. */
  beat(): void {
    this.#inflation?.beat()
    if (!this.#outputWaits && !this.#isAheadOfRate) return
    this.#sips = true
    this.#rateLimit?.fill()
    this.#regulate()
  }

  /** The socket has said its end. What it said before, and nobody has taken yet, comes first. */
  end(): void {
    this.#finRead = true
    this.#tellEnd()
  }

  pause(): void {
    this.#paused = true
    this.#regulate()
  }

  resume(): void {
    this.#paused = false
    this.deliverQueued()
  }

  /**
   * Reads on whatever happens, so that the peer's Close is found: a message that finds the queue full is thrown away,
   * and so is all that follows, for what is delivered has no gaps.
   */
  discard(): void {
    this.#discards = true
    this.#regulate()
  }

  /** Nothing that comes counts any more. The socket is still read, for only then does it tell of its end. */
  stop(): void {
    this.#stopped = true
    this.#decoder.stop()
    this.#receiver.clear()
    this.#inflation?.stop()
    this.#socket.resume()
    if (this.#finRead) process.nextTick(() => this.#tellEnd())
  }

  /** The oldest message that is queued. */
  take(): Message | undefined {
    const message = this.#queue?.shift()
    if (message !== undefined) this.#regulate()
    return message
  }

  /** Waits for the next message to come. */
  wait(signal: AbortSignal | undefined): Promise<Message> {
    return this.#ownQueue.wait(signal)
  }

  /** Somebody may wait for a message. */
  get awaited(): boolean {
    return this.#queue?.awaited === true
  }

  /** Tells those who wait that nothing more will come. */
  rejectWaits(reason: Error): void {
    this.#queue?.rejectWaits(reason)
  }

  /** Forgets what is queued. */
  clear(): void {
    this.#queue?.clear()
  }

  /** Gives what is queued to a listener that has come since. */
  deliverQueued(): void {
    if (this.#delivering) return
    this.#delivering = true
    while (!this.#paused) {
      const message = this.#queue?.shift()
      if (message === undefined) break
      if (this.#sink.deliver(message)) continue
      this.#ownQueue.unshift(message)
      break
    }
    this.#delivering = false
    this.#regulate()
  }

  // What the frames bring

  message(message: Message): void {
    if (this.#lost || !this.#keepsRate()) return
    const queue = this.#queue
    if (queue?.handOver(message) === true) return
    if (!this.#paused && !this.#delivering && !this.queued && this.#sink.deliver(message)) return
    this.#lost = this.#discards && queue?.full === true
    if (this.#lost) return
    this.#ownQueue.push(message)
    if (this.held) this.#decoder.hold()
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    // A peer that is closing is not cut off for its rate.
    if (opcode !== Opcode.close && !this.#keepsRate()) return
    this.#sink.control(opcode, payload)
  }

  violation(fault: Violation): void {
    this.#sink.violation(fault)
  }

  fellBehind(): void {
    this.#decoder.hold()
  }

  caughtUp(): void {
    this.#regulate()
  }

  #haveRead(): void {
    this.#keepsRate()
    this.#sips = false
    this.#regulate()
  }

  get #ownQueue(): MessageQueue {
    return (this.#queue ??= new MessageQueue(this.#maxQueuedMessages))
  }

  /** Holds the peer to its rate; false when that ends the connection. In what is thrown away nothing is counted. */
  #keepsRate(): boolean {
    const rateLimit = this.#rateLimit
    if (rateLimit === undefined || this.#discards || this.#stopped) return true
    rateLimit.frames(this.#decoder.frames)
    if (!rateLimit.exceeded) return true
    if (rateLimit.pauses) this.#decoder.hold()
    else this.#sink.violation(violation('rate-limit'))
    return rateLimit.pauses
  }

  get #isAheadOfRate(): boolean {
    return this.#rateLimit?.exceeded === true
  }

  /** Makes decoder and socket read, or not. */
  #regulate(): void {
    if (this.held) {
      this.#decoder.hold()
      this.#socket.pause()
      return
    }
    this.#decoder.resume()
    // What was held may have filled the queue again.
    if (this.held) this.#socket.pause()
    else if (this.#socket.isPaused()) this.#socket.resume()
    this.#tellEnd()
  }

  #tellEnd(): void {
    if (!this.#finRead || this.#decoder.holding || (this.#inflation?.busy === true && !this.#stopped)) return
    this.#finRead = false
    this.#sink.ended()
  }
}
