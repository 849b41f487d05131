/** A promise that a test settles when it is time. */

export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(reason: unknown): void
}

export function deferred<T>(): Deferred<T> {
  let end: Omit<Deferred<T>, 'promise'> | undefined
  const promise = new Promise<T>((resolve, reject) => {
    end = { resolve, reject }
  })
  if (end === undefined) throw new Error('a promise starts at once')
  return { promise, ...(end as Omit<Deferred<T>, 'promise'>) }
}
