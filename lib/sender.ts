/**
 * The one way out of a connection: frames in the order in which they were given, control frames between the
 * fragments of a streamed message, and Close last (RFC 6455 sections 5.4, 5.5.1 and 6.1).
 *
 * A write costs ten times what a small frame costs, so the frames of one turn of the event loop leave in one write:
 * small ones are copied one behind the other into a shared block, large ones go by reference; those that must be masked
 * go at once, through a block that is used again. What the socket does not take stays here, where it can still be
 * dropped and where Pongs give way to later ones.
 */
import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { encodeFrame, payloadSize, writeFrame } from '../frames/encoder.ts'
import { finBit, headerSize, rsv1Bit, writeHeader } from '../frames/header.ts'
import { maskInto } from '../frames/mask.ts'
import { type MessageOpcode, Opcode } from '../frames/opcode.ts'
import type { Deflater } from './deflate/deflater.ts'
import { asError } from './errors.ts'
import type { MaskKeys } from './mask-keys.ts'
import { bufferOf, opcodeOf } from './payload.ts'
import type { PreparedMessage } from './prepared-message.ts'

/** Payloads up to this many bytes are copied behind their header; beyond it a buffer of their own is cheaper. */
const smallPayload = 4096
const blockSize = 64 * 1024
const firstOwnBlock = 1024
/**
 * Masked payloads from so many bytes on are written at once, if the socket takes anything: a block of their own costs
 * more than a write.
 */
const throughFrom = 16 * 1024

/** A frame whose payload goes by reference. It is given to the socket whole: a half frame could not be taken back. */
interface LargeFrame {
  readonly header: Buffer
  readonly payload: Buffer
}

/** Who waits for a turn, or to close when those before have had theirs. */
interface Waiting {
  readonly turn: Turn | undefined
  begin(): void
}

type Turn = 'stream' | 'compression'

/** Room that frames are written into, one behind the other. */
interface Block {
  bytes: Buffer
  used: number
}

const noBytes: Buffer = Buffer.alloc(0)

/** Shared by all connections whose socket takes what they write at once. */
const sharedBlock: Block = { bytes: noBytes, used: 0 }
/** The part of a block that was written last: what is written next often lies where it lay, and needs no view of its own. */
let lastPart = noBytes
let lastBlock = noBytes
let lastStart = 0

/** Long payloads are masked into this block, which all connections share. */
let tile = noBytes

/** What every sender has whose output is empty, and behind which nothing waits: an array for each would cost 32 bytes. */
const noOutput: (Buffer | LargeFrame)[] = []
const nobody: (Buffer | Waiting)[] = []

/** Those that have something to write at the end of this turn: one callback for all, or a broadcast makes thousands. */
let scheduled: Sender[] = []
let flushScheduled: () => void

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

export class Sender {
  readonly #socket: Duplex
  readonly #maskKeys: MaskKeys | undefined
  readonly #compression: SenderOptions['compression']
  readonly #highWaterMark: number
  readonly #maxBufferedAmount: number
  readonly #sink: SenderSink

  /** Somebody's Duplex may hold on to what it says it has written. */
  readonly #mayKeepBytes: boolean

  /** Whole frames that the socket has not been given. */
  #output: (Buffer | LargeFrame)[] = noOutput
  #outputBytes = 0
  /** Bytes that the socket has been given in all. */
  #handedBytes = 0
  /** The part of a block that holds the latest frames of the output: not yet in the list, since it may still grow. */
  #open: Buffer | undefined
  #openStart = 0
  #openEnd = 0
  /** A block of this connection alone, so that a peer that does not read pins no shared one. */
  #ownBlock: Block | undefined
  /** The latest Pong, while the socket takes nothing: earlier ones need no answer any more (5.5.3). */
  #pong: Buffer | undefined

