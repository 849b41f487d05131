/** Masking keys for a client's frames: unpredictable, a new one for each frame (RFC 6455 sections 5.3 and 10.3). */
import { randomFillSync } from 'node:crypto'

/** Fills the bytes with strong randomness. */
export type Random = (bytes: Uint8Array) => void

/** One call for many keys: the call costs more than the bytes. */
const keysAtOnce = 2048

export class MaskKeys {
  readonly #random: Random
  readonly #keys = new Int32Array(keysAtOnce)
  #next = keysAtOnce

  constructor(random: Random) {
    this.#random = random
  }

  next(): number {
    if (this.#next === keysAtOnce) {
      this.#random(new Uint8Array(this.#keys.buffer))
      this.#next = 0
    }
    return this.#keys[this.#next++]!
  }
}

export const systemRandom: Random = (bytes) => {
  randomFillSync(bytes)
}

let shared: MaskKeys | undefined

/** The keys of that source; the system's are drawn from one pool for all connections. */
export function maskKeysFrom(random: Random): MaskKeys {
  if (random !== systemRandom) return new MaskKeys(random)
  return (shared ??= new MaskKeys(systemRandom))
}
