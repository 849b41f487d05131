/** One side acting: performs the effects of the machine, and holds each step against the invariants of steps. */
import type { CloseTrigger } from '../../lib/close-info.ts'
import type { ConnectionState, Effect, Life, LifeEvent, LifeEvents } from '../../lib/lifecycle.ts'
import type { Configuration, Faults } from './configurations.ts'
import {
  awaitsFrames,
  closeLetter,
  failures,
  type Invariant,
  type Machine,
  type Network,
  type Side,
} from './model.ts'

/** The triggers that an event can give. */
const triggers: Readonly<Record<LifeEvent, readonly CloseTrigger[]>> = {
  opened: [],
  'handshake-failed': ['handshake-failed'],
  'local-close': ['local-close'],
  'close-received': ['peer-close'],
  'close-flushed': [],
  'peer-fin': ['peer-fin', 'peer-fin-before-close'],
  violation: ['protocol-error', 'limit', 'handler-error'],
  'keepalive-timeout': ['keepalive-timeout'],
  'socket-error': ['socket-error'],
  deadline: ['close-timeout'],
  linger: [],
  terminate: ['terminate'],
  'socket-closed': ['socket-error'],
}

/** What leaves no socket, whatever the state. */
const fatal: ReadonlySet<LifeEvent> = new Set(['socket-error', 'deadline', 'linger', 'terminate'])

/** One side about to act: itself, the wire to and from it, and the network. Rules change it in place. */
export class Turn {
  readonly machine: Machine
  readonly configuration: Configuration
  readonly side: Side
  network: Network
  inbox: string
  outbox: string
  /** How a socket that is destroyed in this turn ends TCP: by RST, which overtakes what is in flight, or by FIN. */
  readonly resets: boolean
  /** A socket was destroyed with the network up, so `resets` made a difference. */
  tore = false
  readonly broken: Invariant[] = []
  readonly events: LifeEvent[] = []

  constructor(
    machine: Machine,
    configuration: Configuration,
    view: { side: Side; inbox: string; outbox: string; network: Network },
    resets = false,
  ) {
    this.machine = machine
    this.configuration = configuration
    this.side = { ...view.side }
    this.network = view.network
    this.inbox = view.inbox
    this.outbox = view.outbox
    this.resets = resets
  }

  get state(): ConnectionState {
    return this.side.life.state
  }

  /** The socket can be used. */
  get alive(): boolean {
    return !this.side.destroyed && !this.side.gone
  }

  hold(invariant: Invariant, holds: boolean): void {
    if (!holds) this.broken.push(invariant)
  }

  /** Uses up one fault. */
  spend(fault: keyof Faults): void {
    const left = { ...this.network.left, [fault]: this.network.left[fault] - 1 }
    this.network = { ...this.network, left, faulty: true }
  }

  /** S8 promises nothing from here on. */
  spoil(): void {
    if (!this.network.faulty) this.network = { ...this.network, faulty: true }
  }

  /** Takes the next item off the wire. */
  take(): string {
    const item = this.inbox.charAt(0)
    this.inbox = this.inbox.slice(1)
    return item
  }

  /** Queues output. */
  write(item: string): void {
    this.hold('S2', !this.side.ended && this.alive)
    if (item !== 'F') this.hold('S2', this.side.close === '' || item === 'x')
    this.side.queue += item
  }

  /** Gives the machine an event, performs the effects, and judges what came of it. */
  fire<E extends LifeEvent>(event: E, ...detail: LifeEvents[E]): void {
    this.events.push(event)
    const before = this.side.life
    const { life, effects } = this.machine.step(before, event, ...detail)
    this.side.life = life
    for (const effect of effects) this.perform(effect)
    this.judgeStep(before, event, detail)
  }

  private judgeStep(before: Life, event: LifeEvent, detail: readonly unknown[]): void {
    const { life } = this.side
    const wasDecided = !awaitsFrames.has(before.state)
    const fails = !wasDecided && (life.state === 'failing' || life.state === 'closed')
    const movesOn = life.state !== before.state

    if (before.state === 'open') this.hold('S12', movesOn)
    if (before.state === 'close-received') this.hold('S12', movesOn || event === 'close-received')
    if (fatal.has(event)) this.hold('S12', !this.alive)
    if (wasDecided) this.hold('S9', life.trigger === before.trigger && life.received === before.received)
    if (wasDecided) this.hold('S9', !movesOn || life.state === 'closed')
    if (fails || life.trigger !== before.trigger) this.hold('S9', triggers[event].includes(life.trigger))
    if (fails && event === 'peer-fin') {
      this.hold('S9', (life.trigger === 'peer-fin') === (this.side.close === ''))
    }
    this.hold('S9', life.error === (fails ? errorIn(detail) : before.error))
    if (fails && (event === 'keepalive-timeout' || isHopeless(detail))) {
      this.hold('L5', this.side.linger || !this.alive)
    }
  }

  private perform(effect: Effect): void {
    const { side } = this
    switch (effect) {
      case 'drop-output':
        this.hold('S2', side.close === '' || side.flushed)
        side.written -= count(side.queue, 'D')
        side.queue = ''
        break
      case 'send-close': {
        const close = closeLetter(side.life.sent)
        this.hold('S1', side.close === '' && close !== '')
        if (side.life.state === 'failing') this.hold('S1', side.queue === '')
        this.write(close)
        side.close = close
        side.answered = side.got !== ''
        break
      }
      case 'end':
        if (side.life.role === 'client') this.hold('S8', side.finIn || this.network.faulty)
        this.write('F')
        side.ended = true
        break
      case 'start-deadline':
        this.hold('S10', !side.deadline && this.alive)
        side.deadline = true
        break
      case 'start-linger':
        this.hold('S10', !side.linger && this.alive)
        side.linger = true
        break
      case 'destroy':
        this.hold('S3', this.alive)
        side.destroyed = true
        this.abandon()
        this.tear()
        break
      case 'finish':
        this.hold('S3', side.gone && !side.finished)
        side.finished = true
        this.abandon()
        break
    }
  }

  /** Nothing of ours goes out any more and no timer fires; what the application wants no longer matters. */
  private abandon(): void {
    const { side } = this
    side.deadline = false
    side.linger = false
    side.queue = ''
    side.closes = 0
    side.messages = 0
  }

  /** The kernel ends TCP for a socket that is gone. */
  tear(): void {
    if (this.network.state !== 'up') return
    this.tore = true
    if (this.resets) this.outbox = 'R'
    else if (!this.side.finOut) this.outbox += 'F'
    this.side.finOut = true
  }
}

/** What an event brings along as the cause. */
function errorIn(detail: readonly unknown[]): unknown {
  const [cause] = detail
  if (cause instanceof Error) return cause
  return typeof cause === 'object' && cause !== null && 'error' in cause ? cause.error : undefined
}

function isHopeless(detail: readonly unknown[]): boolean {
  return detail.includes(failures.limit)
}

function count(items: string, item: string): number {
  return items.split(item).length - 1
}
