/** Holds what a real connection did against the machine: the model speaks for the code only if both walk alike. */
import {
  beginLife,
  type ConnectionState,
  type Life,
  type LifeEvent,
  type LifeEvents,
  type Role,
  step,
} from '../../lib/lifecycle.ts'

/** An event that a connection met, and the state it was in afterwards. */
export interface TraceEntry {
  readonly event: LifeEvent
  readonly state: ConnectionState
  /** Of `local-close`: it was `closeOutput()`. */
  readonly patient?: boolean
}

/** What is wrong with the first entry that the machine would not have made; undefined when there is none. */
export function judgeTrace(
  trace: readonly TraceEntry[],
  role: Role,
  manualReply = false,
): string | undefined {
  let life = beginLife(role, manualReply)
  for (const [index, { event, state, patient = false }] of trace.entries()) {
    const where = `${index}: ${event} in ${life.state}`
    if (!canHappen(life, event)) return `${where} cannot happen`
    life = step(life, event, ...(event === 'local-close' ? [close, patient] : details[event])).life
    if (life.state !== state) return `${where} leads to ${life.state}, not to ${state}`
  }
  return undefined
}

const close = { code: 1000, reason: '' }
const error = new Error('of the trace')

/** What the events bring along decides what is told, not the next state; so anything will do that starts the timers. */
const details: LifeEvents = {
  opened: [],
  'handshake-failed': [error],
  'local-close': [close, false],
  'close-received': [close],
  'close-flushed': [],
  'peer-fin': [],
  violation: [{ close, trigger: 'limit', error, hopeless: true }],
  'keepalive-timeout': [],
  'socket-error': [error],
  deadline: [],
  linger: [],
  terminate: [],
  'socket-closed': [],
}

/** The effects come before their events: a timer fires when it runs, a Close is flushed when one was sent. */
function canHappen(life: Life, event: LifeEvent): boolean {
  if (event === 'deadline') return life.deadline
  if (event === 'linger') return life.linger
  if (event === 'close-flushed') return life.sent !== null && !life.sentFlushed
  return life.state !== 'closed' || event !== 'socket-closed'
}
