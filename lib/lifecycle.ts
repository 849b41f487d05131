/**
 * The life of a connection, from the opening handshake to the end of TCP: RFC 6455 section 7 as one total table.
 *
 * `step` is pure. It takes the facts and an event and returns new facts and the effects to perform, in order. It
 * knows no socket and no timer: that TCP ended, that a write went through and that time ran out are events like any
 * other. The state is named by who closed what:
 *
 *     connecting ── open ──┬── close-sent ──────┬── close-done ── closed
 *                          ├── close-received ──┘                   │
 *                          └── failing (from any of them) ──────────┘
 *
 * Every state behind `open` has a timer running, or has destroyed the socket, or has seen both ends of TCP; so
 * `closed` is always reached. Server and client differ in one thing: the server ends TCP first (section 7.1.1).
 */
import { CloseCode } from '../frames/close-code.ts'
import type { CloseFrame, CloseInfo, CloseTrigger } from './close-info.ts'

export type ConnectionState =
  | 'connecting'
  /** Neither side has sent a Close. */
  | 'open'
  /** Our Close is in the output queue or out, none has come. */
  | 'close-sent'
  /** The peer's Close has come and the application is to answer it (`closeReply: 'manual'`). */
  | 'close-received'
  /** Both Close frames exist; TCP is being ended. */
  | 'close-done'
  /** The connection is failed (section 7.1.7) or lost; input is ignored, TCP is being ended. */
  | 'failing'
  | 'closed'

export type Role = 'client' | 'server'

/** Why the connection is failed from here, and what the peer is told. */
export interface Failure {
  readonly close: CloseFrame
  readonly trigger: 'protocol-error' | 'limit' | 'handler-error'
  readonly error: Error
  /** The peer is not expected to read the Close: wait no longer than the linger time for it. */
  readonly hopeless?: boolean
}

/** The events, each with what it brings along. */
export interface LifeEvents {
  opened: []
  'handshake-failed': [error: Error]
  /** `patient`: set no deadline, the application goes on receiving. */
  'local-close': [close: CloseFrame, patient: boolean]
  'close-received': [close: CloseFrame]
  /** Our Close was handed to the kernel. */
  'close-flushed': []
  'peer-fin': []
  violation: [failure: Failure]
  'keepalive-timeout': []
  'socket-error': [error: Error]
  deadline: []
  linger: []
  terminate: []
  'socket-closed': []
}

export type LifeEvent = keyof LifeEvents

export type Effect =
  /** Forget the output that has not been handed to the socket. */
  | 'drop-output'
  /** Queue `life.sent` as the last frame. */
  | 'send-close'
  /** End our side of TCP behind all that is queued. */
  | 'end'
  | 'start-deadline'
  | 'start-linger'
  /** Stop the timers and destroy the socket. */
  | 'destroy'
  /** Stop the timers and tell the story: `closeInfo(life)`. */
  | 'finish'

/** The facts. */
export interface Life {
  readonly role: Role
  /** The application answers the peer's Close. */
  readonly manualReply: boolean
  readonly state: ConnectionState
  readonly sent: CloseFrame | null
  readonly sentFlushed: boolean
  readonly received: CloseFrame | null
  readonly initiator: CloseInfo['initiator']
  readonly trigger: CloseTrigger
  readonly error: Error | undefined
  readonly finSent: boolean
  readonly finReceived: boolean
  readonly deadline: boolean
  readonly linger: boolean
  readonly destroyed: boolean
}

export function beginLife(role: Role, manualReply = false): Life {
  return {
    role,
    manualReply,
    state: 'connecting',
    sent: null,
    sentFlushed: false,
    received: null,
    initiator: 'none',
    trigger: 'handshake-failed',
    error: undefined,
    finSent: false,
    finReceived: false,
    deadline: false,
    linger: false,
    destroyed: false,
  }
}

const openLives: (Life | undefined)[] = []

/** A life whose opening handshake has been made. As facts never change in place, all connections begin with the same. */
export function openLife(role: Role, manualReply: boolean): Life {
  const index = (role === 'client' ? 2 : 0) + (manualReply ? 1 : 0)
  return (openLives[index] ??= step(beginLife(role, manualReply), 'opened').life)
}

/** Where messages and pings from the peer still count; elsewhere input is thrown away (section 1.4). */
export const receives: Readonly<Record<ConnectionState, boolean>> = {
  connecting: false,
  open: true,
  'close-sent': true,
  'close-received': false,
  'close-done': false,
  failing: false,
  closed: false,
}

/** Where the application may send messages, and where pings are answered: not once our own Close is queued. */
export const sends: Readonly<Record<ConnectionState, boolean>> = {
  connecting: false,
  open: true,
  'close-sent': false,
  'close-received': true,
  'close-done': false,
  failing: false,
  closed: false,
}

/** The numbers of the WHATWG `WebSocket` interface. */
export const readyStates: Readonly<Record<ConnectionState, 0 | 1 | 2 | 3>> = {
  connecting: 0,
  open: 1,
  'close-sent': 2,
  'close-received': 2,
  'close-done': 2,
  failing: 2,
  closed: 3,
}

