/** Promises that are settled from outside, and that an AbortSignal can end. */
import { watchAbort } from './abort-watch.ts'

class Wait<T> {
  readonly promise: Promise<T>
  #resolve!: (value: T) => void
  #reject!: (reason: unknown) => void
  readonly #leaveSignal: (() => void) | undefined

  constructor(signal: AbortSignal | undefined, onAbort: (wait: Wait<T>) => void) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.promise.catch(() => {})
    if (signal === undefined) return
    this.#leaveSignal = watchAbort(signal, () => onAbort(this))
    if (signal.aborted) onAbort(this)
  }

  resolve(value: T): void {
    this.#leaveSignal?.()
    this.#resolve(value)
  }

  reject(reason: unknown): void {
    this.#leaveSignal?.()
    this.#reject(reason)
  }
}

/**
 * Those who wait for the same thing, in the order in which they came. An abort ends one wait and nothing else. That
 * nobody watches a promise never counts as an unhandled rejection.
 */
export class Waits<T> {
  readonly #waiting = new Map<Promise<T>, Wait<T>>()

  /** A promise that waits from now on; rejected with the signal's reason when that is or gets aborted. */
  add(signal?: AbortSignal): Promise<T> {
    const wait = new Wait<T>(signal, (aborted) => {
      this.#waiting.delete(aborted.promise)
      aborted.reject(signal?.reason)
    })
    if (signal?.aborted === true) return wait.promise
    this.#waiting.set(wait.promise, wait)
    return wait.promise
  }

  has(promise: Promise<T>): boolean {
    return this.#waiting.has(promise)
  }

  /** Resolves that promise, if it still waits. */
  resolve(promise: Promise<T>, value: T): void {
    this.#waiting.get(promise)?.resolve(value)
    this.#waiting.delete(promise)
  }

  /** Resolves whoever has waited longest; false when nobody waits. */
  resolveNext(value: T): boolean {
    for (const promise of this.#waiting.keys()) {
      this.resolve(promise, value)
      return true
    }
    return false
  }

  resolveAll(value: T): void {
    for (const wait of this.#waiting.values()) wait.resolve(value)
    this.#waiting.clear()
  }

  rejectAll(reason: unknown): void {
    for (const wait of this.#waiting.values()) wait.reject(reason)
    this.#waiting.clear()
  }

  /** That promise is nobody's any more. */
  forget(promise: Promise<T>): void {
    this.#waiting.delete(promise)
  }
}
