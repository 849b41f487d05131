/**
 * Frames on their way to the socket, in as few writes and with as few copies as may be.
 *
 * A write costs ten times what a small frame costs, so the frames of one turn of the event loop leave in one write:
 * small ones are copied one behind the other into a shared block, large ones go by reference; those that must be masked
 * go at once, through a block that is used again. What the socket does not take stays here, where it can still be
 * dropped.
 */
import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { encodeFrame, writeFrame } from '../frames/encoder.ts'
import { headerSize, writeHeader } from '../frames/header.ts'
import { maskInto } from '../frames/mask.ts'
import type { MessageOpcode } from '../frames/opcode.ts'
import { asError } from './errors.ts'
import type { MaskKeys } from './mask-keys.ts'

/** Payloads up to this many bytes are copied behind their header; beyond it a buffer of their own is cheaper. */
const smallPayload = 4096
const blockSize = 64 * 1024
const firstOwnBlock = 1024
/**
 * Masked payloads of at least this many bytes are written at once, if the socket takes anything: a block of their own costs
 * more than a write.
 */
const throughFrom = 16 * 1024

/** A frame whose payload goes by reference. It is given to the socket whole: a half frame could not be taken back. */
interface LargeFrame {
  readonly header: Buffer
  readonly payload: Buffer
}

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

/** What every output has that is empty: an array for each would cost 32 bytes. */
const noFrames: (Buffer | LargeFrame)[] = []

export interface OutputSink {
  /** The kernel has taken what the socket was given, up to the write of which this was to be told. */
  taken(): void
}

export class Output {
  readonly #socket: Duplex
  readonly #maskKeys: MaskKeys | undefined
  readonly #sink: OutputSink
  /** Somebody's Duplex may hold on to what it says it has written. */
  readonly #mayKeepBytes: boolean

  /** Whole frames that the socket has not been given. */
  #frames: (Buffer | LargeFrame)[] = noFrames
  #bytes = 0
  /** Bytes that the socket has been given in all. */
  #handedBytes = 0
  /** The part of a block that holds the latest frames: not yet in the list, since it may still grow. */
  #open: Buffer | undefined
  #openStart = 0
  #openEnd = 0
  /** A block of this connection alone, so that a peer that does not read pins no shared one. */
  #ownBlock: Block | undefined
  /** A long frame is on its way to the socket, and nothing may come between its parts. */
  #writesThrough = false

  /** @param maskKeys a client's; undefined for a server, which does not mask (section 5.1) */
  constructor(socket: Duplex, maskKeys: MaskKeys | undefined, sink: OutputSink) {
    this.#socket = socket
    this.#maskKeys = maskKeys
    this.#sink = sink
    this.#mayKeepBytes = !(socket instanceof Socket)
  }

  /** Bytes that the kernel has not taken. */
  get waitingBytes(): number {
    return this.#bytes + this.#socket.writableLength
  }

  /** Bytes that the kernel has taken in all. */
  get takenBytes(): number {
    return this.#handedBytes - this.#socket.writableLength
  }

  /** The socket has been given everything. */
  get empty(): boolean {
    return this.#bytes === 0
  }

  /** The socket has too much already. */
  get blocked(): boolean {
    return this.#socket.writableNeedDrain
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && !this.#socket.writableEnded
  }

