/** The end of a stream of messages, as far back as a window reaches: the context that takeover keeps (RFC 7692 7.2). */
import { Buffer } from 'node:buffer'

const empty = Buffer.alloc(0)
const firstCapacity = 1024

export class History {
  readonly #reach: number
  #bytes = empty
  #end = 0

  /** `reach` is how many bytes are kept. */
  constructor(reach: number) {
    this.#reach = reach
  }

  /** The latest bytes, the last one last; valid until the next `append`. */
  get latest(): Buffer {
    return this.#bytes.subarray(Math.max(0, this.#end - this.#reach), this.#end)
  }

  append(bytes: Uint8Array): void {
    const added = bytes.length > this.#reach ? bytes.subarray(bytes.length - this.#reach) : bytes
    if (this.#end + added.length > this.#bytes.length) this.#makeRoom(added.length)
    this.#bytes.set(added, this.#end)
    this.#end += added.length
  }

  /** Grows with what there is to keep, up to an eighth more than the reach: moving it now and then costs little. */
  #makeRoom(wanted: number): void {
    const kept = this.#bytes.subarray(Math.max(0, this.#end - Math.max(0, this.#reach - wanted)), this.#end)
    const needed = kept.length + wanted
    const capacity = Math.min(Math.max(firstCapacity, 2 * needed), this.#reach + (this.#reach >> 3))
    if (capacity > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(capacity)
      grown.set(kept)
      this.#bytes = grown
    } else {
      this.#bytes.set(kept)
    }
    this.#end = kept.length
  }
}
