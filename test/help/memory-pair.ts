/** Two Duplexes in memory that are connected like the two ends of a TCP connection. */
import { Buffer } from 'node:buffer'
import { Duplex } from 'node:stream'

export interface MemoryPairOptions {
  /** Of both ends' streams, in bytes; default Node's own. */
  readonly highWaterMark?: number
  /** Bytes that may be on their way in one direction before the network takes no more. Default 64 KiB. */
  readonly capacity?: number
  /** What the other end sees when one is destroyed: behind what is on its way the end, or at once ECONNRESET. */
  readonly onDestroy?: 'end' | 'reset'
  /** What is written arrives while it is written, if the other end wants it, as between Node's `duplexPair()`. */
  readonly atOnce?: boolean
}

type Callback = (error?: Error | null) => void

/** The error of a system call, as Node makes it. */
export function systemError(code: string, syscall: 'read' | 'write' = 'read'): NodeJS.ErrnoException {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall })
}

/**
 * One end. What is written arrives at the other in a later turn of the event loop, one chunk a turn, or at once. Each
 * write (or corked writes together) is one chunk of its own, or several if it is more than the network takes.
 */
export class MemorySocket extends Duplex {
  /** How often bytes were given to the network. */
  writes = 0
  /** Is told the bytes. */
  onWrite: ((bytes: Buffer) => void) | undefined

  #other: MemorySocket | undefined
  readonly #capacity: number
  readonly #onDestroy: 'end' | 'reset'
  readonly #atOnce: boolean
  /** A write that the network has not taken. */
  #held: { readonly bytes: Buffer; readonly callback: Callback } | undefined
  #stalled = false
  #finSent = false

  /** What is on its way here; null is the end. */
  #coming: (Buffer | null)[] = []
  #comingBytes = 0
  #wanted = false
  #scheduled = false

  constructor(options: MemoryPairOptions) {
    const { highWaterMark, capacity = 64 * 1024, onDestroy = 'end', atOnce = false } = options
    super(highWaterMark === undefined ? {} : { highWaterMark })
    this.#capacity = capacity
    this.#onDestroy = onDestroy
    this.#atOnce = atOnce
    // Node forgets what is written during a `_writev`.
    if (atOnce) Object.assign(this, { _writev: undefined })
  }

  /** Ties the two ends together. */
  static connect(one: MemorySocket, other: MemorySocket): void {
    one.#other = other
    other.#other = one
  }

  /** From here on the network takes nothing that this end writes. */
  stall(): void {
    this.#stalled = true
  }

  /** It takes everything again. */
  unstall(): void {
    this.#stalled = false
    this.#send()
  }

  /** Ends the connection so that the other end sees ECONNRESET. */
  reset(): void {
    const other = this.#other
    this.#finSent = true
    this.destroy()
    if (other !== undefined) other.#fail(systemError('ECONNRESET'))
  }

  override _write(chunk: Buffer, _encoding: string, callback: Callback): void {
    this.#take(chunk, callback)
  }

  override _writev(chunks: { chunk: Buffer }[], callback: Callback): void {
    this.#take(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback)
  }

  override _final(callback: Callback): void {
    this.#finSent = true
    if (this.#other !== undefined) this.#other.#arrive(null)
    callback()
  }

  override _read(): void {
    this.#wanted = true
    this.#schedule()
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const held = this.#held
    this.#held = undefined
    this.#coming = []
    this.#comingBytes = 0
    const other = this.#other
    if (other !== undefined && !other.destroyed) {
      const over = this.#finSent && this.readableEnded
      if (this.#onDestroy === 'reset' && !over) other.#fail(systemError('ECONNRESET'))
      else if (!this.#finSent) other.#arrive(null)
      this.#finSent = true
      // What the other end writes from now on fails.
      setImmediate(() => other.#send())
    }
    held?.callback(systemError('ECANCELED', 'write'))
    callback(error)
  }

  #take(chunk: Buffer, callback: Callback): void {
    this.writes++
    this.onWrite?.(chunk)
    // The caller may change its bytes once they are taken, so the network has a copy.
    this.#held = { bytes: Buffer.from(chunk), callback }
    this.#send()
  }

  /** Puts the write that is held on its way, where the network takes it. */
  #send(): void {
    const held = this.#held
    const other = this.#other
    if (held === undefined || other === undefined) return
    if (other.destroyed) {
      this.#held = undefined
      process.nextTick(held.callback, systemError('EPIPE', 'write'))
      return
    }
    const room = this.#capacity - other.#comingBytes
    if (this.#stalled || room <= 0) return
    const rest = held.bytes.subarray(room)
    this.#held = rest.length === 0 ? undefined : { ...held, bytes: rest }
    other.#arrive(held.bytes.subarray(0, room))
    if (rest.length === 0) held.callback()
  }

  #arrive(chunk: Buffer | null): void {
    if (this.destroyed) return
    this.#coming.push(chunk)
    this.#comingBytes += chunk?.length ?? 0
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || !this.#wanted || this.#coming.length === 0) return
    this.#scheduled = true
    if (this.#atOnce) this.#bring()
    else setImmediate(() => this.#bring())
  }

  #bring(): void {
    this.#scheduled = false
    const chunk = this.#coming.shift()
    if (chunk === undefined || this.destroyed) return
    this.#comingBytes -= chunk?.length ?? 0
    this.#wanted = false
    this.push(chunk)
    // As a net socket does: the end is told of to a paused reader too, unless there is something before it.
    if (chunk === null) this.read(0)
    if (this.#other !== undefined) this.#other.#send()
    this.#schedule()
  }

  #fail(error: Error): void {
    this.#coming = []
    this.#comingBytes = 0
    setImmediate(() => this.destroy(error))
  }
}

export function memoryPair(options: MemoryPairOptions = {}): [MemorySocket, MemorySocket] {
  const one = new MemorySocket(options)
  const other = new MemorySocket(options)
  MemorySocket.connect(one, other)
  return [one, other]
}
