/** Time as the library sees it, so that tests can put a clock of their own in its place. */

/** Stops a timer; harmless when it has fired or was stopped before. */
export type Cancel = () => void

export interface Timers {
  /** Milliseconds on a clock that never goes back. */
  now(): number
  /** Calls back once, `ms` milliseconds from now; keeps the process alive until then. */
  after(ms: number, callback: () => void): Cancel
  /** Calls back every `ms` milliseconds; does not keep the process alive. */
  every(ms: number, callback: () => void): Cancel
}

export const systemTimers: Timers = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
  every(ms, callback) {
    const timer = setInterval(callback, ms)
    timer.unref()
    return () => clearInterval(timer)
  },
}

/** The time as a whole number, which V8 keeps in the object that has it: any other takes 16 bytes more. */
export function wholeMilliseconds(timers: Timers): number {
  return Math.floor(timers.now())
}
