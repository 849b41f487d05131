/** What the application waits for on a connection. Most connections never need any of it: all is made at first use. */
import type { Buffer } from 'node:buffer'
import type { CloseInfo } from './close-info.ts'
import { ConnectionClosedError } from './errors.ts'
import { Pings } from './pings.ts'
import { Waits } from './waits.ts'

export class Awaited {
  #drains: Waits<void> | undefined
  #flushes: Waits<void> | undefined
  #cuts: Waits<never> | undefined
  #ends: Waits<CloseInfo> | undefined
  #end: Promise<CloseInfo> | undefined
  #pings: Pings | undefined

  /** Resolves at the next `drained`. */
  drain(signal: AbortSignal | undefined): Promise<void> {
    return (this.#drains ??= new Waits()).add(signal)
  }

  /** Resolves at `flushed`, or at the end. */
  flush(): Promise<void> {
    return (this.#flushes ??= new Waits()).add()
  }

  /** Resolves at the end, always the same promise. */
  get end(): Promise<CloseInfo> {
    return (this.#end ??= (this.#ends ??= new Waits()).add())
  }

  get pings(): Pings {
    return (this.#pings ??= new Pings())
  }

  /** Settles as `part` does, but rejects when the end comes first. */
  unlessEnded<T>(part: Promise<T>): Promise<T> {
    const cuts = (this.#cuts ??= new Waits())
    const cut = cuts.add()
    return Promise.race([part, cut]).finally(() => cuts.forget(cut))
  }

  drained(): void {
    this.#drains?.resolveAll()
  }

  flushed(): void {
    this.#flushes?.resolveAll()
  }

  pong(payload: Buffer, now: number): void {
    this.#pings?.pong(payload, now)
  }

  /** Nothing more will come for those who wait, now or later: to be called again for these. */
  ended(info: CloseInfo): void {
    this.#flushes?.resolveAll()
    this.#ends?.resolveAll(info)
    // An error costs its stack: where nobody waits for what will not come there is none.
    if ((this.#drains ?? this.#cuts ?? this.#pings) === undefined) return
    const error = new ConnectionClosedError(info)
    this.#drains?.rejectAll(error)
    this.#cuts?.rejectAll(error)
    this.#pings?.rejectAll(error)
  }
}