  /** A message takes its time: it is streamed, or compressed in the thread pool. What comes later waits behind it. */
  #turn: Turn | undefined
  /** Whole frames, and those who wait for a turn of their own or to close. */
  #behind: (Buffer | Waiting)[] = nobody
  #behindBytes = 0
  #compressingBytes = 0
  /** Lets the stream go on, which waits until the output is below the mark. */
  #goOn: (() => void) | undefined

  #corked = false
  #scheduled = false
  #mustDrain = false
  /** Since a caller was asked to wait: so much output is more than it may have overlooked. */
  #excess = 0
  /**
   * `bufferedAmount` is no more than this, which grows with each part of it and is set right only when it reaches a
   * mark: to ask the socket at each message would cost more.
   */
  #atMost = 0
  #onCloseFlushed: (() => void) | undefined
  #closeQueued = false
  #endQueued = false

  constructor(socket: Duplex, options: SenderOptions, sink: SenderSink) {
    this.#socket = socket
    this.#mayKeepBytes = !(socket instanceof Socket)
    this.#maskKeys = options.maskKeys
    this.#compression = options.compression
    // Who waits for a drain is never at the cap.
    this.#highWaterMark = Math.min(options.highWaterMark, options.maxBufferedAmount)
    this.#maxBufferedAmount = options.maxBufferedAmount
    this.#sink = sink
  }

  /** Bytes that were given and that the kernel has not taken. */
  get bufferedAmount(): number {
    return this.#bytesAhead + this.#behindBytes + this.#compressingBytes
  }

  /** Bytes that the kernel has taken in all. */
  get takenAmount(): number {
    return this.#handedBytes - this.#socket.writableLength
  }

