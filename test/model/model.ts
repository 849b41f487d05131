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
 * holds in every world (S1 to S14). Liveness is the promise that a side that begins to close ends up closed:
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
import type { CloseFrame } from '../../lib/close-info.ts'
import { beginLife, closeInfo, receives, sends, step } from '../../lib/lifecycle.ts'
import type { ConnectionState, Failure, Life, Role } from '../../lib/lifecycle.ts'
import type { Configuration, Faults } from './configurations.ts'

/** What is examined: the shipped machine, or a mutant of it. */
export interface Machine {
  readonly step: typeof step
  readonly receives: typeof receives
  readonly sends: typeof sends
  readonly closeInfo: typeof closeInfo
}

export const shipped: Machine = { step, receives, sends, closeInfo }

export const invariants = {
  S1: 'at most one Close is written, and one that fails the connection goes first',
  S2: 'nothing follows our Close but FIN, nothing follows FIN or destroy, and a queued Close is never dropped',
  S3: 'closed is final and reached once; after destroy only the end of the socket counts',
  S4: 'messages are delivered in open and close-sent only',
  S5: 'when a Close is received, all that was sent before it has been delivered',
  S6: 'code, wasClean, sent and received tell what happened; an automatic answer repeats what it answers',
  S7: 'the initiator is the side whose Close began the end, never the peer for both sides',
  S8: 'without a fault both sides end clean, and the client ends TCP after the server',
  S9: 'trigger and error name an event that happened, and stay once the end is decided',
  S10: 'a timer is armed once, never behind the end of the socket',
  S11: 'a side that has seen the peer end TCP ends it too; it waits for no frame then, nor does a destroyed one',
  S12: 'nothing is shrugged off in open or close-received; errors, timers and terminate() destroy the socket',
  S13: 'state and facts are true: whose Close there is, whether ours has left, who has ended TCP, which timers run',
  S14: 'a server ends TCP as soon as both Close frames exist, or the connection has failed',
  L1: 'a closing side has a timer running, or has destroyed the socket, or has seen both FINs',
  L2: 'while a side is closing something is due; with keepalive, also while it is open on a dead network',
  L4: 'no sequence of steps comes back to the same world',
  L5: 'when there is nothing left to say, or nobody who would hear it, the linger time runs',
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

export function closeFrame(letter: string): CloseFrame {
  const frame = closeFrames[letter]
  if (frame === undefined) throw new Error(`no Close frame: ${letter}`)
  return frame
}

export function closeLetter(frame: CloseFrame | null): string {
  if (frame === null) return ''
  return Object.keys(closeFrames).find((letter) => closeFrames[letter]?.code === frame.code) ?? '?'
}

/** The Close of `close()`: the server's is empty, so that 1005 occurs. */
export const ownClose: Readonly<Record<Role, CloseFrame>> = {
  client: closeFrame('n'),
  server: closeFrame('e'),
}

export const failures = {
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

/** What both sides share beside the two channels. */
export interface Network {
  readonly state: 'up' | 'cut' | 'stalled'
  /** Something went wrong, or a timer fired: S8 promises nothing any more. */
  readonly faulty: boolean
  readonly left: Faults
}

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

export const closing: ReadonlySet<ConnectionState> = new Set([
  'close-sent',
  'close-received',
  'close-done',
  'failing',
])
export const awaitsClose: ReadonlySet<ConnectionState> = new Set(['open', 'close-sent'])
export const awaitsFrames: ReadonlySet<ConnectionState> = new Set(['open', 'close-sent', 'close-received'])
