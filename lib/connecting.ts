/** Who connects where: one at a time to an address, the others wait in the order in which they came. */
import { Waits } from './waits.ts'

export class Connecting {
  /** Of each address that somebody connects to, those who wait. */
  readonly #waiting = new Map<string, Waits<void>>()

  /**
   * Makes that attempt when those before it have opened or failed (RFC 6455 section 4.1 item 2). An abort ends the wait;
   * the attempt has to hear it by itself.
   */
  async inTurn<T>(address: string, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    const before = this.#waiting.get(address)
    if (before === undefined) this.#waiting.set(address, new Waits())
    else await before.add(signal)
    try {
      return await attempt()
    } finally {
      if (this.#waiting.get(address)?.resolveNext() !== true) this.#waiting.delete(address)
    }
  }
}

/** All of this process. */
export const connecting: Connecting = new Connecting()
