/** All that can happen next, rule by rule. */
import type { Faults } from './configurations.ts'
import { awaitsClose, closeFrame, failures, ownClose } from './model.ts'
import type { Turn } from './turn.ts'

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

/** A timer that is armed fires, whenever it likes. */
function timer(name: string, kind: 'deadline' | 'linger'): Rule {
  return {
    name,
    due: true,
    when: ({ configuration, side }) => configuration.timers && side[kind],
    act: (turn) => {
      turn.spoil()
      turn.fire(kind)
    },
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
  timer('the deadline is over', 'deadline'),
  timer('the linger time is over', 'linger'),
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
  fault('no Pong comes', 'keepalive', unfinished, (turn) => turn.fire('keepalive-timeout')),
  fault('terminate()', 'terminate', unfinished, (turn) => turn.fire('terminate')),
  fault('a limit is reached', 'failure', unfinished, (turn) => turn.fire('violation', failures.limit)),
  fault('a handler fails', 'failure', unfinished, (turn) =>
    turn.fire('violation', failures['handler error']),
  ),
  fault('a bad frame arrives', 'badFrame', messageIsNext, (turn) => {
    turn.take()
    if (turn.machine.receives[turn.state]) turn.fire('violation', failures['bad frame'])
  }),
  fault('the socket fails', 'socket', alive, (turn) => turn.fire('socket-error', new Error('EPIPE'))),
  fault('the socket is gone', 'socket', alive, (turn) => {
    turn.side.gone = true
    turn.tear()
    turn.fire('socket-closed')
  }),
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

function unfinished({ side }: Turn): boolean {
  return !side.finished
}

function alive(turn: Turn): boolean {
  return turn.alive
}

function messageIsNext(turn: Turn): boolean {
  return turn.network.state === 'up' && turn.alive && turn.inbox.startsWith('D')
}

function goesOn({ side }: Turn): boolean {
  return side.life.role === 'server' && side.close !== '' && !side.ended && !side.destroyed
}
