/** Where a connection's life meets its socket: takes events to the close machine and performs the effects. */
import type { Duplex } from 'node:stream'
import { encodeClosePayload } from '../frames/close-payload.ts'
import type { CloseInfo } from './close-info.ts'
import {
  closeInfo,
  type ConnectionState,
  type Effect,
  type Life,
  type LifeEvent,
  type LifeEvents,
  step,
} from './lifecycle.ts'
import type { ConnectionSettings } from './options.ts'
import type { Sender } from './sender.ts'
import type { Cancel } from './timers.ts'

export interface ClosingSink {
  /** The state has changed, and all that belongs to the change has been done. */
  entered(state: ConnectionState): void
  /** Our Close is with the kernel. */
  flushed(): void
  /** TCP has ended. Comes behind `entered('closed')`. */
  finished(info: CloseInfo): void
}

export class Closing {
  readonly #socket: Duplex
  readonly #sender: Sender
  readonly #settings: Pick<ConnectionSettings, 'closeTimeout' | 'lingerTimeout' | 'timers'>
  readonly #sink: ClosingSink

  #life: Life
  /** Events that came while one was being performed. */
  readonly #pending: (() => void)[] = []
  #performing = false
  #info: CloseInfo | undefined
  #cancelDeadline: Cancel | undefined
  #cancelLinger: Cancel | undefined

  constructor(
    life: Life,
    socket: Duplex,
    sender: Sender,
    settings: Pick<ConnectionSettings, 'closeTimeout' | 'lingerTimeout' | 'timers'>,
    sink: ClosingSink,
  ) {
    this.#life = life
    this.#socket = socket
    this.#sender = sender
    this.#settings = settings
    this.#sink = sink
  }

  get state(): ConnectionState {
    return this.#life.state
  }

  /** Our Close has left. */
  get flushed(): boolean {
    return this.#life.sentFlushed
  }

  /** The story, once it is over. */
  get info(): CloseInfo | undefined {
    return this.#info
  }

  /** The story, as it stands. */
  get infoSoFar(): CloseInfo {
    return this.#info ?? closeInfo(this.#life)
  }

  /** Takes an event. One that comes while another is performed waits for its turn, so no effect is overtaken. */
  dispatch<E extends LifeEvent>(event: E, ...detail: LifeEvents[E]): void {
    this.#pending.push(() => this.#step(event, detail))
    if (this.#performing) return
    this.#performing = true
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) next()
    this.#performing = false
  }

  #step<E extends LifeEvent>(event: E, detail: LifeEvents[E]): void {
    const before = this.#life
    const { life, effects } = step(before, event, ...detail)
    this.#life = life
    for (const effect of effects) this.#perform(effect)
    if (life.sentFlushed && !before.sentFlushed) this.#sink.flushed()
    if (life.state !== before.state) this.#sink.entered(life.state)
    if (this.#info !== undefined) this.#sink.finished(this.#info)
  }

  #perform(effect: Effect): void {
    const { timers, closeTimeout, lingerTimeout } = this.#settings
    switch (effect) {
      case 'drop-output':
        this.#sender.drop()
        break
      case 'send-close': {
        const { code, reason } = this.#life.sent ?? {}
        this.#sender.close(encodeClosePayload(code, reason), () => this.dispatch('close-flushed'))
        break
      }
      case 'end':
        this.#sender.end()
        break
      case 'start-deadline':
        this.#cancelDeadline = timers.after(closeTimeout, () => this.dispatch('deadline'))
        break
      case 'start-linger':
        this.#cancelLinger = timers.after(lingerTimeout, () => this.dispatch('linger'))
        break
      case 'destroy':
        this.#stopTimers()
        this.#socket.destroy()
        break
      case 'finish':
        this.#stopTimers()
        this.#info = closeInfo(this.#life)
    }
  }

  #stopTimers(): void {
    this.#cancelDeadline?.()
    this.#cancelLinger?.()
  }
}
