import t from 'tap'
import type { CloseInfo } from '../../lib/close-info.ts'
import {
  beginLife,
  closeInfo,
  type ConnectionState,
  type Effect,
  type Failure,
  type Life,
  type LifeEvent,
  type LifeEvents,
  openLife,
  readyStates,
  receives,
  type Role,
  sends,
  step,
} from '../../lib/lifecycle.ts'

// The transition table of the closing handshake, cell by cell, and the stories that lives end in. That two machines
// with a wire between them always come to an end is the business of test/model.

const bye = { code: 1000, reason: 'bye' }
const peerBye = { code: 4001, reason: 'later' }
const empty = { code: undefined, reason: '' }
const reset = new Error('read ECONNRESET')
const badFrame: Failure = {
  close: { code: 1002, reason: 'reserved-bit' },
  trigger: 'protocol-error',
  error: new Error('reserved bit'),
}
const slowPeer: Failure = {
  close: { code: 1008, reason: 'slow' },
  trigger: 'limit',
  error: new Error('send buffer full'),
  hopeless: true,
}

/** What the events bring along where a test does not say. */
const details: LifeEvents = {
  opened: [],
  'handshake-failed': [reset],
  'local-close': [bye, false],
  'close-received': [peerBye],
  'close-flushed': [],
  'peer-fin': [],
  violation: [badFrame],
  'keepalive-timeout': [],
  'socket-error': [reset],
  deadline: [],
  linger: [],
  terminate: [],
  'socket-closed': [],
}

const roles: readonly Role[] = ['client', 'server']

function next<E extends LifeEvent>(
  life: Life,
  event: E,
  ...detail: LifeEvents[E] | []
): ReturnType<typeof step> {
  return detail.length === 0 ? step(life, event, ...details[event]) : step(life, event, ...detail)
}

/** One life in each state, as it stands when the state has just been entered. */
function lifeIn(state: ConnectionState, role: Role, facts: Partial<Life> = {}): Life {
  const begun = beginLife(role)
  const lives: Record<ConnectionState, Partial<Life>> = {
    connecting: {},
    open: {},
    'close-sent': { sent: bye, initiator: 'local', trigger: 'local-close', deadline: true },
    'close-received': {
      manualReply: true,
      received: peerBye,
      initiator: 'remote',
      trigger: 'peer-close',
      deadline: true,
    },
    'close-done': {
      sent: bye,
      received: peerBye,
      initiator: 'local',
      trigger: 'local-close',
      deadline: true,
      finSent: role === 'server',
    },
    failing: {
      sent: badFrame.close,
      initiator: 'local',
      trigger: 'protocol-error',
      error: badFrame.error,
      deadline: true,
      finSent: role === 'server',
    },
    closed: {
      sent: bye,
      sentFlushed: true,
      received: peerBye,
      initiator: 'local',
      trigger: 'local-close',
      finSent: true,
      finReceived: true,
    },
  }
  return { ...begun, state, ...lives[state], ...facts }
}

/** `state: effects`; `(server)` marks an effect in that role only. `-` is no effect and no change. */
type Cell = string

