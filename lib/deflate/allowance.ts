/**
 * How long the whole process may decompress at once. What goes beyond waits for a later turn of the event loop, in the
 * order in which it came: a chunk may hold thousands of small messages, and fifty peers may send such chunks.
 */

/** In milliseconds. */
const perTurn = 5

export class Allowance {
  readonly #now: () => number
  /** When the first message of this turn was begun; undefined before. */
  #begun: number | undefined
  #waiting: (() => void)[] = []

  constructor(now: () => number) {
    this.#now = now
  }

  /** Whether a message may be begun in this turn. */
  take(): boolean {
    if (this.#begun === undefined) {
      this.#begun = this.#now()
      setImmediate(() => this.#renew())
    }
    return this.#waiting.length === 0 && this.#isLeft
  }

  /** Does the work when there is time for it; for those who were told that there is none. */
  wait(work: () => void): void {
    this.#waiting.push(work)
  }

  get #isLeft(): boolean {
    return this.#begun === undefined || this.#now() - this.#begun < perTurn
  }

  #renew(): void {
    this.#begun = undefined
    if (this.#waiting.length === 0) return
    this.take()
    let served = 0
    do this.#waiting[served++]?.()
    while (served < this.#waiting.length && this.#isLeft)
    this.#waiting = this.#waiting.slice(served)
  }
}

export const sharedAllowance: Allowance = new Allowance(() => performance.now())
