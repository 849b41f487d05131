/**
 * An inflater of its own, after RFC 1951: slow, and strict about what zlib lets through. It refuses a distance beyond
 * the agreed window, a message that is not whole blocks, and one that still has its tail. Of what other peers send it
 * takes what RFC 7692 allows and we do not do: final blocks, and the tail.
 */
import { Buffer } from 'node:buffer'

const lengthBase = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
]
const lengthExtra = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const distanceBase = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
]
const codeLengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

/** The end of each message, which is not sent: RFC 7692 section 7.2.1. */
const tail = Buffer.from([0x00, 0x00, 0xff, 0xff])

export interface StrictOptions {
  /** Whose messages they are. Default `us`. */
  readonly from?: 'us' | 'others'
  /** The longest message that is looked at to its end, in bytes. */
  readonly limit?: number
}

/** Symbols by the length of their code and the code. */
type Codes = ReadonlyMap<number, number>

export class StrictInflater {
  readonly #window: number
  readonly #takeover: boolean
  /** All that may be referred to. */
  #out: number[] = []
  #input = Buffer.alloc(0)
  #at = 0
  #start = 0
  readonly #lenient: boolean
  readonly #limit: number
  /** The farthest distance that was met, also that for which a message was refused. */
  farthest = 0
  /** Final blocks of the message. */
  finals = 0

  constructor(windowBits: number, takeover: boolean, { from = 'us', limit = Infinity }: StrictOptions = {}) {
    this.#window = 2 ** windowBits
    this.#takeover = takeover
    this.#lenient = from === 'others'
    this.#limit = limit
  }

  /** How much has come out of the message, also of one that turned out to be none. */
  get size(): number {
    return this.#out.length - this.#start
  }

  /** The message has been read to its last bit. */
  get exhausted(): boolean {
    return this.#at >= 8 * this.#input.length
  }

  /** The message that those bytes of payload mean. */
  inflate(payload: Uint8Array): Buffer {
    if (!this.#lenient && Buffer.from(payload).subarray(-4).equals(tail)) throw new Error('the tail was sent')
    this.#input = Buffer.concat([payload, tail])
    this.#at = 0
    this.#out = this.#takeover ? this.#out.slice(-this.#window) : []
    this.#start = this.#out.length
    this.finals = 0
    while (this.#at < 8 * this.#input.length) this.#block()
    return Buffer.from(this.#out.slice(this.#start))
  }

  #block(): void {
    const final = this.#bits(1) === 1
    if (final && !this.#lenient) throw new Error('a final block')
    const type = this.#bits(2)
    if (type === 0) this.#stored()
    else if (type === 1) this.#compressed(fixedLengths, fixedDistances)
    else if (type === 2) this.#compressed(...this.#dynamic())
    else throw new Error('a block of type 3')
    if (!final) return
    // What comes behind begins with a byte of its own.
    this.finals++
    this.#at = 8 * Math.ceil(this.#at / 8)
  }

  #stored(): void {
    this.#at = 8 * Math.ceil(this.#at / 8)
    const length = this.#bits(16)
    if ((this.#bits(16) ^ length) !== 0xffff) throw new Error('a stored block of two lengths')
    for (let left = length; left > 0; left--) this.#put(this.#bits(8))
  }

  #dynamic(): [Codes, Codes] {
    const literals = this.#bits(5) + 257
    const distances = this.#bits(5) + 1
    const count = this.#bits(4) + 4
    if (literals > 286 || distances > 30) throw new Error('codes of symbols that there are not')
    const order = codeLengthOrder.slice(0, count)
    const sizes = Array.from({ length: 19 }, () => 0)
    for (const symbol of order) sizes[symbol] = this.#bits(3)
    const codes = codesOf(sizes)
    if (spaceOf(sizes) !== 1) throw new Error('code lengths of which there are too few or too many')
    const all: number[] = []
    while (all.length < literals + distances) {
      const symbol = this.#symbol(codes)
      if (symbol < 16) all.push(symbol)
      else if (symbol === 16) all.push(...repeat(all.at(-1) ?? NaN, 3 + this.#bits(2)))
      else all.push(...repeat(0, symbol === 17 ? 3 + this.#bits(3) : 11 + this.#bits(7)))
    }
    if (all.includes(NaN) || all.length > literals + distances)
      throw new Error('a length repeated that is none')
    const [literalSizes, distanceSizes] = [all.slice(0, literals), all.slice(literals)]
    if (literalSizes[256] === 0) throw new Error('a block without an end')
    // One code of one bit alone, or none, may be all.
    const good = (sizes: readonly number[]): boolean =>
      spaceOf(sizes) === 1 || (spaceOf(sizes) < 1 && Math.max(...sizes) <= 1)
    if (!good(literalSizes) || !good(distanceSizes))
      throw new Error('codes of which there are too few or too many')
    return [codesOf(literalSizes), codesOf(distanceSizes)]
  }

  #compressed(literals: Codes, distances: Codes): void {
    for (;;) {
      const symbol = this.#symbol(literals)
      if (symbol === 256) return
      if (symbol < 256) {
        this.#put(symbol)
        continue
      }
      const length = (lengthBase[symbol - 257] ?? NaN) + this.#bits(lengthExtra[symbol - 257] ?? NaN)
      if (Number.isNaN(length)) throw new Error('no such length')
      const code = this.#symbol(distances)
      const distance = (distanceBase[code] ?? NaN) + this.#bits(Math.max(0, (code >> 1) - 1))
      this.#copy(length, distance)
    }
  }

  #copy(length: number, distance: number): void {
    if (!(distance <= this.#out.length)) throw new Error(`a distance of ${distance}, beyond the beginning`)
    this.farthest = Math.max(this.farthest, distance)
    if (distance > this.#window) throw new Error(`a distance of ${distance} in a window of ${this.#window}`)
    for (let left = length; left > 0; left--) this.#put(this.#out.at(-distance) ?? 0)
  }

  #put(byte: number): void {
    this.#out.push(byte)
    if (this.size > this.#limit) throw new Error('longer than anybody wants')
  }

  #symbol(codes: Codes): number {
    let code = 1
    for (;;) {
      code = (code << 1) | this.#bits(1)
      if (code > 0xffff) throw new Error('no such code')
      const symbol = codes.get(code)
      if (symbol !== undefined) return symbol
    }
  }

  #bits(count: number): number {
    let value = 0
    for (let bit = 0; bit < count; bit++, this.#at++) {
      const byte = this.#input[this.#at >> 3]
      if (byte === undefined) throw new Error('the message ends inside a block')
      value |= ((byte >> (this.#at & 7)) & 1) << bit
    }
    return value
  }
}

/** Canonical codes, each with a one in front of it so that its length shows. */
function codesOf(sizes: readonly number[]): Codes {
  const codes = new Map<number, number>()
  let code = 0
  for (let size = 1; size < 16; size++) {
    for (const [symbol, each] of sizes.entries()) {
      if (each === size) codes.set((1 << size) | code++, symbol)
    }
    code <<= 1
  }
  return codes
}

/** How much of all bit strings begins with one of the codes: 1 is all, more is too much. */
function spaceOf(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + (size === 0 ? 0 : 2 ** -size), 0)
}

function repeat(value: number, times: number): number[] {
  return Array.from({ length: times }, () => value)
}

const fixedLengths = codesOf([...repeat(8, 144), ...repeat(9, 112), ...repeat(7, 24), ...repeat(8, 8)])
const fixedDistances = codesOf(repeat(5, 30))
