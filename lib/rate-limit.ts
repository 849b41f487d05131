/**
 * How much a peer may send: a bucket of frames and one of bytes, which fill with time and are emptied by what comes.
 * They are looked at when something has come; no timer is needed.
 */
import type { ConnectionSettings } from './options.ts'
import type { Timers } from './timers.ts'

export class RateLimit {
  /** More waits for a bucket to fill, instead of ending the connection. */
  readonly pauses: boolean
  readonly #timers: Timers
  readonly #interval: number
  readonly #frames: Bucket
  readonly #bytes: Bucket
  #filledAt: number
  /** Frames that have been taken out. */
  #framesSeen = 0

  constructor(settings: Exclude<ConnectionSettings['rateLimit'], false>, timers: Timers) {
    this.pauses = settings.onExcess === 'pause'
    this.#timers = timers
    this.#interval = settings.interval
    this.#frames = new Bucket(settings.messages)
    this.#bytes = new Bucket(settings.bytes)
    this.#filledAt = timers.now()
  }

  /** More has come than there was in the buckets. */
  get exceeded(): boolean {
    return this.#frames.overdrawn || this.#bytes.overdrawn
  }

  /** `count` bytes have come; the frames in them are told of by `frames`. */
  bytes(count: number): void {
    this.fill()
    this.#bytes.take(count)
  }

  /** `count` frames have come in all. */
  frames(count: number): void {
    this.#frames.take(count - this.#framesSeen)
    this.#framesSeen = count
  }

  /** Gives the buckets what the time since the last filling is worth. */
  fill(): void {
    const now = this.#timers.now()
    const intervals = (now - this.#filledAt) / this.#interval
    this.#filledAt = now
    this.#frames.fill(intervals)
    this.#bytes.fill(intervals)
  }
}

/** What is taken beyond its content is owed: it is paid by the next filling. */
class Bucket {
  readonly #size: number
  #content: number

  constructor(size: number) {
    this.#size = size
    this.#content = size
  }

  get overdrawn(): boolean {
    return this.#content < 0
  }

  take(count: number): void {
    this.#content -= count
  }

  fill(intervals: number): void {
    this.#content = Math.min(this.#size, this.#content + intervals * this.#size)
  }
}
