/** A time limit that stands still between `stop` and `start`. */
import type { Cancel, Timers } from './timers.ts'

export class TimeLimit {
  readonly #timers: Timers
  readonly #onOver: () => void
  #left: number
  #since = 0
  #cancel: Cancel | undefined

  constructor(timers: Timers, ms: number, onOver: () => void) {
    this.#timers = timers
    this.#left = ms
    this.#onOver = onOver
  }

  /** Time passes from now on. */
  start(): void {
    this.#since = this.#timers.now()
    this.#cancel = this.#timers.after(this.#left, this.#onOver)
  }

  /** Harmless when no time passes. */
  stop(): void {
    if (this.#cancel === undefined) return
    this.#cancel()
    this.#cancel = undefined
    this.#left -= this.#timers.now() - this.#since
  }
}
