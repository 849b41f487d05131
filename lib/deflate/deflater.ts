/**
 * Compresses messages: RFC 7692 section 7.2.1. Each message is one call of zlib, with the end of those before it as
 * dictionary where takeover is agreed on. A compressor may look back less far than the window allows: the context
 * that is kept is short, so that it costs little time and memory, and it may be given up at any moment.
 */
import type { Buffer } from 'node:buffer'
import { constants, deflateRawSync, type ZlibOptions } from 'node:zlib'
import { History } from './history.ts'
import { deflateInPool, offload } from './offload.ts'

/**
 * How far back the compressor looks over the borders of messages: it must be read anew for each, and for a short one a
 * short part of it gains as much.
 */
const contextSize = 2 * 1024
const shortestContext = 512
/** What is shorter is done at once: a trip to the thread pool costs more. */
const shortInput = 32 * 1024
/** The empty stored block that a sync flush ends with, which is not sent. */
const tailSize = 4
/** zlib's look-ahead: a window must be longer than its input by this much to reach all of it. */
const lookAhead = 262

export interface DeflaterOptions {
  /** 8 to 15. */
  readonly windowBits: number
  readonly noContextTakeover: boolean
  /** zlib's, 0 to 9. */
  readonly level: number
  /** zlib's, 1 to 9. */
  readonly memLevel: number
}

export class Deflater {
  readonly #options: DeflaterOptions
  readonly #history: History | undefined
  #stopped = false

  constructor(options: DeflaterOptions) {
    this.#options = options
    this.#history = options.noContextTakeover
      ? undefined
      : new History(Math.min(contextSize, 2 ** options.windowBits))
  }

  get windowBits(): number {
    return this.#options.windowBits
  }

  /** Whether the message is one for `deflate`, which answers at once, or for `deflateLong`. */
  isShort(size: number): boolean {
    return size <= shortInput
  }

  /**
   * The compressed message; undefined when compressing gains nothing, then it is to be sent as it is. Messages are to
   * be given in the order in which they go out, each when the one before is done.
   */
  deflate(message: Buffer): Buffer | undefined {
    return this.#keep(
      message,
      deflateRawSync(message, this.#zlibOptions(message.length, this.#contextFor(message))),
    )
  }

  /** The same in the thread pool. */
  async deflateLong(message: Buffer): Promise<Buffer | undefined> {
    return await offload(async () => {
      if (this.#stopped) return undefined
      const options = this.#zlibOptions(message.length, this.#contextFor(message))
      return this.#keep(message, await deflateInPool(message, options))
    })
  }

  /** Nothing is wanted any more: what waits for the thread pool is not done. */
  stop(): void {
    this.#stopped = true
  }

  /** The message compressed without any context, for many connections; each then calls `adopt`. */
  deflateAlone(message: Buffer): Buffer | undefined | Promise<Buffer | undefined> {
    const options = this.#zlibOptions(message.length, undefined)
    if (this.isShort(message.length)) return gain(message, deflateRawSync(message, options))
    return offload(() => deflateInPool(message, options)).then((compressed) => gain(message, compressed))
  }

  /** The peer has got this message from us, compressed: it is in its window. */
  adopt(message: Buffer): void {
    this.#history?.append(message)
  }

  #keep(message: Buffer, compressed: Buffer | undefined): Buffer | undefined {
    const gained = gain(message, compressed)
    if (gained !== undefined) this.adopt(message)
    return gained
  }

  #contextFor({ length }: Buffer): Buffer | undefined {
    return this.#history?.latest.subarray(-Math.max(shortestContext, 4 * length))
  }

  /** zlib clears as much memory as it is given; a small message is given little. */
  #zlibOptions(size: number, context: Buffer | undefined): ZlibOptions {
    const { level, memLevel, windowBits } = this.#options
    const reach = size + (context?.length ?? 0) + lookAhead
    const bits = Math.min(windowBits, Math.max(9, Math.ceil(Math.log2(reach))))
    return {
      level,
      windowBits: bits,
      memLevel: Math.min(memLevel, Math.max(1, bits - 7)),
      finishFlush: constants.Z_SYNC_FLUSH,
      chunkSize: Math.min(64 * 1024, Math.max(64, size + 64)),
      ...(context === undefined || context.length === 0 ? {} : { dictionary: context }),
    }
  }
}

/** Without the tail; undefined when it is no shorter than the message, or where zlib has failed: it goes as it is. */
function gain(message: Buffer, compressed: Buffer | undefined): Buffer | undefined {
  if (compressed === undefined) return undefined
  const length = compressed.length - tailSize
  return length < message.length ? compressed.subarray(0, length) : undefined
}