/** The transition table as specified, written down apart from the machine. */
const table: Record<ConnectionState, Record<LifeEvent, Cell>> = {
  connecting: {
    opened: 'open:',
    'handshake-failed': 'connecting: destroy',
    'local-close': 'connecting: destroy',
    'close-received': '-',
    'close-flushed': '-',
    'peer-fin': 'connecting: destroy',
    violation: 'connecting: destroy',
    'keepalive-timeout': '-',
    'socket-error': 'connecting: destroy',
    deadline: '-',
    linger: '-',
    terminate: 'connecting: destroy',
    'socket-closed': 'closed: finish',
  },
  open: {
    opened: '-',
    'handshake-failed': '-',
    'local-close': 'close-sent: send-close, start-deadline',
    'close-received': 'close-done: send-close, end (server), start-deadline',
    'close-flushed': '-',
    'peer-fin': 'failing: end, start-deadline, start-linger',
    violation: 'failing: drop-output, send-close, end (server), start-deadline',
    'keepalive-timeout': 'failing: drop-output, send-close, end (server), start-deadline, start-linger',
    'socket-error': 'failing: destroy',
    deadline: '-',
    linger: '-',
    terminate: 'failing: destroy',
    'socket-closed': 'closed: finish',
  },
  'close-sent': {
    opened: '-',
    'handshake-failed': '-',
    'local-close': '-',
    'close-received': 'close-done: end (server)',
    'close-flushed': 'close-sent:',
    'peer-fin': 'failing: end, start-linger',
    violation: 'failing: end (server)',
    'keepalive-timeout': 'failing: destroy',
    'socket-error': 'failing: destroy',
    deadline: 'failing: destroy',
    linger: '-',
    terminate: 'failing: destroy',
    'socket-closed': 'closed: finish',
  },
  'close-received': {
    opened: '-',
    'handshake-failed': '-',
    'local-close': 'close-done: send-close, end (server)',
    'close-received': '-',
    'close-flushed': '-',
    'peer-fin': 'close-done: send-close, end',
    violation: 'failing: drop-output, send-close, end (server)',
    'keepalive-timeout': 'failing: destroy',
    'socket-error': 'failing: destroy',
    deadline: 'failing: destroy',
    linger: '-',
    terminate: 'failing: destroy',
    'socket-closed': 'closed: finish',
  },
  'close-done': {
    opened: '-',
    'handshake-failed': '-',
    'local-close': '-',
    'close-received': '-',
    'close-flushed': 'close-done: start-linger',
    'peer-fin': 'close-done: end (client)',
    violation: '-',
    'keepalive-timeout': '-',
    'socket-error': 'close-done: destroy',
    deadline: 'close-done: destroy',
    linger: 'close-done: destroy',
    terminate: 'close-done: destroy',
    'socket-closed': 'closed: finish',
  },
  failing: {
    opened: '-',
    'handshake-failed': '-',
    'local-close': '-',
    'close-received': '-',
    'close-flushed': 'failing: start-linger',
    'peer-fin': 'failing: end (client)',
    violation: '-',
    'keepalive-timeout': '-',
    'socket-error': 'failing: destroy',
    deadline: 'failing: destroy',
    linger: 'failing: destroy',
    terminate: 'failing: destroy',
    'socket-closed': 'closed: finish',
  },
  closed: {
    opened: '-',
    'handshake-failed': '-',
    'local-close': '-',
    'close-received': '-',
    'close-flushed': '-',
    'peer-fin': '-',
    violation: '-',
    'keepalive-timeout': '-',
    'socket-error': '-',
    deadline: '-',
    linger: '-',
    terminate: '-',
    'socket-closed': '-',
  },
}

/** The cells whose effects depend on more than the state. */
const variants: readonly {
  readonly state: ConnectionState
  readonly facts: Partial<Life>
  readonly cells: { readonly [E in LifeEvent]?: Cell }
}[] = [
  {
    state: 'open',
    facts: { manualReply: true },
    cells: { 'close-received': 'close-received: start-deadline' },
  },
  {
    state: 'close-sent', // half closed: closeOutput() sets no deadline
    facts: { deadline: false },
    cells: {
      'local-close': 'close-sent: start-deadline',
      'close-received': 'close-done: end (server), start-deadline',
      'peer-fin': 'failing: end, start-deadline, start-linger',
      violation: 'failing: end (server), start-deadline',
    },
  },
  {
    state: 'close-sent', // our Close is out: nothing but TCP is left to wait for
    facts: { sentFlushed: true },
    cells: {
      'close-received': 'close-done: end (server), start-linger',
      'peer-fin': 'failing: end, start-linger',
      violation: 'failing: end (server), start-linger',
    },
  },
  {
    state: 'close-done', // the peer has ended TCP
    facts: { finSent: true, finReceived: true },
    cells: { 'close-flushed': 'close-done: start-linger', 'peer-fin': '-' },
  },
  {
    state: 'failing', // the linger time runs already
    facts: { linger: true },
    cells: { 'close-flushed': 'failing:', linger: 'failing: destroy', 'peer-fin': 'failing: end (client)' },
  },
]

