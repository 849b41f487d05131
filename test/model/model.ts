/**
 * The closing promise as a model: two machines, the wire between them, and all that can go wrong.
 *
 * A *world* is a client, a server and the two directions of TCP between them. A *rule* is one thing that can happen
 * next: the application calls `close()`, the kernel takes a frame, a FIN arrives, a timer fires, the cable is cut.
 * `explore.ts` applies every rule in every world that can be reached, so all interleavings are seen, not a sample.
 * The machine is the shipped one: the model calls `step` and performs its effects, as `Connection` does.
 *
 * Each side keeps a record of what really happened to it (Close queued, Close flushed, messages delivered …), made
 * by the rules and never read from the machine, and the machine's story is held against that record. Safety is what
 * holds in every world (S1 to S11). Liveness is the promise that a side that begins to close ends up closed:
 *
 *   L1  a closing side always has a timer running, or a destroyed socket, or both FINs;
 *   L2  while a side is closing, something is due: a step of the kernel, the wire or a timer, none of them optional;
 *   L4  no sequence of steps ever comes back to the same world;
 *   L3  follows: the worlds are finitely many, so by L4 every run ends, and by L2 it does not end while a side is
 *       closing. The application, the peer and luck are not counted on: their rules are never due.
 *
 * The rules know no durations. A timer that runs may fire now or after anything else, so nothing here depends on how
 * long a timeout is, only on its being armed.
 */
import type { CloseFrame, CloseTrigger } from '../../lib/close-info.ts'
import { beginLife, closeInfo, receives, sends, step } from '../../lib/lifecycle.ts'
import type {
  ConnectionState,
  Effect,
  Failure,
  Life,
  LifeEvent,
  LifeEvents,
  Role,
} from '../../lib/lifecycle.ts'

/** What is examined: the shipped machine, or a mutant of it. */
export interface Machine {
  readonly step: typeof step
  readonly receives: typeof receives
  readonly sends: typeof sends
  readonly closeInfo: typeof closeInfo
}

export const shipped: Machine = { step, receives, sends, closeInfo }

export const invariants = {
  S1: 'at most one Close is written',
  S2: 'nothing follows our Close but FIN, nothing follows FIN, and a queued Close is never dropped',
  S3: 'closed is final and reached once; after destroy only the end of the socket counts',
  S4: 'messages are delivered in open and close-sent only',
  S5: 'when a Close is received, all that was sent before it has been delivered',
  S6: 'code, wasClean, sent and received tell what happened; an automatic answer repeats what it answers',
  S7: 'the initiator is the side whose Close began the end, never the peer for both sides',
  S8: 'without a fault both sides end clean, and the client ends TCP after the server',
  S9: 'the trigger names an event that happened, and stays once the end is decided',
  S10: 'a timer is armed once, never behind the end of the socket',
  S11: 'a side that has seen the peer end TCP waits for no frame any more',
  S12: 'whatever happens to an open side ends the open state',
  L1: 'a closing side has a timer running, or has destroyed the socket, or has seen both FINs',
  L2: 'while a side is closing something is due; with keepalive, also while it is open on a dead network',
  L4: 'no sequence of steps comes back to the same world',
  L5: 'when our Close is out and nothing is awaited but the end of TCP, the linger time runs',
} as const

export type Invariant = keyof typeof invariants

/**
 * What travels, one letter each, so that a queue is a string: `D` a message, `O` an answer to one (an echo, or the
 * Pong to a Ping), `F` FIN, `R` RST, and in lower case the Close frames.
 */
const closeFrames: Readonly<Record<string, CloseFrame>> = {
  n: { code: 1000, reason: 'bye' },
  e: { code: undefined, reason: '' },
  p: { code: 1002, reason: 'bad frame' },
  k: { code: 1011, reason: '' },
  l: { code: 1013, reason: 'slow' },
  x: { code: 4000, reason: 'a second Close' },
}

