/** Whether the peer is still there and still getting on with what it began; asked once a heartbeat, fed by every read. */
import type { ConnectionSettings } from './options.ts'

/** An unfinished frame must come on by this many bytes within a progress period, or end. */
const leastProgress = 1024

/** The decoder's part in this. */
interface Progress {
  readonly frames: number
  readonly unfinished: boolean
}

export class PeerWatch {
  readonly #settings: Pick<ConnectionSettings, 'keepalive' | 'progressTimeout'>
  #bytes = 0
  /** When the silence began, and whether it has been broken by a Ping of ours. */
  #quietSince: number
  #heard = false
  #pinged = false
  /** Whether output waited in the socket when we looked last, and how much had been taken by then. */
  #outputWaited = false
  #taken = 0
  /** Where the unfinished message stood when it last came on; undefined while none is read. */
  #mark: { readonly time: number; readonly bytes: number; readonly frames: number } | undefined

  constructor(settings: Pick<ConnectionSettings, 'keepalive' | 'progressTimeout'>, now: number) {
    this.#settings = settings
    this.#quietSince = now
  }

  /** Anything that comes is a sign of life. */
  heard(bytes: number): void {
    this.#heard = true
    this.#bytes += bytes
  }

  /**
   * What has become of our output: that the kernel takes on what it had no room for says that the peer has read, and a
   * Ping of ours may wait behind the rest for long. What it takes at once says nothing of the peer.
   */
  output(waiting: number, taken: number): void {
    if (this.#outputWaited && taken > this.#taken) this.#heard = true
    this.#outputWaited = waiting > 0
    this.#taken = taken
  }

  /** True when an unfinished message has not come on within the progress timeout. */
  stalls(now: number, held: boolean, { frames, unfinished }: Progress): boolean {
    if (!unfinished || held) {
      this.#mark = undefined
      return false
    }
    const mark = this.#mark
    // What began between two looks is counted from the second one: nobody is cut too early.
    if (mark === undefined || frames !== mark.frames || this.#bytes - mark.bytes >= leastProgress) {
      this.#mark = { time: now, bytes: this.#bytes, frames }
      return false
    }
    return now - mark.time >= this.#settings.progressTimeout
  }

  /**
   * What the keepalive makes of the silence: a Ping is due, or the peer is gone. While nothing is read no answer can be
   * seen; but only what is sent finds out that the peer has ended TCP, or is not there any more.
   */
  silence(now: number, held: boolean): 'ping' | 'gone' | undefined {
    const { keepalive } = this.#settings
    if (keepalive === false) return undefined
    const quiet = now - this.#quietSince
    if (this.#heard || (held && quiet >= keepalive.interval)) {
      const due = held && !this.#heard && !this.#outputWaited
      this.#heard = false
      this.#pinged = false
      this.#quietSince = now
      return due ? 'ping' : undefined
    }
    if (quiet >= keepalive.interval + keepalive.timeout) return 'gone'
    if (quiet < keepalive.interval || this.#pinged) return undefined
    this.#pinged = true
    return 'ping'
  }
}
