/**
 * The order of messages that take their time: those that are streamed, and those that are compressed in the thread pool.
 * One at a time has the turn; whole frames, and other such messages, wait behind it.
 */
import type { Buffer } from 'node:buffer'

export type Turn = 'stream' | 'compression'

/** Who waits for a turn, or to end it all when those before have had theirs. */
interface Waiting {
  readonly turn: Turn | undefined
  begin(): void
}

export class Turns {
  #turn: Turn | undefined
  #behind: (Buffer | Waiting)[] = []
  #bytes = 0
  /** Lets the stream go on that has the turn. */
  #goOn: (() => void) | undefined

  /** Bytes of the frames that wait and of the messages that are being compressed. */
  get bytes(): number {
    return this.#bytes
  }

  /** Resolves when those whose turn comes before have ended theirs; `size` bytes count until `end`. */
  begin(turn: Turn, size: number): Promise<void> {
    this.#bytes += size
    if (this.#turn === undefined) {
      this.#turn = turn
      return Promise.resolve()
    }
    return new Promise((begin) => this.#behind.push({ turn, begin }))
  }

  /** Lets out the frames that waited, as far as the next turn; false when nobody has that. */
  end(size: number, letOut: (frame: Buffer) => void): boolean {
    this.#bytes -= size
    this.#turn = undefined
    while (this.#turn === undefined) {
      const next = this.#behind.shift()
      if (next === undefined) return false
      if ('begin' in next) {
        this.#turn = next.turn
        next.begin()
      } else {
        this.#bytes -= next.length
        letOut(next)
      }
    }
    return true
  }

  /** A frame that waits. */
  put(frame: Buffer): void {
    this.#behind.push(frame)
    this.#bytes += frame.length
  }

  /**
   * Acts behind all that goes out: messages that are being compressed do. A stream under way is cut, and so is one that
   * waits, with all that waits behind it: what arrives has no gaps.
   */
  last(act: () => void): void {
    if (this.#turn !== 'compression') {
      this.#dropFrames()
      act()
      return
    }
    const stream = this.#behind.findIndex((entry) => 'begin' in entry && entry.turn === 'stream')
    this.#behind.splice(stream === -1 ? this.#behind.length : stream, 0, { turn: undefined, begin: act })
  }

  /** Forgets the frames that wait, and what is being compressed: nothing goes out any more. */
  drop(): void {
    this.#dropFrames()
    if (this.#turn === 'compression') this.#turn = 'stream'
  }

  /** The stream that has the turn waits until `goOn`. */
  pause(): Promise<void> {
    return new Promise((resolve) => (this.#goOn = resolve))
  }

  get paused(): boolean {
    return this.#goOn !== undefined
  }

  goOn(): void {
    this.#goOn?.()
    this.#goOn = undefined
  }

  #dropFrames(): void {
    this.#behind = this.#behind.filter((entry) => {
      if ('begin' in entry) return true
      this.#bytes -= entry.length
      return false
    })
  }
}
