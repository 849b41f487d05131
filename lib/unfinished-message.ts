/**
 * A message that comes in pieces, as far as it has come: RFC 6455 sections 5.4 and 8.1. What is held of it is at most
 * 1 KiB and 18 times what has come, however it is cut, and charged to a budget.
 */
import { Buffer } from 'node:buffer'
import { Utf8Checker } from '../frames/utf8.ts'
import type { ViolationName } from '../frames/violation.ts'
import type { Budget } from './budget.ts'

/** Empty fragments in a row that a message may have: legal, but nobody needs more. */
const maxEmptyFragments = 1024
/** Small pieces are copied together into blocks, the first and the largest of this many bytes. */
const firstBlock = 1024
const largestBlock = 64 * 1024
/**
 * Room is made for this many times what has come: the length that a peer announces is not trusted further. A message that
 * begins with a read of 64 KiB, header and all, has all its room at once up to 1 MiB; what is not written to yet takes no memory
 * of the machine. What a long piece finds too short in the block before it stays unused, which makes it 18 times in all.
 */
const foresight = 17

export class UnfinishedMessage {
  readonly #budget: Budget
  #charged = 0
  #utf8: Utf8Checker | undefined
  #emptyFragments = 0

  /** Blocks that are full, and the one that is being filled. */
  readonly #parts: Buffer[] = []
  #size = 0
  #block: Buffer | undefined
  #blockUsed = 0
  /** The part of the block that the next piece was to be put in. */
  #room: Buffer | undefined

  constructor(budget: Budget) {
    this.#budget = budget
  }

  /** Bytes that have come. */
  get size(): number {
    return this.#size
  }

  /**
   * Room for a piece of `size` bytes, which `add` tells of next; `left` bytes of its frame are to follow. It may lie at
   * the beginning of `chunk`.
   */
  room(size: number, left: number, chunk?: Buffer): Buffer | undefined {
    if (!this.#adopt(chunk, size, left) && !this.#makeRoom(size, left)) return undefined
    this.#room = this.#block!.subarray(this.#blockUsed, this.#blockUsed + size)
    return this.#room
  }

  /**
   * Room for some of the `left` bytes that are to follow, of which `add` tells next: as far as the block goes, and
   * foresight. Where little has come, that is not worth a read of its own.
   */
  roomAhead(left: number): Buffer | undefined {
    if (this.#size < firstBlock || (this.#free === 0 && !this.#makeRoom(1, left - 1))) return undefined
    this.#room = this.#block!.subarray(this.#blockUsed, this.#blockUsed + left)
    return this.#room
  }

  /** Adds a piece; `text` has it checked as UTF-8 at once (8.1). Returns what is wrong. */
  add(chunk: Buffer, start: number, end: number, text: boolean): ViolationName | undefined {
    if (text) {
      this.#utf8 ??= new Utf8Checker()
      if (!this.#utf8.push(chunk, start, end)) return 'bad-utf8'
    }
    if (start === end) return ++this.#emptyFragments > maxEmptyFragments ? 'empty-fragments' : undefined
    this.#emptyFragments = 0
    return this.#keep(chunk, start, end) ? undefined : 'process-budget'
  }

  /** No character of a text is cut short by its end. */
  get complete(): boolean {
    return this.#utf8?.complete !== false
  }

  /** All of it, in the blocks where it lies. */
  get parts(): Buffer[] {
    this.#sealBlock()
    return this.#parts
  }

  /** All of it in one piece: without a copy where there is only one block. */
  get whole(): Buffer {
    if (this.#block !== undefined && this.#size === this.#blockUsed)
      return this.#block.subarray(0, this.#size)
    return Buffer.concat(this.parts, this.#size)
  }

  /** It has ended, or is not wanted any more. */
  release(): void {
    this.#budget.release(this.#charged)
    this.#charged = 0
  }

  /** Keeps a piece, as a copy: a view would pin its whole chunk. */
  #keep(chunk: Buffer, start: number, end: number): boolean {
    if (chunk === this.#room) {
      this.#room = undefined
      this.#use(end - start)
      return true
    }
    for (let at = start; at < end;) {
      if (
        this.#free === 0 &&
        !this.#addBlock(Math.min(largestBlock, Math.max(firstBlock, end - at, this.#size)))
      )
        return false
      const copied = chunk.copy(this.#block!, this.#blockUsed, at, end)
      this.#use(copied)
      at += copied
    }
    return true
  }

  get #free(): number {
    return this.#block === undefined ? 0 : this.#block.length - this.#blockUsed
  }

  #use(size: number): void {
    this.#blockUsed += size
    this.#size += size
  }

  /**
   * Makes the chunk that the message begins in its block, where all of it fits: one of 64 KiB is often cut short by no
   * more than its header, and neither a block nor a copy has to be made for the rest.
   */
  #adopt(chunk: Buffer | undefined, size: number, left: number): boolean {
    if (chunk === undefined || this.#size > 0) return false
    if (size + left > chunk.length || chunk.length > foresight * size) return false
    if (!this.#charge(chunk.length)) return false
    this.#block = chunk
    return true
  }

  /** Room in one block for `size` bytes, and as far as foresight goes for the `left` bytes that are to follow. */
  #makeRoom(size: number, left: number): boolean {
    if (this.#free >= size) return true
    const needed = this.#size + size
    const whole = needed + left
    // Half of it at most, when not all, so that there will be as much to come as there is to copy.
    const capacity = whole <= foresight * needed ? whole : Math.min(foresight * needed, Math.floor(whole / 2))
    // To copy the only block into a longer one costs less than to join blocks in the end, if it is done seldom.
    if (this.#size === this.#blockUsed && capacity >= 2 * this.#size) return this.#growBlock(capacity)
    return this.#addBlock(capacity - this.#size)
  }

  /** Behind the block that there is. */
  #addBlock(length: number): boolean {
    if (!this.#charge(length)) return false
    this.#sealBlock()
    this.#block = Buffer.allocUnsafeSlow(length)
    return true
  }

  /** In the place of the block that there is. */
  #growBlock(length: number): boolean {
    if (!this.#charge(length)) return false
    const grown = Buffer.allocUnsafeSlow(length)
    const block = this.#block
    if (block !== undefined) {
      block.copy(grown, 0, 0, this.#blockUsed)
      this.#budget.release(block.length)
      this.#charged -= block.length
    }
    this.#block = grown
    return true
  }

  #sealBlock(): void {
    if (this.#block === undefined) return
    this.#parts.push(this.#block.subarray(0, this.#blockUsed))
    this.#block = undefined
    this.#blockUsed = 0
  }

  #charge(bytes: number): boolean {
    if (!this.#budget.charge(bytes)) return false
    this.#charged += bytes
    return true
  }
}
