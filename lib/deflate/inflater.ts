/**
 * Decompresses messages: RFC 7692 section 7.2.2. Each message is one call of zlib with the window of those before it
 * as dictionary, so between messages there is no zlib state to keep, to leak or to wait for.
 */
import { Buffer } from 'node:buffer'
import { inflateRaw, inflateRawSync, type ZlibOptions } from 'node:zlib'
import { type Allowance, sharedAllowance } from './allowance.ts'
import { History } from './history.ts'
import { offload } from './offload.ts'

/** The message in full, or what is wrong with it. */
export type Inflated = Buffer | 'corrupt' | 'too-big'

/** One byte in a final block of its own. */
const endMark = 0x61
/**
 * What the sender cut off the end (section 7.2.1), and the end mark, which has to come out last: so a message that is
 * cut short is found out, even if its last block takes these very bytes for its own.
 */
const tail = Buffer.from([0x00, 0x00, 0xff, 0xff, 0x4b, 0x04, 0x00])
const nothing = Buffer.alloc(0)

/** What is short, and turns out to be not much longer, is done at once: a trip to the thread pool costs more. */
const shortInput = 16 * 1024
const shortOutput = 128 * 1024
/** zlib's output comes in chunks. Each costs a call, and to join them a copy: one is to hold what most messages become. */
const likelyRatio = 6
const smallestChunk = 1024
/** A message of 1 MiB fits, with its end mark. As much as this may come out beyond the limit before zlib looks at it. */
const largestChunk = 1024 * 1024 + 1024
/** Beats without a message, after which the window is kept compressed. */
const beatsToPack = 10
/** Final blocks that a message may have: legal, but each costs a call of zlib, and nobody needs more. */
const maxFinalBlocks = 64

export class Inflater {
  readonly #windowBits: number
  readonly #history: History | undefined
  readonly #maxSize: number
  readonly #allowance: Allowance
  #stopped = false
  #silentBeats = 0
  /** What the thread pool does, or is to do. */
  #underWay: Unfinished | undefined

  /** `maxSize` is the longest message that is let through, in bytes. */
  constructor(
    windowBits: number,
    noContextTakeover: boolean,
    maxSize: number,
    allowance: Allowance = sharedAllowance,
  ) {
    this.#windowBits = windowBits
    this.#history = noContextTakeover ? undefined : new History(2 ** windowBits)
    this.#maxSize = maxSize
    this.#allowance = allowance
  }

  /** Takes a message in pieces. Messages are to be given in order, each when the one before is done. */
  inflate(pieces: readonly Buffer[]): Inflated | Promise<Inflated> {
    this.#silentBeats = 0
    const input = Buffer.concat([...pieces, tail])
    if (input.length > shortInput) return this.#inflateLong(input)
    if (this.#allowance.take()) return this.#inflateShort(input)
    return new Promise((resolve) => {
      this.#allowance.wait(() => resolve(this.#stopped ? nothing : this.#inflateShort(input)))
    })
  }

  /** Bytes of memory that the window takes. */
  get held(): number {
    return this.#history?.held ?? 0
  }

  /** Some time has gone by. When the peer has been silent for long its window is compressed. */
  beat(): void {
    const history = this.#history
    if (history?.packable === true && ++this.#silentBeats >= beatsToPack) void history.pack()
  }

  /** The message under way is not wanted any more, and none will come: what it holds is let go of. */
  stop(): void {
    this.#stopped = true
    this.#underWay?.giveUp()
  }

  #inflateShort(input: Buffer): Inflated | Promise<Inflated> {
    const limit = Math.min(this.#maxSize, shortOutput)
    const message = this.#unfinished(input, limit)
    try {
      while (message.wanted) message.add(inflateRawSync(message.rest, this.#options(message)))
    } catch (error) {
      message.fail(error)
    }
    const { result } = message
    if (result === 'too-big' && limit < this.#maxSize) return this.#inflateLong(input)
    return this.#remember(result)
  }

  #inflateLong(input: Buffer): Promise<Inflated> {
    const message = this.#unfinished(input, this.#maxSize)
    this.#underWay = message
    const work = async (): Promise<Inflated> => {
      try {
        while (message.wanted) message.add(await inflateInPool(message.rest, this.#options(message)))
      } catch (error) {
        message.fail(error)
      }
      this.#underWay = undefined
      return this.#remember(message.result)
    }
    return offload(work)
  }

  #unfinished(input: Buffer, limit: number): Unfinished {
    return new Unfinished(input, limit, this.#history?.latest ?? nothing, 2 ** this.#windowBits)
  }

  #options({ room, rest, window }: Unfinished): ZlibOptions {
    return {
      windowBits: this.#windowBits,
      maxOutputLength: Math.max(1, room),
      chunkSize: Math.min(largestChunk, Math.max(smallestChunk, likelyRatio * rest.length)),
      info: true,
      ...(window.length === 0 ? {} : { dictionary: window }),
    }
  }

  #remember(message: Inflated): Inflated {
    if (typeof message !== 'string') this.#history?.append(message)
    return message
  }
}

/** A message on its way: zlib stops at a final block, and there may be more behind it (section 7.2.1). */
class Unfinished {
  /** The input that is left. */
  rest: Buffer
  /** How many more bytes may come out. */
  room: number
  /** What zlib is to know of what came before. */
  window: Buffer
  readonly #reach: number
  #parts: Buffer[] = []
  #fault: 'corrupt' | 'too-big' | undefined

  /** `window` is that of the messages before, at most `reach` bytes. */
  constructor(input: Buffer, limit: number, window: Buffer, reach: number) {
    this.rest = input
    this.room = limit + 1 // The end mark comes out too.
    this.window = window
    this.#reach = reach
  }

  get wanted(): boolean {
    return this.rest.length > 0 && this.#fault === undefined
  }

  get result(): Inflated {
    if (this.#fault !== undefined) return this.#fault
    const [first = nothing] = this.#parts
    const whole = this.#parts.length === 1 ? first : Buffer.concat(this.#parts)
    return whole.at(-1) === endMark ? whole.subarray(0, -1) : 'corrupt'
  }

  /** With `info`, zlib returns an object that tells how much it has read; its types do not know that. */
  add(result: unknown): void {
    const { buffer, engine } = result as {
      readonly buffer: Buffer
      readonly engine: { bytesWritten: number }
    }
    this.#parts.push(buffer)
    this.room -= buffer.length
    this.rest = this.rest.subarray(engine.bytesWritten)
    if (this.room < 0) this.#fault = 'too-big'
    if (this.rest.length === 0) return
    if (this.#parts.length === maxFinalBlocks) this.#fault = 'corrupt'
    // Behind a final block the window goes on (section 7.2.3.4).
    this.window = (buffer.length < this.#reach ? Buffer.concat([this.window, buffer]) : buffer).subarray(
      -this.#reach,
    )
  }

  /** Takes what zlib has thrown. */
  fail(error: unknown): void {
    const tooLarge = error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
    this.#fault = tooLarge ? 'too-big' : 'corrupt'
  }

  /** Lets go of all that it holds. */
  giveUp(): void {
    this.rest = nothing
    this.window = nothing
    this.#parts = []
    this.#fault = 'corrupt'
  }
}

function inflateInPool(input: Buffer, options: ZlibOptions): Promise<unknown> {
  return new Promise((resolve, reject) => {
    inflateRaw(input, options, (error, result) => (error === null ? resolve(result) : reject(error)))
  })
}
