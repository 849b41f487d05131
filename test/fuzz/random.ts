/** A small random number generator (mulberry32) that gives the same numbers for the same seed, everywhere. */
export class Random {
  #state: number

  /** What the numbers depend on: any numbers and words. */
  constructor(...seeds: (number | string)[]) {
    this.#state = 0
    for (const seed of seeds) {
      if (typeof seed === 'number') {
        this.#mix(seed)
        continue
      }
      for (let at = 0; at < seed.length; at++) this.#mix(seed.charCodeAt(at))
    }
  }

  /** An integer of 32 bits, not negative. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** An integer from 0 to `count` - 1; 0 where there is none. */
  below(count: number): number {
    return count > 0 ? this.next() % count : 0
  }

  /** True one time in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at++) bytes[at] = this.next()
    return bytes
  }

  pick<Item>(items: readonly [Item, ...Item[]]): Item {
    return items[this.below(items.length)] ?? items[0]
  }

  #mix(seed: number): void {
    this.#state = (Math.imul(this.#state ^ seed, 0x01000193) + 0x9e3779b9) | 0
  }
}
