/**
 * Machines with one rule broken, most of them as it was broken in some library once. The model check has to catch
 * every one of them, and each invariant has to catch one: so it is known that the check can fail.
 *
 * A mutant runs the shipped machine and alters what comes out; there is no second machine to keep in step.
 */
import type { CloseInfo } from '../../lib/close-info.ts'
import type { ConnectionState, Effect, Life, LifeEvent } from '../../lib/lifecycle.ts'
import type { configurations } from './configurations.ts'
import { type Invariant, type Machine, shipped } from './model.ts'

export interface Mutant {
  readonly name: string
  readonly machine: Machine
  /** The configuration that shows it, and what it breaks in the first world that shows it. */
  readonly where: keyof typeof configurations
  readonly breaks: Invariant
}

type Outcome = ReturnType<Machine['step']>

/** Alters what the machine makes of an event. */
function altering(alter: (after: Outcome, before: Life, event: LifeEvent) => Outcome): Machine {
  return {
    ...shipped,
    step: (life, event, ...detail) => alter(shipped.step(life, event, ...detail), life, event),
  }
}

/** Alters one cell of the table. */
function inCell(
  state: ConnectionState,
  event: LifeEvent,
  alter: (after: Outcome, before: Life) => Outcome,
): Machine {
  return altering((after, before, happened) =>
    before.state === state && happened === event && !before.destroyed ? alter(after, before) : after,
  )
}

function ignoring(state: ConnectionState, event: LifeEvent): Machine {
  return inCell(state, event, (_after, before) => ({ life: before, effects: [] }))
}

function first(effect: Effect): (after: Outcome) => Outcome {
  return ({ life, effects }) => ({ life, effects: [effect, ...effects] })
}

function without(effect: Effect, facts: Partial<Life> = {}): (after: Outcome) => Outcome {
  return ({ life, effects }) => ({
    life: { ...life, ...facts },
    effects: effects.filter((other) => other !== effect),
  })
}

function withFacts(facts: Partial<Life>): (after: Outcome) => Outcome {
  return ({ life, effects }) => ({ life: { ...life, ...facts }, effects })
}

function telling(alter: (info: CloseInfo, life: Life) => Partial<CloseInfo>): Machine {
  return {
    ...shipped,
    closeInfo: (life) => {
      const info = shipped.closeInfo(life)
      return { ...info, ...alter(info, life) }
    },
  }
}

const noDeadline = without('start-deadline', { deadline: false })

