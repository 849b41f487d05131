/** A clock that stands still until a test moves it. */
import type { Cancel, Timers } from '../../lib/timers.ts'

interface Due {
  readonly at: number
  readonly order: number
  readonly callback: () => void
  /** The period of `every`; undefined for `after`. */
  readonly period: number | undefined
}

export class FakeTimers implements Timers {
  #now = 0
  #order = 0
  readonly #due = new Set<Due>()

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): Cancel {
    return this.#add(ms, callback, undefined)
  }

  every(ms: number, callback: () => void): Cancel {
    return this.#add(ms, callback, ms)
  }

  /** How many timers are armed; those of `every` too. */
  get armed(): number {
    return this.#due.size
  }

  /** How many timers of `after` are armed: what would keep a process alive. */
  get pending(): number {
    return [...this.#due].filter((due) => due.period === undefined).length
  }

  /** Moves the clock, and calls in order of time, then of arming, all that falls due on the way. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (let due = this.#next(until); due !== undefined; due = this.#next(until)) {
      this.#now = due.at
      due.callback()
    }
    this.#now = until
  }

  #add(ms: number, callback: () => void, period: number | undefined): Cancel {
    let due: Due = { at: this.#now + ms, order: this.#order++, callback: () => {}, period }
    const call = (): void => {
      this.#due.delete(due)
      if (period !== undefined) {
        due = { ...due, at: due.at + period, order: this.#order++ }
        this.#due.add(due)
      }
      callback()
    }
    due = { ...due, callback: call }
    this.#due.add(due)
    return () => void this.#due.delete(due)
  }

  /** The first that falls due by then. */
  #next(until: number): Due | undefined {
    let next: Due | undefined
    for (const due of this.#due) {
      if (due.at > until) continue
      if (next === undefined || due.at < next.at || (due.at === next.at && due.order < next.order)) next = due
    }
    return next
  }
}
