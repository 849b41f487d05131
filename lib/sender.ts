/**
 * The one way out of a connection: frames in the order in which they were given, control frames between the
 * fragments of a streamed message, and Close last (RFC 6455 sections 5.4, 5.5.1 and 6.1). Tells its caller when to wait.
 */
import { Buffer } from 'node:buffer'
import type { Duplex } from 'node:stream'
import { payloadSize } from '../frames/encoder.ts'
import { finBit, rsv1Bit } from '../frames/header.ts'
import { type MessageOpcode, Opcode } from '../frames/opcode.ts'
import type { Deflater } from './deflate/deflater.ts'
import type { MaskKeys } from './mask-keys.ts'
import { Output, type OutputSink } from './output.ts'
import { bufferOf, opcodeOf } from './payload.ts'
import type { PreparedMessage } from './prepared-message.ts'
import { type Turn, Turns } from './turns.ts'

export interface SenderOptions {
  /** A client's keys; undefined for a server, which does not mask (section 5.1). */
  readonly maskKeys: MaskKeys | undefined
  /** Compresses messages from that many bytes on; undefined where it was not agreed on. */
  readonly compression: { readonly deflater: Deflater; readonly threshold: number } | undefined
  /** Bytes of output from which on the caller is asked to wait. */
  readonly highWaterMark: number
  /** Bytes of output that are too much. */
  readonly maxBufferedAmount: number
}

export interface SenderSink {
  /** A caller that was asked to wait has not waited: the output has grown by the mark once more. */
  exceeded(): void
  /** Output has fallen below the mark after a caller was asked to wait. */
  drained(): void
}

/** Those that have something to write at the end of this turn: one callback for all, or a broadcast makes thousands. */
let scheduled: Sender[] = []
let flushScheduled: () => void

export class Sender implements OutputSink {
  readonly #output: Output
  readonly #compression: SenderOptions['compression']
  readonly #highWaterMark: number
  readonly #maxBufferedAmount: number
  readonly #sink: SenderSink

  /** While a message takes its time. */
  #turns: Turns | undefined
  /** The latest Pong, while the socket takes nothing: earlier ones need no answer any more (5.5.3). */
  #pong: Buffer | undefined

  #corked = false
  #scheduled = false
  /**
   * `bufferedAmount` is no more than this, which grows with each part of it and is set right only when it reaches a
   * mark: to ask the socket at each message would cost more.
   */
  #atMost = 0
  /** A caller that was asked to wait cannot have overlooked this much output; 0 when none was asked. */
  #excess = 0

  /** A Close or the end of TCP has been queued, and nothing goes behind it (5.5.1). */
  #over = false
  #endQueued = false
  #onCloseFlushed: (() => void) | undefined

  constructor(socket: Duplex, options: SenderOptions, sink: SenderSink) {
    this.#output = new Output(socket, options.maskKeys, this)
    this.#compression = options.compression
    // Who waits for a drain is never at the cap.
    this.#highWaterMark = Math.min(options.highWaterMark, options.maxBufferedAmount)
    this.#maxBufferedAmount = options.maxBufferedAmount
    this.#sink = sink
  }

  /** Bytes that were given and that the kernel has not taken. */
  get bufferedAmount(): number {
    return this.#output.waitingBytes + (this.#turns?.bytes ?? 0)
  }

  /** Bytes that the kernel has taken in all. */
  get takenAmount(): number {
    return this.#output.takenBytes
  }

  /** More is buffered than the caller may let it come to. */
  get full(): boolean {
    return this.#reaches(this.#maxBufferedAmount + 1)
  }

  /** A caller was told to wait, and the drain has not come. */
  get mustDrain(): boolean {
    return this.#excess > 0
  }