function closeFrame(letter: string): CloseFrame {
  const frame = closeFrames[letter]
  if (frame === undefined) throw new Error(`no Close frame: ${letter}`)
  return frame
}

function closeLetter(frame: CloseFrame | null): string {
  if (frame === null) return ''
  return Object.keys(closeFrames).find((letter) => closeFrames[letter]?.code === frame.code) ?? '?'
}

/** The Close of `close()`: the server's is empty, so that 1005 occurs. */
const ownClose: Readonly<Record<Role, CloseFrame>> = { client: closeFrame('n'), server: closeFrame('e') }

const failures = {
  'bad frame': { close: closeFrame('p'), trigger: 'protocol-error', error: new Error('bad frame') },
  limit: { close: closeFrame('l'), trigger: 'limit', error: new Error('slow'), hopeless: true },
  'handler error': { close: closeFrame('k'), trigger: 'handler-error', error: new Error('handler') },
} as const satisfies Record<string, Failure>

/** One end of the connection: the machine, its output, and the record of what happened. */
export interface Side {
  life: Life
  /** Written and not yet taken by the kernel. */
  queue: string
  /** How often the application may still call `close()` and `send()`. */
  closes: number
  messages: number

  /** The Close we queued, '' for none. */
  close: string
  /** It was queued in answer to the peer's. */
  answered: boolean
  /** The kernel took it. */
  flushed: boolean
  /** The first Close that came while one was awaited, '' for none. */
  got: string
  /** Messages accepted from the application and not dropped by a failure. */
  written: number
  delivered: number
  /** The application asked for a half close, without a deadline. */
  patient: boolean
  /** Our FIN is queued. */
  ended: boolean
  finOut: boolean
  finIn: boolean
  deadline: boolean
  linger: boolean
  destroyed: boolean
  /** The socket has closed. */
  gone: boolean
  /** The end was told to the application. */
  finished: boolean
}

/** What may still go wrong, each so many times. */
export interface Faults {
  /** The cable is cut: all in flight is lost, nothing arrives any more. Nobody is told. */
  readonly cut: number
  /** Nothing is read any more: what is in flight stays there, and the kernel takes output until it is full. */
  readonly stall: number
  /** The socket reports an error, or just closes. */
  readonly socket: number
  readonly terminate: number
  readonly badFrame: number
  /** A limit or a handler fails the connection from our side. */
  readonly failure: number
  readonly keepalive: number
  /** The server goes on after its own Close, with a message or with another Close. */
  readonly byzantine: number
}

/** What both sides share beside the two channels. */
export interface Network {
  readonly state: 'up' | 'cut' | 'stalled'
  /** Something went wrong, or a timer fired: S8 promises nothing any more. */
  readonly faulty: boolean
  readonly left: Faults
}

export interface Configuration {
  /** Per side. */
  readonly messages: number
  readonly closes: number
  /** What fits into each direction of the wire. */
  readonly capacity: number
  /** Timers that are armed may fire, at any time. */
  readonly timers: boolean
  readonly faults: Faults
  readonly manualReply: boolean
  /** The application may half close, without a deadline. Keepalive then runs. */
  readonly halfClose: boolean
  /** Each message is answered at once. */
  readonly echo: boolean
}

const noFaults: Faults = {
  cut: 0,
  stall: 0,
  socket: 0,
  terminate: 0,
  badFrame: 0,
  failure: 0,
  keepalive: 0,
  byzantine: 0,
}

type Options = Omit<Partial<Configuration>, 'faults'> & { readonly faults?: Partial<Faults> }

function configure({ faults, ...options }: Options): Configuration {
  return {
    messages: 1,
    closes: 1,
    capacity: 3,
    timers: true,
    faults: { ...noFaults, ...faults },
    manualReply: false,
    halfClose: false,
    echo: false,
    ...options,
  }
}

