/** What all unfinished messages of this process may hold together, so that many connections cannot do what one may not. */

const mebibyte = 1024 * 1024

export class Budget {
  #limit: number
  #used = 0

  /** `limit` is in bytes. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes held now. */
  get used(): number {
    return this.#used
  }

  /** Makes room for four messages of that size, however small the limit was. */
  admit(maxMessageSize: number): void {
    this.#limit = Math.max(this.#limit, 4 * maxMessageSize)
  }

  /** Charges `bytes`, or refuses and charges nothing. */
  charge(bytes: number): boolean {
    if (this.#used + bytes > this.#limit) return false
    this.#used += bytes
    return true
  }

  release(bytes: number): void {
    this.#used -= bytes
  }
}

/** 64 MiB, or four times the largest `maxMessageSize` in use. */
export const unfinishedMessages: Budget = new Budget(64 * mebibyte)