  /** Without what waits behind a stream. */
  get #bytesAhead(): number {
    return this.#outputBytes + this.#socket.writableLength
  }

  /** More is buffered than the caller may let it come to. */
  get full(): boolean {
    return this.#reaches(this.#maxBufferedAmount + 1)
  }

  /** A caller was told to wait, and the drain has not come. */
  get mustDrain(): boolean {
    return this.#mustDrain
  }

  /** Queues a message, a string as text, bytes as binary; false when the caller should wait for a drain. */
  message(payload: Uint8Array | string, compress: boolean): boolean {
    const opcode = opcodeOf(payload)
    const size = payloadSize(payload)
    const deflater = compress ? this.#deflaterFor(size) : undefined
    if (deflater !== undefined) return this.#compressed(opcode, bufferOf(payload), deflater)
    if (this.#turn === undefined) return this.#append(finBit | opcode, payload, size)
    return this.#putBehind(encodeFrame({ opcode, payload, maskKey: this.#maskKeys?.next() }))
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
    if (this.#turn !== undefined) return this.#putBehind(frame)
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
    if (this.#bytesAhead < this.#highWaterMark) return Promise.resolve()
    return new Promise((resolve) => (this.#goOn = resolve))
  }

  /** Queues a Ping; it goes between the fragments of a streamed message. */
  ping(payload: Uint8Array): void {
    this.#append(finBit | Opcode.ping, payload, payload.length)
  }

  /** Answers a Ping; while the socket takes nothing, only the latest one (5.5.3). */
  pong(payload: Buffer): void {
    if (!this.#socket.writableNeedDrain) this.#append(finBit | Opcode.pong, payload, payload.length)
    else if (this.#pong === undefined || this.#pong.length !== payload.length)
      this.#pong = Buffer.from(payload)
    else payload.copy(this.#pong)
  }

  /** Queues the Close, the last frame there is; `onFlushed` when the kernel has taken it. */
  close(payload: Buffer, onFlushed: () => void): void {
    this.#last(() => {
      this.#append(finBit | Opcode.close, payload, payload.length)
      this.#closeQueued = true
      this.#onCloseFlushed = onFlushed
    })
  }

  /** Ends our side of TCP behind all that is queued. */
  end(): void {
    this.#last(() => {
      this.#endQueued = true
      this.#schedule()
    })
  }

  /**
   * Messages that are being compressed go out first. A stream under way is cut, and so is one that waits, with all that
   * waits behind it: what arrives has no gaps.
   */
  #last(act: () => void): void {
    if (this.#turn === 'compression') {
      const stream = this.#behind.findIndex((entry) => 'begin' in entry && entry.turn === 'stream')
      this.#wait({ turn: undefined, begin: act }, stream === -1 ? this.#behind.length : stream)
      return
    }
    this.#dropBehind()
    act()
  }

  /** Forgets what the socket does not take at once. */
  drop(): void {
    // What one turn of the event loop has held together is not late: it goes as if each frame had gone by itself.
    if (this.#isOpen && !this.#socket.writableNeedDrain) this.#write(this.#socket)
    this.#output = noOutput
    this.#open = undefined
    this.#ownBlock = undefined
    this.#pong = undefined
    this.#outputBytes = 0
    this.#dropBehind()
    // What is being compressed is forgotten too.
    this.#compression?.deflater.stop()
    if (this.#turn === 'compression') this.#turn = 'stream'
  }

  /** Waits for those whose turn comes before; then the output is the caller's until `endTurn`. */
  beginTurn(turn: Turn): Promise<void> {
    if (this.#turn === undefined) {
      this.#turn = turn
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      const begin = (): void => {
        this.#turn = turn
        resolve()
      }
      this.#wait({ turn, begin })
    })
  }

  /** Lets out what waited, as far as the next turn. */
  endTurn(): void {
    this.#turn = undefined
    while (this.#turn === undefined) {
      const next = this.#behind.shift()
      if (next === undefined) break
      if ('begin' in next) {
        next.begin()
      } else {
        this.#behindBytes -= next.length
        this.#push(next)
      }
    }
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
    const socket = this.#socket
    if (!this.#isOpen) return this.drop()
    if (!socket.writableNeedDrain) {
      if (this.#pong !== undefined) this.#append(finBit | Opcode.pong, this.#pong, this.#pong.length)
      this.#pong = undefined
      this.#write(socket)
      // Somebody's Duplex may bring an answer, and with it our Close, while it is written to.
      if (this.#output.length === 0 && this.#open === undefined) {
        this.#ownBlock = undefined
        if (this.#endQueued) socket.end()
      }
    }
    this.#drained()
  }

  get #isOpen(): boolean {
    return !this.#socket.destroyed && !this.#socket.writableEnded
  }

  /** Somebody's Duplex may throw: that is the end of this connection, not of those that are flushed behind it. */
  #write(socket: Duplex): void {
    try {
      this.#writeOutput(socket)
    } catch (error) {
      socket.destroy(asError(error))
    }
  }

  #writeOutput(socket: Duplex): void {
    const output = this.#output
    if (output.length === 0) return this.#writeOpen(socket)
    this.#seal()
    const count = output.length
    const [first] = output
    if (count === 1 && Buffer.isBuffer(first)) {
      this.#output = noOutput // Before it is written: that may bring an answer at once, and another write.
      return this.#hand(socket, first, true)
    }
    socket.cork()
    let written = 0
    while (written < count && !socket.writableNeedDrain) {
      const frame = output[written++]!
      if (Buffer.isBuffer(frame)) {
        this.#hand(socket, frame, written === count)
      } else {
        this.#hand(socket, frame.header, false)
        this.#hand(socket, frame.payload, written === count)
      }
    }
    if (written === count) this.#output = noOutput
    else output.splice(0, written)
    socket.uncork()
  }

  #writeOpen(socket: Duplex): void {
    const block = this.#open
    const frames = this.#takeOpen()
    if (frames === undefined) return
    this.#hand(socket, frames, true)
    // What the kernel, or TLS, has taken at once has been copied: its place is free.
    if (this.#mayKeepBytes || socket.writableLength > 0) return
    if (block === sharedBlock.bytes && this.#openEnd === sharedBlock.used) sharedBlock.used = this.#openStart
  }

  #hand(socket: Duplex, bytes: Buffer, last: boolean): void {
    this.#outputBytes -= bytes.length
    this.#handedBytes += bytes.length
    if (last && this.#closeQueued) socket.write(bytes, (error) => this.#closeWritten(error))
    else if (last && (this.#mustDrain || this.#goOn !== undefined)) socket.write(bytes, () => this.#written())
    else socket.write(bytes)
  }

  #closeWritten(error: Error | null | undefined): void {
    // A socket that is destroyed calls back too, with an error: then the Close never left.
    if (error === null || error === undefined) this.#onCloseFlushed?.()
  }

  /** A socket tells of a drain only when it was full; a mark of ours may be lower than that. */
  #written(): void {
    if (!this.#socket.writableNeedDrain) this.flush()
  }

  #drained(): void {
    if (!this.#mustDrain && this.#goOn === undefined) return
    if (this.#bytesAhead < this.#highWaterMark) {
      this.#goOn?.()
      this.#goOn = undefined
    }
    if (!this.#mustDrain || this.bufferedAmount >= this.#highWaterMark) return
    this.#mustDrain = false
    this.#sink.drained()
  }

  #report(): boolean {
    if (!this.#reaches(this.#highWaterMark)) return true
    if (!this.#mustDrain) {
      this.#mustDrain = true
      this.#excess = this.#atMost + this.#highWaterMark
    } else if (this.#atMost >= this.#excess) {
      this.#sink.exceeded()
    }
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

  #compressed(opcode: MessageOpcode, message: Buffer, deflater: Deflater): boolean {
    if (!deflater.isShort(message.length)) {
      const own = Buffer.from(message)
      return this.#inTurn(own.length, async () => {
        this.#appendCompressed(opcode, own, await deflater.deflateLong(own))
      })
    }
    if (this.#turn === undefined) return this.#appendCompressed(opcode, message, deflater.deflate(message))
    return this.#putBehind(encodeFrame({ opcode, payload: message, maskKey: this.#maskKeys?.next() }))
  }

  /** Where compressing gained nothing, the message goes as it is (RFC 7692 section 6). */
  #appendCompressed(opcode: MessageOpcode, message: Buffer, compressed: Buffer | undefined): boolean {
    const payload = compressed ?? message
    return this.#append(finBit | opcode | (compressed === undefined ? 0 : rsv1Bit), payload, payload.length)
  }

  /** Does the work when it is its turn; false as for `message`. */
  #inTurn(size: number, work: () => Promise<void>): boolean {
    this.#compressingBytes += size
    this.#atMost += size
    void this.beginTurn('compression')
      .then(work)
      .finally(() => {
        this.#compressingBytes -= size
        this.endTurn()
      })
    return this.#report()
  }

  #frame(bytes: Buffer): boolean {
    if (this.#turn !== undefined) return this.#putBehind(bytes)
    this.#push(bytes)
    this.#schedule()
    return this.#report()
  }

  #dropBehind(): void {
    this.#behind = this.#behind.filter((entry) => 'begin' in entry)
    this.#behindBytes = 0
  }

  #put(frame: Buffer | LargeFrame): void {
    if (this.#output === noOutput) this.#output = []
    this.#output.push(frame)
  }

  #wait(entry: Buffer | Waiting, place: number = this.#behind.length): void {
    if (this.#behind === nobody) this.#behind = []
    this.#behind.splice(place, 0, entry)
  }

  #putBehind(frame: Buffer): boolean {
    this.#wait(frame)
    this.#behindBytes += frame.length
    this.#atMost += frame.length
    return this.#report()
  }

  /** Frames a payload into the output; false as for `message`. Nothing goes behind a Close (5.5.1). */
  #append(first: number, payload: Uint8Array | string, length: number): boolean {
    if (this.#closeQueued || this.#endQueued) return false
    const maskKey = this.#maskKeys?.next()
    const size = headerSize(length, maskKey !== undefined) + length
    if (length <= smallPayload) {
      const block = this.#reserve(size)
      writeFrame(block.bytes, block.used, first, payload, length, maskKey)
      block.used += size
      this.#openEnd = block.used
      this.#outputBytes += size
      this.#atMost += size
    } else if (maskKey !== undefined && typeof payload !== 'string' && this.#takesThrough(length)) {
      this.#writeThrough(first, payload, length, maskKey)
    } else if (maskKey !== undefined || typeof payload === 'string') {
      const bytes = Buffer.allocUnsafeSlow(size)
      writeFrame(bytes, 0, first, payload, length, maskKey)
      this.#push(bytes)
    } else {
      const header = Buffer.allocUnsafe(size - length)
      writeHeader(header, 0, first, length, undefined)
      this.#seal()
      this.#put({ header, payload: Buffer.from(payload.buffer, payload.byteOffset, length) })
      this.#outputBytes += size
      this.#atMost += size
    }
    this.#schedule()
    return this.#report()
  }

  /** Whether a payload may be written at once, now that all before it has been. */
  #takesThrough(length: number): boolean {
    const socket = this.#socket
    if (length < throughFrom || this.#mayKeepBytes || !this.#isOpen || socket.writableNeedDrain) return false
    this.#write(socket)
    return !socket.writableNeedDrain
  }

  /**
   * Masks and writes as much as the block holds at a time. What the kernel takes at once has been copied, so that one
   * block is enough for a long message; a fresh block as long as that would cost more than the masking, in pages
   * that the kernel has to find and to clear.
   */
  #writeThrough(first: number, payload: Uint8Array, length: number, maskKey: number): void {
    const socket = this.#socket
    let key = maskKey
    for (let at = 0; at < length;) {
      if (tile.length === 0) tile = Buffer.allocUnsafeSlow(blockSize)
      const start = at === 0 ? writeHeader(tile, 0, first, length, key) : 0
      const size = Math.min(length - at, blockSize - start)
      key = maskInto(payload, at, at + size, tile, start, key)
      at += size
      const bytes = tile.subarray(0, start + size)
      this.#handedBytes += bytes.length
      this.#atMost += bytes.length
      if (at < length) socket.write(bytes)
      else socket.write(bytes, () => this.#written())
      // It belongs to the socket until that has written it.
      if (socket.writableLength > 0) tile = noBytes
    }
  }

  #push(bytes: Buffer): void {
    if (this.#closeQueued || this.#endQueued) return
    this.#seal()
    this.#put(bytes)
    this.#outputBytes += bytes.length
    this.#atMost += bytes.length
  }

  /** A block with room for `size` bytes at its end, and the open part going up to there. */
  #reserve(size: number): Block {
    const block = this.#socket.writableNeedDrain
      ? (this.#ownBlock ??= { bytes: noBytes, used: 0 })
      : sharedBlock
    if (block.used + size > block.bytes.length) {
      const length =
        block === sharedBlock
          ? blockSize
          : Math.min(blockSize, Math.max(firstOwnBlock, 2 * block.bytes.length))
      block.bytes = Buffer.allocUnsafeSlow(Math.max(length, size))
      block.used = 0
    }
    if (this.#open !== block.bytes || this.#openEnd !== block.used) {
      this.#seal()
      this.#open = block.bytes
      this.#openStart = block.used
    }
    return block
  }

  #seal(): void {
    const frames = this.#takeOpen()
    if (frames !== undefined) this.#put(frames)
  }

  #takeOpen(): Buffer | undefined {
    const block = this.#open
    if (block === undefined) return undefined
    this.#open = undefined
    const start = this.#openStart
    if (lastBlock !== block || lastStart !== start || lastPart.length !== this.#openEnd - start) {
      lastPart = block.subarray(start, this.#openEnd)
      lastBlock = block
      lastStart = start
    }
    return lastPart
  }
}
