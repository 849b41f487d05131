/** One coarse timer for everything that connections have to notice by and by, so that an idle one has no timer of its own. */
import { type Timers, wholeMilliseconds } from './timers.ts'

/** How often, in milliseconds; what hangs on it is late by at most this much. */
export const beatInterval = 1000

export interface HeartbeatMember {
  /** `now` is the time in whole milliseconds, the same for all. */
  beat(now: number): void
}

export class Heartbeat {
  readonly #timers: Timers
  readonly #members = new Set<HeartbeatMember>()
  #stop: (() => void) | undefined

  constructor(timers: Timers) {
    this.#timers = timers
  }

  add(member: HeartbeatMember): void {
    this.#members.add(member)
    this.#stop ??= this.#timers.every(beatInterval, () => {
      const now = wholeMilliseconds(this.#timers)
      for (const each of this.#members) each.beat(now)
    })
  }

  delete(member: HeartbeatMember): void {
    this.#members.delete(member)
    if (this.#members.size > 0) return
    this.#stop?.()
    this.#stop = undefined
  }
}

const heartbeats = new WeakMap<Timers, Heartbeat>()

/** The one heartbeat of that clock. */
export function heartbeatOf(timers: Timers): Heartbeat {
  let heartbeat = heartbeats.get(timers)
  if (heartbeat === undefined) {
    heartbeat = new Heartbeat(timers)
    heartbeats.set(timers, heartbeat)
  }
  return heartbeat
}