export const mutants: readonly Mutant[] = [
  // One Close each, and nothing behind it
  {
    name: 'a second close() sends a second Close',
    machine: inCell('close-sent', 'local-close', first('send-close')),
    where: 'A no faults, no timers',
    breaks: 'S1',
  },
  {
    name: 'the answer to our Close is answered',
    machine: inCell('close-sent', 'close-received', first('send-close')),
    where: 'A no faults, no timers',
    breaks: 'S1',
  },
  {
    name: 'a bad frame after our Close brings a second one',
    machine: inCell('close-sent', 'violation', first('send-close')),
    where: 'F bad frames',
    breaks: 'S1',
  },
  {
    name: 'a bad frame drops the Close that is queued',
    machine: inCell('close-sent', 'violation', first('drop-output')),
    where: 'F bad frames',
    breaks: 'S2',
  },
  {
    name: 'a failed connection stays open',
    machine: inCell('open', 'violation', withFacts({ state: 'open' })),
    where: 'F bad frames',
    breaks: 'S12',
  },
  {
    name: 'messages may be sent and answered behind our Close',
    machine: { ...shipped, sends: { ...shipped.sends, 'close-sent': true } },
    where: 'A messages are answered, no timers',
    breaks: 'S2',
  },
  {
    name: 'FIN is sent twice',
    machine: inCell('close-done', 'peer-fin', first('end')),
    where: 'A no faults, no timers',
    breaks: 'S2',
  },
  {
    name: 'the Close of a failed connection waits behind messages',
    machine: inCell('open', 'violation', without('drop-output')),
    where: 'F bad frames',
    breaks: 'S1',
  },
  {
    name: 'the Close of a connection that fails before the reply waits behind messages',
    machine: inCell('close-received', 'violation', without('drop-output')),
    where: 'G manual reply, limits, failing handlers',
    breaks: 'S1',
  },

  // The end is the end
  {
    name: 'terminate() ends a closed connection once more',
    machine: inCell('closed', 'terminate', first('finish')),
    where: 'A no faults, no timers',
    breaks: 'S3',
  },
  {
    name: 'a destroyed socket is destroyed again',
    machine: {
      ...shipped,
      step: (life, event, ...detail) => shipped.step({ ...life, destroyed: false }, event, ...detail),
    },
    where: 'B timers',
    breaks: 'S3',
  },
  {
    name: 'a socket that just goes is not noticed',
    machine: ignoring('open', 'socket-closed'),
    where: 'D socket errors',
    breaks: 'S12',
  },

  // Messages
  {
    name: 'messages are delivered behind the peer’s Close',
    machine: { ...shipped, receives: { ...shipped.receives, 'close-done': true } },
    where: 'A byzantine server, no timers',
    breaks: 'S4',
  },
  {
    name: 'messages are dropped once our Close is out',
    machine: { ...shipped, receives: { ...shipped.receives, 'close-sent': false } },
    where: 'A no faults, no timers',
    breaks: 'S5',
  },

  // The story
  {
    name: 'the peer’s Close is not answered',
    machine: inCell('open', 'close-received', without('send-close')),
    where: 'A no faults, no timers',
    breaks: 'S6',
  },
  {
    name: 'every Close is answered by 1000',
    machine: inCell('open', 'close-received', withFacts({ sent: { code: 1000, reason: '' } })),
    where: 'A no faults, no timers',
    breaks: 'S6',
  },
  {
    name: 'the own code is reported in place of the peer’s',
    machine: telling((_info, { sent }) => ({ code: sent?.code ?? 1005 })),
    where: 'A no faults, no timers',
    breaks: 'S6',
  },
  {
    name: 'a Close that is only queued counts as sent',
    machine: telling(({ sent, received }) => ({ wasClean: sent !== null && received !== null })),
    where: 'B timers',
    breaks: 'S6',
  },
  {
    name: 'an answer makes the peer the initiator',
    machine: inCell('close-sent', 'close-received', withFacts({ initiator: 'remote' })),
    where: 'A no faults, no timers',
    breaks: 'S7',
  },
  {
    name: 'an error behind the closing handshake spoils the outcome',
    machine: inCell('close-done', 'socket-error', withFacts({ received: null })),
    where: 'D socket errors',
    breaks: 'S9',
  },
  {
    name: 'a second Close of the peer replaces the first',
    machine: inCell('close-done', 'close-received', withFacts({ received: { code: 4000, reason: '' } })),
    where: 'A byzantine server, no timers',
    breaks: 'S9',
  },
  {
    name: 'a handshake that took too long counts as terminated',
    machine: inCell('close-sent', 'deadline', withFacts({ trigger: 'terminate' })),
    where: 'B timers',
    breaks: 'S9',
  },
  {
    name: 'FIN in place of an answer counts as FIN in the open state',
    machine: inCell('close-sent', 'peer-fin', withFacts({ trigger: 'peer-fin' })),
    where: 'B timers',
    breaks: 'S9',
  },
  {
    name: 'a Close counts as sent when it is queued',
    machine: inCell('open', 'close-received', withFacts({ sentFlushed: true })),
    where: 'A no faults, no timers',
    breaks: 'S13',
  },
  {
    name: 'an unanswered keepalive makes us the initiator',
    machine: inCell('open', 'keepalive-timeout', withFacts({ initiator: 'local' })),
    where: 'K keepalive',
    breaks: 'S7',
  },
  {
    name: 'the error of a lost connection is not told',
    machine: inCell('open', 'socket-error', withFacts({ error: undefined })),
    where: 'D socket errors',
    breaks: 'S9',
  },

  // TCP
  {
    name: 'the client ends TCP first',
    machine: altering((after, before) =>
      after.life.state === 'close-done' && before.state !== 'close-done' && !after.life.finSent
        ? { life: { ...after.life, finSent: true }, effects: [...after.effects, 'end'] }
        : after,
    ),
    where: 'A no faults, no timers',
    breaks: 'S8',
  },
  {
    name: 'the server leaves ending TCP to the client',
    machine: inCell('open', 'close-received', without('end', { finSent: false })),
    where: 'A no faults, no timers',
    breaks: 'S14',
  },
  {
    name: 'the client does not answer FIN',
    machine: inCell('close-done', 'peer-fin', without('end', { finSent: false })),
    where: 'A no faults, no timers',
    breaks: 'L2',
  },
  {
    name: 'FIN leaves the connection open',
    machine: ignoring('open', 'peer-fin'),
    where: 'B timers',
    breaks: 'S12',
  },
  {
    name: 'FIN without a Close is not answered by FIN',
    machine: inCell('open', 'peer-fin', without('end', { finSent: false })),
    where: 'B timers',
    breaks: 'S11',
  },
  {
    name: 'FIN does not make up for a reply that is due',
    machine: ignoring('close-received', 'peer-fin'),
    where: 'G manual reply',
    breaks: 'S12',
  },
  {
    name: 'terminate() forgets to destroy the socket',
    machine: inCell('open', 'terminate', without('destroy', { destroyed: false })),
    where: 'E terminate()',
    breaks: 'S12',
  },

  // It always ends
  {
    name: 'close-sent and a Close make close-received (.NET before 3.0)',
    machine: inCell('close-sent', 'close-received', withFacts({ state: 'close-received' })),
    where: 'A no faults, no timers',
    breaks: 'S13',
  },
  {
    name: 'close() sets no deadline',
    machine: inCell('open', 'local-close', noDeadline),
    where: 'B timers',
    breaks: 'L1',
  },
  {
    name: 'the wait for the application’s reply has no deadline',
    machine: inCell('open', 'close-received', noDeadline),
    where: 'G manual reply',
    breaks: 'L1',
  },
  {
    name: 'close() behind closeOutput() sets no deadline',
    machine: inCell('close-sent', 'local-close', (after, before) =>
      before.deadline ? after : noDeadline(after),
    ),
    where: 'L half close, cut',
    breaks: 'L1',
  },
  {
    name: 'every close() begins the deadline anew',
    machine: inCell('close-sent', 'local-close', first('start-deadline')),
    where: 'B timers',
    breaks: 'S10',
  },
  {
    name: 'nobody lingers: what TCP owes is waited for until the deadline',
    machine: altering(without('start-linger', { linger: false })),
    where: 'A no faults, no timers',
    breaks: 'L5',
  },
  {
    name: 'a peer that does not read is waited for until the deadline',
    machine: inCell('open', 'violation', without('start-linger', { linger: false })),
    where: 'F limits, failing handlers',
    breaks: 'L5',
  },
  {
    name: 'an unanswered keepalive does not end a half-closed connection',
    machine: ignoring('close-sent', 'keepalive-timeout'),
    where: 'L half close, cut',
    breaks: 'L4',
  },
  {
    name: 'an unanswered keepalive does not end an open connection',
    machine: ignoring('open', 'keepalive-timeout'),
    where: 'K keepalive, cut, no messages',
    breaks: 'S12',
  },
]