  /** Queues a message, a string as text, bytes as binary; false when the caller should wait for a drain. */
  message(payload: Uint8Array | string, compress: boolean): boolean {
    const opcode = opcodeOf(payload)
    const size = payloadSize(payload)
    const deflater = compress ? this.#deflaterFor(size) : undefined
    if (deflater !== undefined) return this.#compressed(opcode, payload, deflater)
    if (this.#turns === undefined) return this.#append(finBit | opcode, payload, size)
    return this.#putBehind(this.#turns, this.#output.encode(opcode, payload))
  }

  /** Queues a message that is framed already, a server's for many connections; false as for `message`. */
  prepared(message: PreparedMessage): boolean {
    const { payload, frame } = message
    const deflater = this.#deflaterFor(payload.length)
    const compressed = deflater && message.compressedFor(deflater)
    if (deflater === undefined || compressed === undefined) return this.#frame(frame)
    if (compressed instanceof Promise) {
      return this.#inTurn(payload.length, async () => {
        const ready = await compressed
        if (ready !== undefined) deflater.adopt(payload)
        this.#push(ready ?? frame)
      })
    }
    // Whoever has the turn may yet add to the context: behind it nothing is compressed.
    if (this.#turns !== undefined) return this.#putBehind(this.#turns, frame)
    deflater.adopt(payload)
    return this.#frame(compressed)
  }

  /** Queues a fragment of the streamed message. Resolves when another may come; what waits behind it does not count. */
  fragment(
    opcode: MessageOpcode | typeof Opcode.continuation,
    payload: Uint8Array | string,
    fin: boolean,
  ): Promise<void> {
    this.#append((fin ? finBit : 0) | opcode, payload, payloadSize(payload))
    if (this.#turns === undefined || this.#output.waitingBytes < this.#highWaterMark) return Promise.resolve()
    return this.#turns.pause()
  }

  /** Queues a Ping; it goes between the fragments of a streamed message. */
  ping(payload: Uint8Array): void {
    this.#append(finBit | Opcode.ping, payload, payload.length)
  }

  /** Answers a Ping; while the socket takes nothing, only the latest one (5.5.3). */
  pong(payload: Buffer): void {
    if (!this.#output.blocked) this.#append(finBit | Opcode.pong, payload, payload.length)
    else if (this.#pong === undefined || this.#pong.length !== payload.length)
      this.#pong = Buffer.from(payload)
    else payload.copy(this.#pong)
  }

  /** Queues the Close, the last frame there is; `onFlushed` when the kernel has taken it. */
  close(payload: Buffer, onFlushed: () => void): void {
    this.#last(() => {
      this.#append(finBit | Opcode.close, payload, payload.length)
      this.#over = true
      this.#onCloseFlushed = onFlushed
    })
  }

  /** Ends our side of TCP behind all that is queued. */
  end(): void {
    this.#last(() => {
      this.#over = true
      this.#endQueued = true
      this.#schedule()
    })
  }

  #last(act: () => void): void {
    if (this.#turns === undefined) act()
    else this.#turns.last(act)
  }

