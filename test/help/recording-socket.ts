/** A Duplex that records what is written to it, chunk by chunk, and takes it when the test says so. */
import { Buffer } from 'node:buffer'
import { Duplex } from 'node:stream'

type Callback = (error?: Error | null) => void

export class RecordingSocket extends Duplex {
  /** One entry for each write that reached the network: the very chunks that were handed over together. */
  readonly calls: Buffer[][] = []
  /** Writes stay with the socket until `accept`. */
  stalled = false
  ended = false
  #held: Callback | undefined

  /** The network takes the write that it has before it, and the next ones while `stalled` is not set. */
  accept(): void {
    const held = this.#held
    this.#held = undefined
    held?.()
  }

  /** It takes all. */
  unstall(): void {
    this.stalled = false
    this.accept()
  }

  get bytes(): Buffer {
    return Buffer.concat(this.calls.flat())
  }

  override _write(chunk: Buffer, _encoding: string, callback: Callback): void {
    this.#record([chunk], callback)
  }

  override _writev(chunks: { chunk: Buffer }[], callback: Callback): void {
    this.#record(
      chunks.map(({ chunk }) => chunk),
      callback,
    )
  }

  override _read(): void {}

  override _final(callback: Callback): void {
    this.ended = true
    callback()
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const held = this.#held
    this.#held = undefined
    held?.(new Error('write ECANCELED'))
    callback(error)
  }

  #record(chunks: Buffer[], callback: Callback): void {
    this.calls.push(chunks)
    if (this.stalled) this.#held = callback
    else callback()
  }
}