/** Where timers do not fire, nobody may depend on them. */
export const configurations = {
  'A no faults, no timers': configure({ timers: false, closes: 2, messages: 2 }),
  'A messages are answered, no timers': configure({ timers: false, closes: 2, echo: true }),
  'A byzantine server, no timers': configure({ timers: false, closes: 2, faults: { byzantine: 1 } }),
  'A byzantine server, socket errors, no timers': configure({
    timers: false,
    faults: { byzantine: 1, socket: 1 },
  }),
  'B timers': configure({ closes: 2 }),
  'C cut': configure({ faults: { cut: 1 } }),
  'C stall, small buffers': configure({ capacity: 1, faults: { stall: 1 } }),
  'D socket errors': configure({ faults: { socket: 1 } }),
  'E terminate()': configure({ faults: { terminate: 1 } }),
  'F bad frames': configure({ faults: { badFrame: 1 } }),
  'F limits, failing handlers': configure({ faults: { failure: 1 } }),
  'G manual reply': configure({ manualReply: true }),
  'G manual reply, socket errors, terminate(), failing handlers, no messages': configure({
    manualReply: true,
    messages: 0,
    faults: { socket: 1, terminate: 1, failure: 1 },
  }),
  'G manual reply, half close, byzantine server, keepalive, no messages': configure({
    manualReply: true,
    halfClose: true,
    messages: 0,
    faults: { byzantine: 1, keepalive: 1 },
  }),
  'K keepalive': configure({ faults: { keepalive: 1 } }),
  'K keepalive, cut, no messages': configure({ messages: 0, faults: { keepalive: 1, cut: 1 } }),
  'L half close, cut': configure({ halfClose: true, closes: 2, faults: { cut: 1 } }),
  'X cut, socket errors, terminate(), no messages': configure({
    messages: 0,
    faults: { cut: 1, socket: 1, terminate: 1 },
  }),
  'H cut, socket errors, terminate(), bad frames': configure({
    faults: { cut: 1, socket: 1, terminate: 1, badFrame: 1 },
  }),
} as const satisfies Readonly<Record<string, Configuration>>

export function beginSide(role: Role, machine: Machine, configuration: Configuration): Side {
  return {
    life: machine.step(beginLife(role, configuration.manualReply), 'opened').life,
    queue: '',
    closes: configuration.closes,
    messages: configuration.messages,
    close: '',
    answered: false,
    flushed: false,
    got: '',
    written: 0,
    delivered: 0,
    patient: false,
    ended: false,
    finOut: false,
    finIn: false,
    deadline: false,
    linger: false,
    destroyed: false,
    gone: false,
    finished: false,
  }
}

export function beginNetwork(configuration: Configuration): Network {
  return { state: 'up', faulty: false, left: configuration.faults }
}

const closing: ReadonlySet<ConnectionState> = new Set([
  'close-sent',
  'close-received',
  'close-done',
  'failing',
])
const awaitsClose: ReadonlySet<ConnectionState> = new Set(['open', 'close-sent'])
const awaitsFrames: ReadonlySet<ConnectionState> = new Set(['open', 'close-sent', 'close-received'])