  /** Forgets what the socket does not take at once. */
  drop(): void {
    // What one turn of the event loop has held together is not late: it goes as if each frame had gone by itself.
    if (this.#output.isOpen && !this.#output.blocked) this.#output.write(this.#listens)
    if (!this.#output.empty) this.#onCloseFlushed = undefined
    this.#output.drop()
    this.#pong = undefined
    this.#turns?.drop()
    this.#compression?.deflater.stop()
  }

  /** Waits for those whose turn comes before; then the output is the caller's until `endTurn`. */
  beginTurn(turn: Turn, size = 0): Promise<void> {
    return (this.#turns ??= new Turns()).begin(turn, size)
  }

  /** Lets out what waited, as far as the next turn. */
  endTurn(size = 0): void {
    if (this.#turns?.end(size, (frame) => this.#push(frame)) === false) this.#turns = undefined
    this.#schedule()
  }

  /** From here until `uncork` nothing is written: the frames of one read share one write. */
  cork(): void {
    this.#corked = true
  }

  uncork(): void {
    this.#corked = false
    this.flush()
  }

  /** Gives the socket as much as it takes. Called at the end of a turn, and when the socket has drained. */
  flush(): void {
    this.#scheduled = false
    const output = this.#output
    if (!output.isOpen) return this.drop()
    if (!output.blocked) {
      if (this.#pong !== undefined) this.#append(finBit | Opcode.pong, this.#pong, this.#pong.length)
      this.#pong = undefined
      output.write(this.#listens)
      if (this.#endQueued && output.empty) output.end()
    }
    this.#drained()
  }

  /** A socket tells of a drain only when it was full; a mark of ours may be lower than that. */
  taken(): void {
    if (this.#over && this.#output.waitingBytes === 0) {
      this.#onCloseFlushed?.()
      this.#onCloseFlushed = undefined
    }
    if (!this.#output.blocked) this.flush()
  }

  /** Somebody has to know when the kernel has taken the output. */
  get #listens(): boolean {
    return this.#over || this.#excess > 0 || this.#turns?.paused === true
  }

  #drained(): void {
    const turns = this.#turns
    if (this.#excess === 0 && turns === undefined) return
    if (this.#output.waitingBytes < this.#highWaterMark) turns?.goOn()
    if (this.#excess === 0 || this.bufferedAmount >= this.#highWaterMark) return
    this.#excess = 0
    this.#sink.drained()
  }

  #report(): boolean {
    if (!this.#reaches(this.#highWaterMark)) return true
    if (this.#excess === 0) this.#excess = this.#atMost + this.#highWaterMark
    else if (this.#atMost >= this.#excess) this.#sink.exceeded()
    return false
  }

  #reaches(mark: number): boolean {
    if (this.#atMost < mark) return false
    this.#atMost = this.bufferedAmount
    return this.#atMost >= mark
  }

  #schedule(): void {
    if (this.#corked || this.#scheduled) return
    this.#scheduled = true
    if (scheduled.push(this) === 1) process.nextTick(flushScheduled)
  }

  static {
    flushScheduled = () => {
      const senders = scheduled
      scheduled = []
      for (const sender of senders) if (sender.#scheduled) sender.flush()
    }
  }

  #deflaterFor(size: number): Deflater | undefined {
    const compression = this.#compression
    return compression !== undefined && size >= compression.threshold ? compression.deflater : undefined
  }

  #compressed(opcode: MessageOpcode, payload: Uint8Array | string, deflater: Deflater): boolean {
    const message = bufferOf(payload)
    if (!deflater.isShort(message.length)) {
      const own = typeof payload === 'string' ? message : Buffer.from(message)
      return this.#inTurn(own.length, async () => {
        this.#appendCompressed(opcode, own, await deflater.deflateLong(own))
      })
    }
    if (this.#turns === undefined) return this.#appendCompressed(opcode, message, deflater.deflate(message))
    return this.#putBehind(this.#turns, this.#output.encode(opcode, message))
  }

  /** Where compressing gained nothing, the message goes as it is (RFC 7692 section 6). */
  #appendCompressed(opcode: MessageOpcode, message: Buffer, compressed: Buffer | undefined): boolean {
    const payload = compressed ?? message
    return this.#append(finBit | opcode | (compressed === undefined ? 0 : rsv1Bit), payload, payload.length)
  }

  /** Does the work when it is its turn; false as for `message`. */
  #inTurn(size: number, work: () => Promise<void>): boolean {
    this.#atMost += size
    void this.beginTurn('compression', size)
      .then(work)
      .finally(() => this.endTurn(size))
    return this.#report()
  }

  #frame(bytes: Buffer): boolean {
    if (this.#turns !== undefined) return this.#putBehind(this.#turns, bytes)
    this.#push(bytes)
    this.#schedule()
    return this.#report()
  }

  #putBehind(turns: Turns, frame: Buffer): boolean {
    turns.put(frame)
    this.#atMost += frame.length
    return this.#report()
  }

  /** Frames a payload into the output; false as for `message`. */
  #append(first: number, payload: Uint8Array | string, length: number): boolean {
    if (this.#over) return false
    this.#atMost += this.#output.frame(first, payload, length)
    this.#schedule()
    return this.#report()
  }

  #push(frame: Buffer): void {
    if (this.#over) return
    this.#output.push(frame)
    this.#atMost += frame.length
  }
}
