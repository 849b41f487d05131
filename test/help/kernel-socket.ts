/** A socket of the system in all but the system: its kernel copies what it takes, at once or, while it is full, on `accept`. */
import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'

export class KernelSocket extends Socket {
  /** The very chunks that it was given. */
  readonly written: Buffer[] = []
  writes = 0
  full = false
  /** What happens while it takes something. */
  onWrite: () => void = () => {}
  #copies: Buffer[] = []
  #held: (() => void) | undefined

  /** What the kernel has taken. */
  get bytes(): Buffer {
    return Buffer.concat(this.#copies)
  }

  accept(): void {
    const held = this.#held
    this.#held = undefined
    held?.()
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#take([chunk], callback)
  }

  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      callback,
    )
  }

  #take(chunks: readonly Buffer[], callback: () => void): void {
    this.written.push(...chunks)
    this.writes++
    this.onWrite()
    this.#held = () => {
      this.#copies.push(Buffer.concat(chunks))
      callback()
    }
    if (!this.full) this.accept()
  }
}
