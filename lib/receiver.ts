/**
 * Puts messages together from the pieces that the decoder finds: RFC 6455 sections 5.4, 5.6 and 8.1. What it holds of
 * an unfinished message is at most 1 KiB and twice the message's size, however it is cut, and charged to a budget.
 */
import { Buffer } from 'node:buffer'
import type { FrameSink } from '../frames/decoder.ts'
import { type ControlOpcode, type MessageOpcode, Opcode } from '../frames/opcode.ts'
import { decodeUtf8, Utf8Checker } from '../frames/utf8.ts'
import { type Violation, violation } from '../frames/violation.ts'
import type { Budget } from './budget.ts'
import type { MessageSink } from './message.ts'

/** Empty fragments in a row that a message may have: legal, but so many serve nobody. */
const maxEmptyFragments = 1024
/** Small pieces are copied together into blocks, the first and the largest of this many bytes. */
const firstBlock = 1024
const largestBlock = 64 * 1024

export class Receiver implements FrameSink {
  readonly #sink: MessageSink
  readonly #budget: Budget
  /** A message has begun and not ended. */
  #unfinished = false
  #utf8: Utf8Checker | undefined
  #emptyFragments = 0

  /** What has come of it: whole chunks, and blocks of small pieces. */
  #parts: Buffer[] = []
  #size = 0
  #block: Buffer | undefined
  #blockUsed = 0
  #copied = 0
  #charged = 0

  constructor(sink: MessageSink, budget: Budget) {
    this.#sink = sink
    this.#budget = budget
  }

  data(opcode: MessageOpcode, chunk: Buffer, start: number, end: number, last: boolean, rsv1: boolean): void {
    if (last && !this.#unfinished) {
      if (rsv1) this.#sink.compressed(opcode, [chunk.subarray(start, end)], end - start)
      else this.#deliverWhole(opcode, chunk, start, end)
      return
    }
    this.#unfinished = true
    // RFC 7692 6: what is compressed can be judged when it is decompressed.
    if (opcode === Opcode.text && !rsv1) {
      this.#utf8 ??= new Utf8Checker()
      if (!this.#utf8.push(chunk, start, end)) return this.#fail(violation('bad-utf8'))
    }
    if (start < end) {
      this.#emptyFragments = 0
      if (!this.#keep(chunk, start, end)) return this.#fail(violation('process-budget'))
    } else if (++this.#emptyFragments > maxEmptyFragments) {
      return this.#fail(violation('empty-fragments'))
    }
    if (last) this.#deliverJoined(opcode, rsv1)
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    this.#sink.control(opcode, payload)
  }

  violation(violation: Violation): void {
    this.#fail(violation)
  }

  /** Lets go of an unfinished message. */
  clear(): void {
    this.#budget.release(this.#charged)
    this.#charged = 0
    this.#parts = []
    this.#size = 0
    this.#block = undefined
    this.#blockUsed = 0
    this.#copied = 0
    this.#utf8 = undefined
    this.#emptyFragments = 0
    this.#unfinished = false
  }

  #deliverWhole(opcode: MessageOpcode, chunk: Buffer, start: number, end: number): void {
    if (opcode === Opcode.binary) {
      this.#sink.message(chunk.subarray(start, end))
      return
    }
    const text = decodeUtf8(chunk, start, end)
    if (text === undefined) this.#fail(violation('bad-utf8'))
    else this.#sink.message(text)
  }

  #deliverJoined(opcode: MessageOpcode, rsv1: boolean): void {
    if (this.#utf8?.complete === false) return this.#fail(violation('bad-utf8'))
    this.#sealBlock()
    const parts = this.#parts
    const size = this.#size
    this.clear()
    if (rsv1) return this.#sink.compressed(opcode, parts, size)
    const whole = Buffer.concat(parts, size)
    this.#sink.message(opcode === Opcode.text ? whole.toString() : whole)
  }

  /** Keeps a piece: where it is most of its chunk by reference, else as a copy, so that it does not pin the chunk. */
  #keep(chunk: Buffer, start: number, end: number): boolean {
    const size = end - start
    this.#size += size
    if (size >= firstBlock && 2 * size >= chunk.buffer.byteLength) {
      if (!this.#charge(chunk.buffer.byteLength)) return false
      this.#sealBlock()
      this.#parts.push(chunk.subarray(start, end))
      return true
    }
    for (let at = start; at < end;) {
      const block = this.#blockWithRoom(end - at)
      if (block === undefined) return false
      const copied = chunk.copy(block, this.#blockUsed, at, end)
      this.#blockUsed += copied
      this.#copied += copied
      at += copied
    }
    return true
  }

  /** Blocks double with what has been copied, so that none is longer than that or than the piece. */
  #blockWithRoom(wanted: number): Buffer | undefined {
    if (this.#block !== undefined && this.#blockUsed < this.#block.length) return this.#block
    this.#sealBlock()
    const length = Math.min(largestBlock, Math.max(firstBlock, wanted, this.#copied))
    if (!this.#charge(length)) return undefined
    this.#block = Buffer.allocUnsafeSlow(length)
    return this.#block
  }

  /** What the block holds becomes a part; what it has left goes on being filled. */
  #sealBlock(): void {
    if (this.#block === undefined || this.#blockUsed === 0) return
    this.#parts.push(this.#block.subarray(0, this.#blockUsed))
    this.#block = this.#block.subarray(this.#blockUsed)
    this.#blockUsed = 0
  }

  #charge(bytes: number): boolean {
    if (!this.#budget.charge(bytes)) return false
    this.#charged += bytes
    return true
  }

  #fail(violation: Violation): void {
    this.clear()
    this.#sink.violation(violation)
  }
}