  /** A frame that can wait elsewhere until it is pushed. */
  encode(opcode: MessageOpcode, payload: Uint8Array | string): Buffer {
    return encodeFrame({ opcode, payload, maskKey: this.#maskKeys?.next() })
  }

  /** Frames a payload; returns the frame's size. */
  frame(first: number, payload: Uint8Array | string, length: number): number {
    const maskKey = this.#maskKeys?.next()
    const size = headerSize(length, maskKey !== undefined) + length
    if (length <= smallPayload) {
      const block = this.#reserve(size)
      writeFrame(block.bytes, block.used, first, payload, length, maskKey)
      block.used += size
      this.#openEnd = block.used
      this.#bytes += size
    } else if (maskKey !== undefined && typeof payload !== 'string' && this.#takesThrough(length)) {
      this.#writeThrough(first, payload, length, maskKey)
    } else if (maskKey !== undefined || typeof payload === 'string') {
      const bytes = Buffer.allocUnsafeSlow(size)
      writeFrame(bytes, 0, first, payload, length, maskKey)
      this.push(bytes)
    } else {
      const header = Buffer.allocUnsafe(size - length)
      writeHeader(header, 0, first, length, undefined)
      this.#seal()
      this.#put({ header, payload: Buffer.from(payload.buffer, payload.byteOffset, length) })
      this.#bytes += size
    }
    return size
  }

  /** Takes frames that are ready. */
  push(frames: Buffer): void {
    this.#seal()
    this.#put(frames)
    this.#bytes += frames.length
  }

  /** Gives the socket as much as it takes; `tell` when the kernel has taken that too. */
  write(tell: boolean): void {
    if (this.#writesThrough) return
    try {
      this.#writeAll(this.#socket, tell)
    } catch (error) {
      // Somebody's Duplex may throw: that is the end of this connection, not of those that are flushed behind it.
      this.#socket.destroy(asError(error))
    }
    if (this.#bytes === 0) this.#ownBlock = undefined
  }

  /** Forgets what the socket has not been given. */
  drop(): void {
    this.#frames = noFrames
    this.#bytes = 0
    this.#open = undefined
    this.#ownBlock = undefined
  }

  /** Ends our side of TCP. */
  end(): void {
    this.#socket.end()
  }

  #writeAll(socket: Duplex, tell: boolean): void {
    const frames = this.#frames
    if (frames.length === 0) return this.#writeOpen(socket, tell)
    this.#seal()
    const count = frames.length
    const [first] = frames
    if (count === 1 && Buffer.isBuffer(first)) {
      this.#frames = noFrames // before it is written: somebody's Duplex may bring an answer at once, and with it a write
      return this.#hand(socket, first, tell)
    }
    socket.cork()
    let written = 0
    while (written < count && !socket.writableNeedDrain) {
      const frame = frames[written++]!
      const tells = tell && written === count
      if (Buffer.isBuffer(frame)) {
        this.#hand(socket, frame, tells)
      } else {
        this.#hand(socket, frame.header, false)
        this.#hand(socket, frame.payload, tells)
      }
    }
    if (written === count) this.#frames = noFrames
    else frames.splice(0, written)
    socket.uncork()
  }

  #writeOpen(socket: Duplex, tell: boolean): void {
    const block = this.#open
    const start = this.#openStart
    const end = this.#openEnd
    const frames = this.#takeOpen()
    if (frames === undefined) return
    // A socket over somebody's Duplex, as TLS may be, may bring an answer at once, and with it the next frame.
    this.#hand(socket, frames, tell)
    // What the kernel, or TLS, has taken at once has been copied: its place is free.
    if (this.#mayKeepBytes || socket.writableLength > 0) return
    if (block === sharedBlock.bytes && end === sharedBlock.used) sharedBlock.used = start
  }

  #hand(socket: Duplex, bytes: Buffer, tell: boolean): void {
    this.#bytes -= bytes.length
    this.#handedBytes += bytes.length
    if (tell) socket.write(bytes, (error) => this.#written(error))
    else socket.write(bytes)
  }

  /** A socket that is destroyed calls back too, with an error: then it was not taken. */
  #written(error: Error | null | undefined): void {
    if (error === null || error === undefined) this.#sink.taken()
  }

  /** Whether a payload may be written at once, now that all before it has been. */
  #takesThrough(length: number): boolean {
    const socket = this.#socket
    if (length < throughFrom || this.#mayKeepBytes || !this.isOpen || this.#writesThrough) return false
    if (!socket.writableNeedDrain) this.write(false)
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
    this.#writesThrough = true
    for (let at = 0; at < length;) {
      if (tile.length === 0) tile = Buffer.allocUnsafeSlow(blockSize)
      const start = at === 0 ? writeHeader(tile, 0, first, length, key) : 0
      const size = Math.min(length - at, blockSize - start)
      key = maskInto(payload, at, at + size, tile, start, key)
      at += size
      this.#bytes += start + size
      this.#hand(socket, tile.subarray(0, start + size), at === length)
      // It belongs to the socket until that has written it.
      if (socket.writableLength > 0) tile = noBytes
    }
    this.#writesThrough = false
  }

  #put(frame: Buffer | LargeFrame): void {
    if (this.#frames === noFrames) this.#frames = []
    this.#frames.push(frame)
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