export function isClosing(side: Side): boolean {
  return closing.has(side.life.state)
}

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

  spoil(): void {
    if (!this.network.faulty) this.network = { ...this.network, faulty: true }
  }

  /** Takes the next item off the wire. */
  take(): string {
    const item = this.inbox.charAt(0)
    this.inbox = this.inbox.slice(1)
    return item
  }

  write(item: string): void {
    this.hold('S2', !this.side.ended)
    if (item !== 'F') this.hold('S2', this.side.close === '' || item === 'x')
    this.side.queue += item
  }

  fire<E extends LifeEvent>(event: E, ...detail: LifeEvents[E]): void {
    this.events.push(event)
    const before = this.side.life
    const { life, effects } = this.machine.step(before, event, ...detail)
    this.side.life = life
    for (const effect of effects) this.perform(effect)

    this.hold('S12', life.state !== 'open')
    if (before.state === 'closed') this.hold('S3', life.state === 'closed' && effects.length === 0)
    const decided = !awaitsFrames.has(before.state)
    const failed = life.state === 'failing' && !decided
    if (decided || failed || life.trigger !== before.trigger) {
      const settled = life.trigger === before.trigger && life.received === before.received
      this.hold('S9', decided ? settled : triggers[event].includes(life.trigger))
    }
    if (failed && event === 'peer-fin')
      this.hold('S9', (life.trigger === 'peer-fin') === (this.side.close === ''))
    this.hold('S10', life.deadline === this.side.deadline && life.linger === this.side.linger)
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
        this.hold('S1', side.close === '')
        this.write(closeLetter(side.life.sent))
        side.close = closeLetter(side.life.sent)
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

function count(items: string, item: string): number {
  return items.split(item).length - 1
}

/** Something that can happen to one side. */
export interface Rule {
  readonly name: string
  /** It does happen in the end, if nothing else does first. */
  readonly due: boolean
  when(turn: Turn): boolean
  act(turn: Turn): void
}

/** A rule for what comes next on the wire. */
function receive(name: string, item: string | RegExp, act: (turn: Turn, item: string) => void): Rule {
  return {
    name,
    due: true,
    when: (turn) => turn.network.state === 'up' && turn.alive && turn.inbox.charAt(0).search(item) === 0,
    act: (turn) => act(turn, turn.take()),
  }
}

/** A rule for something that goes wrong as often as the configuration says. */
function fault(
  name: string,
  kind: keyof Faults,
  when: (turn: Turn) => boolean,
  act: (turn: Turn) => void,
): Rule {
  return {
    name,
    due: false,
    when: (turn) => turn.network.left[kind] > 0 && when(turn),
    act: (turn) => {
      turn.spend(kind)
      act(turn)
    },
  }
}

/** The whole network goes; counted once, at the client. */
function outage(name: string, kind: 'cut' | 'stall', act: (turn: Turn) => void): Rule {
  return fault(name, kind, (turn) => turn.side.life.role === 'client' && turn.network.state === 'up', act)
}

export const rules: readonly Rule[] = [
  // The application
  {
    name: 'close()',
    due: false,
    when: (turn) => turn.side.closes > 0,
    act: (turn) => {
      turn.side.closes--
      turn.side.patient = false
      turn.fire('local-close', ownClose[turn.side.life.role], false)
    },
  },
  {
    name: 'closeOutput()',
    due: false,
    when: (turn) => turn.configuration.halfClose && turn.side.closes > 0,
    act: (turn) => {
      turn.side.closes--
      if (turn.side.close === '') turn.side.patient = true
      turn.fire('local-close', ownClose[turn.side.life.role], true)
    },
  },
  {
    name: 'send()',
    due: false,
    when: (turn) => turn.side.messages > 0 && turn.machine.sends[turn.state],
    act: (turn) => {
      turn.side.messages--
      turn.side.written++
      turn.write('D')
    },
  },

  // The kernel
  {
    name: 'the kernel takes output',
    due: true,
    when: (turn) => {
      const room = turn.network.state === 'cut' || turn.outbox.length < turn.configuration.capacity
      return turn.side.queue !== '' && turn.alive && room
    },
    act: (turn) => {
      const { side, network } = turn
      const item = side.queue.charAt(0)
      side.queue = side.queue.slice(1)
      if (network.state !== 'cut') turn.outbox += item
      if (item === 'F') side.finOut = true
      if (item === side.close && !side.flushed) {
        side.flushed = true
        turn.fire('close-flushed')
      }
    },
  },
  {
    name: 'the socket closes',
    due: true,
    when: ({ side }) => !side.gone && (side.destroyed || (side.finOut && side.finIn)),
    act: (turn) => {
      turn.side.gone = true
      turn.fire('socket-closed')
    },
  },

  // The wire
  receive('a message arrives', 'D', (turn) => {
    if (!turn.machine.receives[turn.state]) return
    turn.hold('S4', awaitsClose.has(turn.state))
    turn.side.delivered++
    if (turn.configuration.echo && turn.machine.sends[turn.state]) turn.write('O')
  }),
  receive('an answer arrives', 'O', () => {}),
  receive('a Close arrives', /[a-z]/, (turn, item) => {
    if (turn.side.got === '' && awaitsClose.has(turn.state)) turn.side.got = item
    turn.fire('close-received', closeFrame(item))
  }),
  receive('FIN arrives', 'F', (turn) => {
    turn.side.finIn = true
    turn.fire('peer-fin')
  }),
  receive('RST arrives', 'R', (turn) => {
    turn.spoil()
    turn.fire('socket-error', new Error('ECONNRESET'))
  }),
  {
    name: 'something arrives at a dead socket',
    due: true,
    when: (turn) => turn.network.state === 'up' && !turn.alive && turn.inbox !== '',
    act: (turn) => {
      turn.take()
    },
  },
  {
    name: 'something arrives at a dead socket and is answered by RST',
    due: true,
    when: (turn) => turn.network.state === 'up' && !turn.alive && /^[^FR]/.test(turn.inbox),
    act: (turn) => {
      turn.take()
      turn.outbox = 'R'
      turn.spoil()
    },
  },

  // The timers
  {
    name: 'the deadline is over',
    due: true,
    when: ({ configuration, side }) => configuration.timers && side.deadline,
    act: (turn) => {
      turn.spoil()
      turn.fire('deadline')
    },
  },
  {
    name: 'the linger time is over',
    due: true,
    when: ({ configuration, side }) => configuration.timers && side.linger,
    act: (turn) => {
      turn.spoil()
      turn.fire('linger')
    },
  },
  {
    name: 'a half-closed side hears no Pong',
    due: true,
    when: ({ side }) => side.patient && side.life.state === 'close-sent' && !side.deadline && !side.destroyed,
    act: (turn) => {
      turn.spoil()
      turn.fire('keepalive-timeout')
    },
  },
  {
    name: 'no Pong comes over a dead network',
    due: true,
    when: ({ configuration, side, network }) =>
      configuration.faults.keepalive > 0 &&
      network.state !== 'up' &&
      side.life.state === 'open' &&
      !side.destroyed,
    act: (turn) => turn.fire('keepalive-timeout'),
  },

  // What goes wrong
  fault(
    'no Pong comes',
    'keepalive',
    ({ side }) => !side.finished,
    (turn) => turn.fire('keepalive-timeout'),
  ),
  fault(
    'terminate()',
    'terminate',
    ({ side }) => !side.finished,
    (turn) => turn.fire('terminate'),
  ),
  fault(
    'a bad frame arrives',
    'badFrame',
    (turn) => turn.network.state === 'up' && turn.alive && turn.inbox.startsWith('D'),
    (turn) => {
      turn.take()
      if (turn.machine.receives[turn.state]) turn.fire('violation', failures['bad frame'])
    },
  ),
  fault(
    'a limit is reached',
    'failure',
    ({ side }) => !side.finished,
    (turn) => turn.fire('violation', failures.limit),
  ),
  fault(
    'a handler fails',
    'failure',
    ({ side }) => !side.finished,
    (turn) => turn.fire('violation', failures['handler error']),
  ),
  fault(
    'the socket fails',
    'socket',
    (turn) => turn.alive,
    (turn) => turn.fire('socket-error', new Error('EPIPE')),
  ),
  fault(
    'the socket is gone',
    'socket',
    (turn) => turn.alive,
    (turn) => {
      turn.side.gone = true
      turn.tear()
      turn.fire('socket-closed')
    },
  ),
  outage('the cable is cut', 'cut', (turn) => {
    turn.network = { ...turn.network, state: 'cut' }
    turn.inbox = ''
    turn.outbox = ''
  }),
  outage('nothing is read any more', 'stall', (turn) => {
    turn.network = { ...turn.network, state: 'stalled' }
  }),
  fault('the server sends a message behind its Close', 'byzantine', goesOn, (turn) => {
    turn.side.queue += 'D'
  }),
  fault('the server sends a second Close', 'byzantine', goesOn, (turn) => {
    turn.side.queue += 'x'
  }),
]

function goesOn({ side }: Turn): boolean {
  return side.life.role === 'server' && side.close !== '' && !side.ended && !side.destroyed
}

/** What holds for every side by itself. */
export function judgeSide(
  side: Side,
  { step, closeInfo }: Machine,
  configuration: Configuration,
): Invariant[] {
  const broken: Invariant[] = []
  const hold = (invariant: Invariant, holds: boolean): void => {
    if (!holds) broken.push(invariant)
  }
  const { life } = side
  const over = side.destroyed || side.gone || (side.finOut && side.finIn)
  const halfClosed = side.patient && life.state === 'close-sent' // Keepalive is its timer.

  hold('S3', (life.state === 'closed') === side.finished && side.finished === side.gone)
  if (side.finished || side.destroyed) {
    // Nothing that still happens has an effect.
    const nothing = [
      step(life, 'local-close', closeFrame('n'), false),
      step(life, 'close-received', closeFrame('x')),
      step(life, 'violation', failures.limit),
      step(life, 'socket-error', failures.limit.error),
      ...(['close-flushed', 'peer-fin', 'keepalive-timeout', 'deadline', 'linger', 'terminate'] as const).map(
        (event) => step(life, event),
      ),
      ...(side.finished ? [step(life, 'socket-closed')] : []),
    ]
    hold(
      'S3',
      nothing.every((next) => next.effects.length === 0 && next.life.state === life.state),
    )
  }

  hold('S6', closeLetter(life.received) === side.got && closeLetter(life.sent) === side.close)
  if (side.answered && !configuration.manualReply) hold('S6', side.close === side.got)
  if (side.finished) {
    const info = closeInfo(life)
    hold('S6', info.code === (side.got === '' ? 1006 : (closeFrame(side.got).code ?? 1005)))
    hold('S6', info.wasClean === (side.got !== '' && side.flushed))
    hold('S6', closeLetter(info.received) === side.got && closeLetter(info.sent) === side.close)
  }

  const began = side.close !== '' && !side.answered
  if (life.initiator === 'local') hold('S7', began)
  if (life.initiator === 'remote') hold('S7', side.got !== '' && !began)
  if (life.initiator === 'none')
    hold('S7', side.got === '' && (!began || life.trigger === 'keepalive-timeout'))

  hold('S11', !side.finIn || !awaitsFrames.has(life.state))
  if (closing.has(life.state) && !over) {
    hold('L1', side.deadline || side.linger || halfClosed)
    if (!awaitsFrames.has(life.state) && (side.flushed || side.close === '')) hold('L5', side.linger)
  }
  return broken
}

/** What holds for both sides together. `due`: a rule that is due applies to one of them. */
export function judgeWorld(
  client: Side,
  server: Side,
  network: Network,
  configuration: Configuration,
  due: boolean,
): Invariant[] {
  const broken: Invariant[] = []
  for (const [side, peer] of [
    [client, server],
    [server, client],
  ] as const) {
    if (side.got !== '') {
      if (side.delivered !== peer.written) broken.push('S5')
      if (side.got !== peer.close) broken.push('S6')
    }
    if (side.delivered > peer.written) broken.push('S5')
    if (side.life.initiator === 'remote' && (peer.close === '' || peer.answered)) broken.push('S7')
    if (!due && isClosing(side)) broken.push('L2')
    if (!due && configuration.faults.keepalive > 0 && network.state !== 'up' && !side.finished)
      broken.push('L2')
  }
  if (!network.faulty && client.finished && server.finished) {
    if (!(client.got !== '' && client.flushed && server.got !== '' && server.flushed)) broken.push('S8')
  }
  return broken
}