const order: readonly Effect[] = [
  'drop-output',
  'send-close',
  'end',
  'start-deadline',
  'start-linger',
  'destroy',
  'finish',
]

function inOrder(effects: readonly Effect[]): Effect[] {
  return effects.toSorted((a, b) => order.indexOf(a) - order.indexOf(b))
}

/** A cell as it reads for one role. */
function expected(cell: Cell, role: Role, state: ConnectionState): string {
  if (cell === '-') return `${state}:`
  const [to = '', effects = ''] = cell.split(':')
  const own = effects
    .split(',')
    .map((effect) => effect.trim())
    .filter((effect) => effect !== '' && (!effect.includes('(') || effect.endsWith(`(${role})`)))
    .map((effect) => effect.replace(/ \(.*/, ''))
  return `${to}: ${own.join(', ')}`.trim()
}

function actual(life: Life, event: LifeEvent): string {
  const { life: after, effects } = next(life, event)
  return `${after.state}: ${inOrder(effects).join(', ')}`.trim()
}

function isState(name: string): name is ConnectionState {
  return name in table
}

function isEvent(name: string): name is LifeEvent {
  return name in details
}

const states = Object.keys(table).filter(isState)
const events = Object.keys(details).filter(isEvent)

/** Every life of the tables, with every event. */
function everyCell(visit: (life: Life, event: LifeEvent, name: string) => void): void {
  for (const role of roles) {
    for (const state of states) {
      const lives = [
        lifeIn(state, role),
        ...variants.filter((v) => v.state === state).map((v) => lifeIn(state, role, v.facts)),
      ]
      for (const life of lives) {
        for (const manualReply of [false, true]) {
          for (const event of events) visit({ ...life, manualReply }, event, `${role}, ${state}, ${event}`)
        }
      }
    }
  }
}

for (const role of roles) {
  t.test(`the table, ${role}`, (t) => {
    for (const state of states) {
      for (const event of events) {
        const cell = table[state][event]
        t.equal(actual(lifeIn(state, role), event), expected(cell, role, state), `${state}, ${event}`)
        if (cell === '-') t.strictSame(next(lifeIn(state, role), event).life, lifeIn(state, role))
      }
    }
    t.end()
  })

  t.test(`where the facts matter, ${role}`, (t) => {
    for (const { state, facts, cells } of variants) {
      for (const [event, cell] of Object.entries(cells)) {
        if (!isEvent(event)) throw new Error(event)
        t.equal(
          actual(lifeIn(state, role, facts), event),
          expected(cell, role, state),
          `${state}, ${event}, ${JSON.stringify(facts)}`,
        )
      }
    }
    t.end()
  })

  t.test(`a patient close sets no deadline, ${role}`, (t) => {
    t.strictSame(next(lifeIn('open', role), 'local-close', bye, true).effects, ['send-close'])
    const patient = lifeIn('close-sent', role, { deadline: false })
    t.strictSame(next(patient, 'local-close', bye, true).effects, [])
    t.strictSame(next(patient, 'local-close', bye, false).effects, ['start-deadline'])
    t.end()
  })

  t.test(`a peer that is not expected to read gets no longer than the linger time, ${role}`, (t) => {
    for (const state of ['open', 'close-sent', 'close-received'] as const) {
      const { life, effects } = next(lifeIn(state, role), 'violation', slowPeer)
      t.ok(effects.includes('start-linger'), state)
      t.ok(life.linger)
    }
    t.end()
  })
}

t.test('a step changes nothing that it is given', (t) => {
  everyCell((life, event, name) => {
    const before = structuredClone(life)
    Object.freeze(life)
    next(life, event)
    t.strictSame(life, before, name)
  })
  t.end()
})

t.test('I1: at most one Close, and only where there was none', (t) => {
  everyCell((life, event, name) => {
    const { life: after, effects } = next(life, event)
    const closes = effects.filter((effect) => effect === 'send-close').length
    t.equal(closes, life.sent === null && after.sent !== null ? 1 : 0, name)
  })
  t.end()
})

t.test('I2: nothing behind our Close but the end of TCP, and that once', (t) => {
  everyCell((life, event, name) => {
    const { life: after, effects } = next(life, event)
    const ends = effects.filter((effect) => effect === 'end').length
    t.equal(ends, !life.finSent && after.finSent ? 1 : 0, name)
    const written = effects.filter((effect) =>
      ['drop-output', 'send-close', 'end', 'destroy'].includes(effect),
    )
    t.strictSame(written, inOrder(written), `${name}: in this order`)
    if (life.sent !== null) t.notOk(effects.includes('drop-output'), `${name}: a queued Close is not dropped`)
  })
  for (const state of ['close-sent', 'close-done', 'failing', 'closed'] as const) t.notOk(sends[state], state)
  t.end()
})

t.test('I3: closed is final, and behind destroy only the end of the socket counts', (t) => {
  for (const role of roles) {
    for (const event of events) {
      t.strictSame(next(lifeIn('closed', role), event), { life: lifeIn('closed', role), effects: [] }, event)
    }
    for (const state of states.filter((state) => state !== 'closed')) {
      const destroyed = lifeIn(state, role, { destroyed: true, deadline: false })
      for (const event of events.filter((event) => event !== 'socket-closed')) {
        t.strictSame(next(destroyed, event), { life: destroyed, effects: [] }, `${state}, ${event}`)
      }
      t.strictSame(next(destroyed, 'socket-closed').effects, ['finish'], state)
    }
  }
  t.end()
})

t.test('a connection whose handshake is made begins with the same facts as every other of its kind', (t) => {
  for (const role of roles) {
    for (const manualReply of [false, true]) {
      const life = openLife(role, manualReply)
      t.strictSame(life, step(beginLife(role, manualReply), 'opened').life, `${role}, ${manualReply}`)
      t.equal(openLife(role, manualReply), life, `${role}, ${manualReply}: no second one is made`)
    }
  }
  t.end()
})

t.test('I4: messages count in open and close-sent', (t) => {
  t.strictSame(
    states.filter((state) => receives[state]),
    ['open', 'close-sent'],
  )
  t.end()
})

t.test('I6: 1006 only without a Close; clean when both crossed, whatever TCP does then', (t) => {
  for (const role of roles) {
    for (const sentFlushed of [false, true]) {
      const done = lifeIn('close-done', role, { sentFlushed })
      for (const event of [
        'socket-error',
        'deadline',
        'linger',
        'terminate',
        'peer-fin',
        'socket-closed',
      ] as const) {
        const info = closeInfo(next(next(done, event).life, 'socket-closed').life)
        t.match(info, { code: 4001, reason: 'later', wasClean: sentFlushed, trigger: 'local-close' }, event)
        t.notHas(info, { error: Error }, event)
      }
    }
  }
  t.end()
})

t.test('I7: the peer is the initiator only if its Close came while neither had sent one', (t) => {
  everyCell((life, event, name) => {
    const { life: after } = next(life, event)
    if (after.initiator !== 'remote' || life.initiator === 'remote') return
    t.strictSame([life.state, event], ['open', 'close-received'], name)
  })
  t.end()
})

t.test('I8: the client ends TCP behind the server', (t) => {
  const untold: LifeEvent[] = [
    'local-close',
    'close-received',
    'close-flushed',
    'violation',
    'keepalive-timeout',
  ]
  for (const state of states) {
    for (const event of untold)
      t.notOk(next(lifeIn(state, 'client'), event).effects.includes('end'), `${state}, ${event}`)
  }
  t.end()
})

t.test('I9 and I10: a closing life has a timer, or no socket, or a keepalive to guard it', (t) => {
  everyCell((life, event, name) => {
    const { life: after, effects } = next(life, event)
    const closing = readyStates[after.state] === 2
    const guarded = after.deadline || after.linger || after.destroyed
    const halfClosed = after.state === 'close-sent' && !life.deadline
    if (closing) t.ok(guarded || halfClosed, name)
    t.equal(effects.includes('start-deadline'), after.deadline && !life.deadline, `${name}: deadline`)
    t.equal(effects.includes('start-linger'), after.linger && !life.linger, `${name}: linger`)
    t.equal(effects.includes('destroy'), after.destroyed && !life.destroyed, `${name}: destroy`)
    t.equal(
      effects.includes('finish'),
      after.state === 'closed' && life.state !== 'closed',
      `${name}: finish`,
    )
    if (after.destroyed || after.state === 'closed')
      t.notOk(after.deadline || after.linger, `${name}: timers stop`)
  })
  t.end()
})

t.test('the numbers of the WHATWG interface', (t) => {
  t.strictSame(
    states.map((state) => readyStates[state]),
    [0, 1, 2, 2, 2, 2, 3],
  )
  t.end()
})

t.test('what may be sent: in open, and before the reply to a Close', (t) => {
  t.strictSame(
    states.filter((state) => sends[state]),
    ['open', 'close-received'],
  )
  t.end()
})

t.test('an automatic answer repeats the Close it answers', (t) => {
  for (const close of [bye, peerBye, empty]) {
    t.strictSame(next(lifeIn('open', 'server'), 'close-received', close).life.sent, close)
    t.strictSame(next(lifeIn('close-received', 'client', { received: close }), 'peer-fin').life.sent, close)
  }
  t.end()
})

type Happening = (life: Life) => Life

function on<E extends LifeEvent>(event: E, ...detail: LifeEvents[E]): Happening {
  return (life) => step(life, event, ...detail).life
}

const opened = on('opened')
const closeHere = on('local-close', bye, false)
const closeThere = on('close-received', peerBye)
const flushed = on('close-flushed')
const fin = on('peer-fin')
const lost = on('socket-error', reset)
const terminated = on('terminate')
const ended = on('socket-closed')

const unclean = { code: 1006, reason: '', wasClean: false, received: null } satisfies Partial<CloseInfo>
const nobody = { ...unclean, initiator: 'none', sent: null } satisfies Partial<CloseInfo>
const unanswered = { ...unclean, initiator: 'local', sent: bye } satisfies Partial<CloseInfo>
const answeredHere = {
  code: 1000,
  reason: 'bye',
  initiator: 'local',
  sent: bye,
  received: bye,
} satisfies Partial<CloseInfo>
const byPeer = {
  code: 4001,
  reason: 'later',
  initiator: 'remote',
  received: peerBye,
  trigger: 'peer-close',
} satisfies Partial<CloseInfo>

/** How lives end: what happened, and what is told of it. */
const stories: readonly [name: string, happened: Happening[], told: CloseInfo][] = [
  // Both Close frames
  [
    'close() and the answer',
    [opened, closeHere, flushed, on('close-received', bye), fin, ended],
    { ...answeredHere, wasClean: true, trigger: 'local-close' },
  ],
  [
    'close() with an empty Close, and the answer',
    [opened, on('local-close', empty, false), flushed, on('close-received', empty), fin, ended],
    {
      code: 1005,
      reason: '',
      wasClean: true,
      initiator: 'local',
      sent: empty,
      received: empty,
      trigger: 'local-close',
    },
  ],
  [
    'close() answered with a code of the peer’s own',
    [opened, closeHere, flushed, closeThere, fin, ended],
    {
      ...answeredHere,
      code: 4001,
      reason: 'later',
      wasClean: true,
      received: peerBye,
      trigger: 'local-close',
    },
  ],
  [
    'the peer closes',
    [opened, closeThere, flushed, fin, ended],
    { ...byPeer, wasClean: true, sent: peerBye },
  ],
  [
    'the peer closes with an empty Close',
    [opened, on('close-received', empty), flushed, fin, ended],
    { ...byPeer, code: 1005, reason: '', wasClean: true, sent: empty, received: empty },
  ],
  [
    'both close at once: local on both sides',
    [opened, closeHere, closeThere, flushed, fin, ended],
    {
      ...answeredHere,
      code: 4001,
      reason: 'later',
      wasClean: true,
      received: peerBye,
      trigger: 'local-close',
    },
  ],
  [
    'a reset behind both Close frames leaves it clean',
    [opened, closeThere, flushed, lost, ended],
    { ...byPeer, wasClean: true, sent: peerBye },
  ],
  [
    'so does terminate()',
    [opened, closeThere, flushed, terminated, ended],
    { ...byPeer, wasClean: true, sent: peerBye },
  ],
  [
    'so does a peer that never ends TCP',
    [opened, closeThere, flushed, on('linger'), ended],
    { ...byPeer, wasClean: true, sent: peerBye },
  ],
  [
    'an answer that never leaves is not clean',
    [opened, closeThere, on('deadline'), ended],
    { ...byPeer, wasClean: false, sent: peerBye },
  ],
  [
    'a second Close of the peer is not heard',
    [opened, closeThere, on('close-received', bye), flushed, fin, ended],
    { ...byPeer, wasClean: true, sent: peerBye },
  ],

  // One Close frame
  [
    'close() and no answer in time',
    [opened, closeHere, flushed, on('deadline'), ended],
    { ...unanswered, trigger: 'close-timeout' },
  ],
  [
    'close() and FIN for an answer',
    [opened, closeHere, flushed, fin, ended],
    { ...unanswered, trigger: 'peer-fin-before-close' },
  ],
  [
    'close() and RST for an answer',
    [opened, closeHere, flushed, lost, ended],
    { ...unanswered, trigger: 'socket-error', error: reset },
  ],
  [
    'close() and a socket that just goes',
    [opened, closeHere, flushed, ended],
    { ...unanswered, trigger: 'socket-error' },
  ],
  [
    'close() and terminate()',
    [opened, closeHere, terminated, ended],
    { ...unanswered, trigger: 'terminate' },
  ],
  [
    'close() and a bad frame',
    [opened, closeHere, flushed, on('violation', badFrame), fin, ended],
    { ...unanswered, trigger: 'protocol-error', error: badFrame.error },
  ],
  [
    'closeOutput() and an unanswered keepalive',
    [opened, on('local-close', bye, true), flushed, on('keepalive-timeout'), ended],
    { ...unanswered, trigger: 'keepalive-timeout' },
  ],
  [
    'a bad frame; the Close that answers ours is not heard',
    [opened, on('violation', badFrame), flushed, on('close-received', badFrame.close), fin, ended],
    { ...unanswered, sent: badFrame.close, trigger: 'protocol-error', error: badFrame.error },
  ],
  [
    'a limit',
    [opened, on('violation', slowPeer), on('linger'), ended],
    { ...unanswered, sent: slowPeer.close, trigger: 'limit', error: slowPeer.error },
  ],
  [
    'a handler that fails',
    [opened, on('violation', { ...badFrame, trigger: 'handler-error' }), flushed, fin, ended],
    { ...unanswered, sent: badFrame.close, trigger: 'handler-error', error: badFrame.error },
  ],
  [
    'terminate() behind a failure does not change what it was',
    [opened, on('violation', badFrame), terminated, ended],
    { ...unanswered, sent: badFrame.close, trigger: 'protocol-error', error: badFrame.error },
  ],
  [
    'nor does a reset',
    [opened, on('violation', badFrame), flushed, lost, ended],
    { ...unanswered, sent: badFrame.close, trigger: 'protocol-error', error: badFrame.error },
  ],

  // The application answers
  [
    'a manual reply',
    [byHand, opened, closeThere, closeHere, flushed, fin, ended],
    { ...byPeer, wasClean: true, sent: bye },
  ],
  [
    'a manual reply that FIN overtakes',
    [byHand, opened, closeThere, fin, flushed, ended],
    { ...byPeer, wasClean: true, sent: peerBye },
  ],
  [
    'a manual reply that never comes',
    [byHand, opened, closeThere, on('deadline'), ended],
    { ...byPeer, wasClean: false, sent: null, trigger: 'close-timeout' },
  ],
  [
    'terminate() for a manual reply',
    [byHand, opened, closeThere, terminated, ended],
    { ...byPeer, wasClean: false, sent: null, trigger: 'terminate' },
  ],
  [
    'a handler that fails before the manual reply: the failure is the reply',
    [
      byHand,
      opened,
      closeThere,
      on('violation', { ...badFrame, trigger: 'handler-error' }),
      flushed,
      fin,
      ended,
    ],
    { ...byPeer, wasClean: true, sent: badFrame.close, trigger: 'handler-error', error: badFrame.error },
  ],

  // No Close frame
  ['FIN', [opened, fin, ended], { ...nobody, trigger: 'peer-fin' }],
  ['RST', [opened, lost, ended], { ...nobody, trigger: 'socket-error', error: reset }],
  ['a socket that just goes', [opened, ended], { ...nobody, trigger: 'socket-error' }],
  ['terminate()', [opened, terminated, ended], { ...nobody, trigger: 'terminate' }],
  [
    'an unanswered keepalive: nobody began it, though we say why',
    [opened, on('keepalive-timeout'), on('linger'), ended],
    { ...nobody, sent: { code: 1011, reason: 'keepalive timeout' }, trigger: 'keepalive-timeout' },
  ],

  // Never open
  [
    'a handshake that fails',
    [on('handshake-failed', reset), ended],
    { ...nobody, trigger: 'handshake-failed', error: reset },
  ],
  ['RST in the handshake', [lost, ended], { ...nobody, trigger: 'handshake-failed', error: reset }],
  [
    'FIN in the handshake',
    [fin, ended],
    {
      ...nobody,
      trigger: 'handshake-failed',
      error: new Error('the peer ended TCP during the opening handshake'),
    },
  ],
  ['a socket that just goes in the handshake', [ended], { ...nobody, trigger: 'handshake-failed' }],
  ['close() before it is open', [closeHere, ended], { ...nobody, trigger: 'aborted-before-open' }],
  ['terminate() before it is open', [terminated, ended], { ...nobody, trigger: 'aborted-before-open' }],
]

function byHand(life: Life): Life {
  return { ...life, manualReply: true }
}

for (const role of roles) {
  t.test(`the story of a life, ${role}`, (t) => {
    for (const [name, happened, told] of stories) {
      let life = beginLife(role)
      for (const happening of happened) life = happening(life)
      t.equal(life.state, 'closed', name)
      t.strictSame(closeInfo(life), told, name)
    }
    t.end()
  })
}

t.test('a life that has not ended can be told as far as it went', (t) => {
  const life = closeHere(opened(beginLife('client')))
  t.strictSame(closeInfo(life), { ...unanswered, trigger: 'local-close' })
  t.end()
})

t.test('a peer whose Close nobody has kept is answered by an empty one: the table is total', (t) => {
  const life: Life = { ...opened(beginLife('server', true)), state: 'close-received' }
  t.strictSame(step(life, 'peer-fin').life.sent, empty)
  t.end()
})

t.test('S9: the trigger is what ended the connection, in every state that is not decided yet', (t) => {
  const triggers = {
    'keepalive-timeout': 'keepalive-timeout',
    'socket-error': 'socket-error',
    deadline: 'close-timeout',
    terminate: 'terminate',
  } as const
  for (const role of roles) {
    for (const state of ['open', 'close-sent', 'close-received'] as const) {
      for (const [event, trigger] of Object.entries(triggers)) {
        if (!isEvent(event) || (state === 'open' && event === 'deadline')) continue
        t.equal(next(lifeIn(state, role), event).life.trigger, trigger, `${role}, ${state}: ${event}`)
      }
    }
  }
  t.end()
})

t.test('S13: that the peer has ended TCP is a fact, wherever it is told', (t) => {
  for (const role of roles) {
    for (const state of ['open', 'close-sent', 'close-received', 'close-done', 'failing'] as const)
      t.equal(next(lifeIn(state, role), 'peer-fin').life.finReceived, true, `${role}, ${state}`)
  }
  t.end()
})
