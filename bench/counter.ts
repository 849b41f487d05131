/** Counts the messages of a load. */
export class Counter {
  #total = 0
  #waiting: PromiseWithResolvers | undefined
  #failure: Error | undefined

  get total(): number {
    return this.#total
  }

  add(messages: number): void {
    this.#total += messages
    this.#waiting?.resolve()
    this.#waiting = undefined
  }

  /** What went wrong is told to the one who waits, or who will. */
  fail(error: Error): void {
    this.#failure = error
    this.#waiting?.reject(error)
    this.#waiting = undefined
  }

  /** Resolves when the next message is counted, between two messages. */
  next(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }))
  }
}

interface PromiseWithResolvers {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}
