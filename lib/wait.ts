/** Promises that are settled from outside and that an AbortSignal can end. */

/** The outer end of a promise. */
export interface Wait<T> {
  resolve(value: T): void
  reject(reason: unknown): void
}

/**
 * A promise and its outer end. The end is handed to `begin`, unless the signal is aborted already; `abandon` hears
 * of it when the signal ends the wait later, so that nothing is kept for it. That nobody watches the promise never
 * counts as an unhandled rejection.
 */
export function wait<T>(
  signal: AbortSignal | undefined,
  begin: (end: Wait<T>) => void,
  abandon: (end: Wait<T>) => void,
): Promise<T> {
  const promise = new Promise<T>((resolve, reject) => {
    if (signal === undefined) {
      begin({ resolve, reject })
      return
    }
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = (): void => {
      abandon(end)
      reject(signal.reason)
    }
    const end: Wait<T> = {
      resolve(value) {
        signal.removeEventListener('abort', onAbort)
        resolve(value)
      },
      reject(reason) {
        signal.removeEventListener('abort', onAbort)
        reject(reason)
      },
    }
    signal.addEventListener('abort', onAbort, { once: true })
    begin(end)
  })
  promise.catch(() => {})
  return promise
}
