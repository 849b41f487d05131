/**
 * The end of a stream of messages, as far back as a window reaches: the context that takeover keeps (RFC 7692 7.2).
 * While it is not wanted it is kept compressed.
 */
import { Buffer } from 'node:buffer'
import { inflateRawSync } from 'node:zlib'
import { deflateInPool, offloadAtLeisure } from './offload.ts'

const empty = Buffer.alloc(0)
const firstCapacity = 1024
/** Less is not worth compressing. */
const leastPacked = 8 * 1024

export class History {
  readonly #reach: number
  #bytes = empty
  #end = 0
  /** The latest bytes, compressed; then there are no others. */
  #packed: Buffer | undefined
  /** The latest `pack`, as long as nothing has been wanted since. */
  #attempt: symbol | undefined

  /** `reach` is how many bytes are kept. */
  constructor(reach: number) {
    this.#reach = reach
  }

  /** The latest bytes, the last one last; valid until the next `append`. */
  get latest(): Buffer {
    this.#unpack()
    return this.#unpacked
  }

  get #unpacked(): Buffer {
    return this.#bytes.subarray(Math.max(0, this.#end - this.#reach), this.#end)
  }

  /** Bytes of memory that it takes. */
  get held(): number {
    return this.#packed?.length ?? this.#bytes.length
  }

  /** It is worth a `pack`. */
  get packable(): boolean {
    return this.#attempt === undefined && this.#end >= leastPacked
  }

  append(bytes: Uint8Array): void {
    this.#unpack()
    const added = bytes.length > this.#reach ? bytes.subarray(bytes.length - this.#reach) : bytes
    if (this.#end + added.length > this.#bytes.length) this.#makeRoom(added.length)
    this.#bytes.set(added, this.#end)
    this.#end += added.length
  }

  /**
   * Takes less memory, if that gains a quarter, until something is wanted again. Of all histories one at a time is
   * compressed, in the thread pool, which takes some tenths of a millisecond: no message waits behind more than one.
   */
  pack(): Promise<void> {
    const attempt = Symbol()
    this.#attempt = attempt
    return offloadAtLeisure(async () => {
      const bytes = this.#unpacked
      const packed = await deflateInPool(bytes, { level: 1 })
      if (this.#attempt !== attempt || packed === undefined || packed.length > bytes.length * 0.75) return
      // zlib's buffer is longer than what is in it.
      this.#packed = Buffer.allocUnsafeSlow(packed.length)
      this.#packed.set(packed)
      this.#bytes = empty
      this.#end = 0
    })
  }

  #unpack(): void {
    this.#attempt = undefined
    if (this.#packed === undefined) return
    const bytes = inflateRawSync(this.#packed, { chunkSize: this.#reach })
    this.#packed = undefined
    this.append(bytes)
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