/** A step under way: the facts as they become, and the effects so far. */
interface Step extends Mutable<Life> {
  readonly effects: Effect[]
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

type Transition<E extends LifeEvent> = (life: Step, ...detail: LifeEvents[E]) => void

/** Every state times every event: a cell that is missing does not compile. */
type Table = { readonly [S in ConnectionState]: { readonly [E in LifeEvent]: Transition<E> } }

function ignore(): void {}

function sendClose(life: Step, close: CloseFrame): void {
  life.sent = close
  life.effects.push('send-close')
}

function end(life: Step): void {
  if (life.finSent) return
  life.finSent = true
  life.effects.push('end')
}

function destroy(life: Step): void {
  life.destroyed = true
  life.deadline = false
  life.linger = false
  life.effects.push('destroy')
}

function startDeadline(life: Step): void {
  if (life.deadline) return // Never armed anew: traffic does not prolong it.
  life.deadline = true
  life.effects.push('start-deadline')
}

function startLinger(life: Step): void {
  if (life.linger) return
  life.linger = true
  life.effects.push('start-linger')
}

function serverEnds(life: Step): void {
  if (life.role === 'server' || life.finReceived) end(life) // 7.1.1: the server first
}

/** Both Close frames exist (5.5.1). */
function closeDone(life: Step): void {
  life.state = 'close-done'
  startDeadline(life)
  if (life.sentFlushed) startLinger(life)
  serverEnds(life)
}

/** From here on nothing that comes in is looked at (7.1.7). */
function fail(life: Step, trigger: CloseTrigger, error?: Error): void {
  life.state = 'failing'
  life.trigger = trigger
  life.error = error
  startDeadline(life)
}

function failAndDestroy(trigger: CloseTrigger): (life: Step, error?: Error) => void {
  return (life, error) => {
    life.state = 'failing'
    life.trigger = trigger
    life.error = error
    destroy(life)
  }
}

/** Fails the connection with a Close of its own (7.1.7); what is queued would only delay it. */
function failWithClose(life: Step, { close, trigger, error, hopeless }: Failure): void {
  life.effects.push('drop-output')
  if (life.initiator === 'none') life.initiator = 'local'
  sendClose(life, close)
  fail(life, trigger, error)
  if (hopeless === true) startLinger(life)
  serverEnds(life)
}

/** Our Close is out already; there is no second one (5.5.1). */
function failWithoutClose(life: Step, { trigger, error, hopeless }: Failure): void {
  fail(life, trigger, error)
  if (life.sentFlushed || hopeless === true) startLinger(life)
  serverEnds(life)
}

function failOnFin(trigger: CloseTrigger): (life: Step) => void {
  return (life) => {
    life.finReceived = true
    fail(life, trigger)
    startLinger(life)
    end(life)
  }
}

function failOnKeepalive(life: Step): void {
  life.effects.push('drop-output')
  sendClose(life, { code: CloseCode.internalError, reason: 'keepalive timeout' })
  fail(life, 'keepalive-timeout')
  startLinger(life) // No FIN can be hoped for.
  serverEnds(life)
}

function answerFin(life: Step): void {
  life.finReceived = true
  end(life)
}

function closeFlushed(life: Step): void {
  life.sentFlushed = true
}

function lastCloseFlushed(life: Step): void {
  life.sentFlushed = true
  startLinger(life)
}

function finish(life: Step): void {
  life.state = 'closed'
  life.deadline = false
  life.linger = false
  life.effects.push('finish')
}

/** The socket is gone before the closing handshake was through. */
function lose(life: Step): void {
  life.trigger = 'socket-error'
  finish(life)
}

function abort(life: Step): void {
  life.trigger = 'aborted-before-open'
  destroy(life)
}

function failHandshake(life: Step, error: Error): void {
  life.trigger = 'handshake-failed'
  life.error = error
  destroy(life)
}

const table: Table = {
  connecting: {
    opened: (life) => {
      life.state = 'open'
    },
    'handshake-failed': failHandshake,
    'local-close': abort,
    'close-received': ignore,
    'close-flushed': ignore,
    'peer-fin': (life) => failHandshake(life, new Error('the peer ended TCP during the opening handshake')),
    violation: (life, { error }) => failHandshake(life, error),
    'keepalive-timeout': ignore,
    'socket-error': failHandshake,
    deadline: ignore,
    linger: ignore,
    terminate: abort,
    'socket-closed': finish,
  },
  open: {
    opened: ignore,
    'handshake-failed': ignore,
    'local-close': (life, close, patient) => {
      sendClose(life, close)
      life.initiator = 'local'
      life.trigger = 'local-close'
      life.state = 'close-sent'
      if (!patient) startDeadline(life)
    },
    'close-received': (life, close) => {
      life.received = close
      life.initiator = 'remote'
      life.trigger = 'peer-close'
      startDeadline(life)
      if (life.manualReply) {
        life.state = 'close-received'
        return
      }
      sendClose(life, close) // 5.5.1: the code is repeated; an empty Close is answered by an empty one
      closeDone(life)
    },
    'close-flushed': ignore,
    'peer-fin': failOnFin('peer-fin'),
    violation: failWithClose,
    'keepalive-timeout': failOnKeepalive,
    'socket-error': failAndDestroy('socket-error'),
    deadline: ignore,
    linger: ignore,
    terminate: failAndDestroy('terminate'),
    'socket-closed': lose,
  },
  'close-sent': {
    opened: ignore,
    'handshake-failed': ignore,
    'local-close': (life, _close, patient) => {
      if (!patient) startDeadline(life)
    },
    'close-received': (life, close) => {
      life.received = close
      closeDone(life)
    },
    'close-flushed': closeFlushed,
    'peer-fin': failOnFin('peer-fin-before-close'),
    violation: failWithoutClose,
    'keepalive-timeout': failAndDestroy('keepalive-timeout'),
    'socket-error': failAndDestroy('socket-error'),
    deadline: failAndDestroy('close-timeout'),
    linger: ignore,
    terminate: failAndDestroy('terminate'),
    'socket-closed': lose,
  },
  'close-received': {
    opened: ignore,
    'handshake-failed': ignore,
    'local-close': (life, close) => {
      sendClose(life, close)
      closeDone(life)
    },
    'close-received': ignore,
    'close-flushed': ignore,
    'peer-fin': (life) => {
      life.finReceived = true
      sendClose(life, life.received ?? { code: undefined, reason: '' }) // The peer can wait no longer.
      closeDone(life)
    },
    violation: failWithClose,
    'keepalive-timeout': failAndDestroy('keepalive-timeout'),
    'socket-error': failAndDestroy('socket-error'),
    deadline: failAndDestroy('close-timeout'),
    linger: ignore,
    terminate: failAndDestroy('terminate'),
    'socket-closed': lose,
  },
  'close-done': {
    opened: ignore,
    'handshake-failed': ignore,
    'local-close': ignore,
    'close-received': ignore,
    'close-flushed': lastCloseFlushed,
    'peer-fin': answerFin,
    violation: ignore,
    'keepalive-timeout': ignore,
    'socket-error': destroy, // What happens to TCP now does not change how the handshake went.
    deadline: destroy,
    linger: destroy,
    terminate: destroy,
    'socket-closed': finish,
  },
  failing: {
    opened: ignore,
    'handshake-failed': ignore,
    'local-close': ignore,
    'close-received': ignore, // 7.1.7: not even a Close is looked at
    'close-flushed': lastCloseFlushed,
    'peer-fin': answerFin,
    violation: ignore,
    'keepalive-timeout': ignore,
    'socket-error': destroy,
    deadline: destroy,
    linger: destroy,
    terminate: destroy,
    'socket-closed': finish,
  },
  closed: {
    opened: ignore,
    'handshake-failed': ignore,
    'local-close': ignore,
    'close-received': ignore,
    'close-flushed': ignore,
    'peer-fin': ignore,
    violation: ignore,
    'keepalive-timeout': ignore,
    'socket-error': ignore,
    deadline: ignore,
    linger: ignore,
    terminate: ignore,
    'socket-closed': ignore,
  },
}

/** What an event makes of a life. */
export function step<E extends LifeEvent>(
  life: Life,
  event: E,
  ...detail: LifeEvents[E]
): { readonly life: Life; readonly effects: readonly Effect[] } {
  // Once the socket is destroyed, only its end matters.
  if (life.destroyed && event !== 'socket-closed') return { life, effects: [] }
  const next: Step = Object.assign(factsOf(life), { effects: [] })
  table[life.state][event](next, ...detail)
  return { life: factsOf(next), effects: next.effects }
}

/** A copy, spelled out: with a spread and a rest pattern, which make objects of the slow kind, a step takes 40 times as long. */
function factsOf(step: Life): Mutable<Life> {
  return {
    role: step.role,
    manualReply: step.manualReply,
    state: step.state,
    sent: step.sent,
    sentFlushed: step.sentFlushed,
    received: step.received,
    initiator: step.initiator,
    trigger: step.trigger,
    error: step.error,
    finSent: step.finSent,
    finReceived: step.finReceived,
    deadline: step.deadline,
    linger: step.linger,
    destroyed: step.destroyed,
  }
}

/** The story of a life that has ended, or of one that ends now. */
export function closeInfo(life: Life): CloseInfo {
  const { received, sent, sentFlushed, initiator, trigger, error } = life
  const info = {
    code: received === null ? CloseCode.abnormal : (received.code ?? CloseCode.noStatus), // 7.1.5
    reason: received?.reason ?? '', // 7.1.6
    wasClean: received !== null && sentFlushed, // 7.1.4
    initiator,
    sent,
    received,
    trigger,
  }
  return error === undefined ? info : { ...info, error }
}
