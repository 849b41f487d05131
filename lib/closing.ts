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
  /** The state has changed. No handler of the application may be called now. */
  moved(state: ConnectionState): void
  /** Our Close is with the kernel. */
  flushed(): void
  /** The same as `moved`, for the application: it may do anything. States are told of in their order. */
  entered(state: ConnectionState): void
  /** TCP has ended. Comes behind `entered('closed')`. */
  finished(info: CloseInfo): void
}

export class Closing {
  readonly #socket: Duplex
  readonly #sender: Sender
  readonly #settings: Pick<ConnectionSettings, 'closeTimeout' | 'lingerTimeout' | 'timers'>
  readonly #sink: ClosingSink

  #life: Life
  /** What the application is to be told next, while it is being told something. */
  #news: (() => void)[] | undefined
  #info: CloseInfo | undefined
  /** The deadline and the linger, once they run. */
  #running: Cancel[] | undefined

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

  /** Takes an event, at once and whole: of what it changed the application is told when no other news is under way. */
  dispatch<E extends LifeEvent>(event: E, ...detail: LifeEvents[E]): void {
    const before = this.#life
    const { life, effects } = step(before, event, ...detail)
    this.#life = life
    for (const effect of effects) this.#perform(effect)
    if (life.sentFlushed && !before.sentFlushed) this.#sink.flushed()
    if (life.state === before.state) return
    this.#sink.moved(life.state)
    const telling = this.#news !== undefined
    const news = (this.#news ??= [])
    news.push(() => this.#sink.entered(life.state))
    const info = this.#info
    if (info !== undefined) news.push(() => this.#sink.finished(info))
    if (telling) return
    for (let next = news.shift(); next !== undefined; next = news.shift()) next()
    this.#news = undefined
  }

  #perform(effect: Effect): void {
    const { timers, closeTimeout, lingerTimeout } = this.#settings
    switch (effect) {
      case 'drop-output':
        this.#sender.drop()
        break
      case 'send-close': {
        const { sent } = this.#life
        this.#sender.close(encodeClosePayload(sent?.code, sent?.reason), () => this.dispatch('close-flushed'))
        break
      }
      case 'end':
        this.#sender.end()
        break
      case 'start-deadline':
        this.#run(timers.after(closeTimeout, () => this.dispatch('deadline')))
        break
      case 'start-linger':
        this.#run(timers.after(lingerTimeout, () => this.dispatch('linger')))
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

  #run(timer: Cancel): void {
    this.#running = [...(this.#running ?? []), timer]
  }

  #stopTimers(): void {
    this.#running?.forEach((cancel) => cancel())
  }
}
