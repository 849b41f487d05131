/** The ways in which a connection ends: who begins, and what the peer or the application makes of it. */
import { Buffer } from 'node:buffer'
import { Opcode } from '../../frames/opcode.ts'
import { beatInterval } from '../../lib/heartbeat.ts'
import type { CloseFrame, CloseTrigger, Connection, Message } from '../../lib/index.ts'
import { turns } from '../help/loop.ts'
import { type Case, closeTimeout, lingerTimeout, type Scenario, type Story, until } from './closing-case.ts'

const bye: CloseFrame = { code: 1000, reason: 'bye' }
const empty: CloseFrame = { code: undefined, reason: '' }

/** Both Close frames crossed. */
function clean(trigger: 'local-close' | 'peer-close', sent = bye, received = bye): Story {
  const initiator = trigger === 'local-close' ? 'local' : 'remote'
  const { code = 1005, reason } = received
  return { code, reason, wasClean: true, initiator, sent, received, trigger }
}

/** No Close of the peer's counted. */
function unclean(
  trigger: CloseTrigger,
  initiator: Story['initiator'],
  sent: CloseFrame | null,
  error?: string,
): Story {
  const story: Story = { code: 1006, reason: '', wasClean: false, initiator, sent, received: null, trigger }
  return error === undefined ? story : { ...story, error }
}

/** We failed the connection. */
function failed(trigger: CloseTrigger, code: number, error: string, reason = error): Story {
  return unclean(trigger, 'local', { code, reason }, error)
}

const local = ['close-sent', 'close-done', 'closed'] as const
const remote = ['close-done', 'closed'] as const
const failing = ['failing', 'closed'] as const
const sentThenFailing = ['close-sent', 'failing', 'closed'] as const

/** We close, the peer reads it. */
async function startClose(it: Case): Promise<void> {
  void it.connection.close(1000, 'bye')
  await it.peer.untilClose()
}

/** We close, the peer answers; TCP is still there. */
async function closeBoth(it: Case): Promise<void> {
  await startClose(it)
  it.peer.close(1000, 'bye')
  await it.untilState('close-done')
}

/** Sends until the network takes no more, so that what comes now stays in our hands. */
async function clog({ connection, peer }: Case): Promise<void> {
  peer.stopReading()
  const block = Buffer.alloc(512 * 1024)
  while (connection.bufferedAmount < 4 * block.length) {
    connection.send(block)
    await turns(2)
  }
}

const clogging = { maxBufferedAmount: 2 ** 32, keepalive: false } as const

const handshakes: Scenario[] = [
  {
    title:
      '6455-7.1.2-start-sends-close, 6455-7.1.2-close-after-both, 6455-7.1.1-server-first, 6455-7.3-normal-via-handshake, 6455-7.4.1-1000-normal: we close, the peer answers',
    async play(it) {
      await closeBoth(it)
      await it.endTcp()
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title:
      '6455-5.5.1-close-answered, 6455-5.5.1-close-answered-soon, 6455-5.5.1-close-echo-code, 6455-5.5.1-server-closes-tcp, 6455-5.5.1-client-waits-for-tcp: the peer closes, we repeat its code and reason',
    async play(it) {
      it.peer.close(3001, 'ça va')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close', { code: 3001, reason: 'ça va' }, { code: 3001, reason: 'ça va' }),
    states: remote,
    wire: ['close 3001 "ça va"'],
    end: 'fin',
  },
  {
    title: '6455-5.5.1-close-echo-empty, 6455-7.1.5-no-code-1005: an empty Close gets an empty one',
    async play(it) {
      it.peer.close()
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close', empty, empty),
    states: remote,
    wire: ['close'],
    end: 'fin',
  },
  {
    title: '6455-7.4-code-optional: we close without a code',
    async play(it) {
      void it.connection.close()
      await it.peer.untilClose()
      it.peer.close(1001)
      await it.endTcp()
    },
    story: clean('local-close', empty, { code: 1001, reason: '' }),
    states: local,
    wire: ['close'],
    end: 'fin',
  },
  {
    title:
      '6455-1.4-simultaneous-close, 6455-7.1.5-first-close-wins, 6455-7.1.6-reason-first-close, K4: both close at once',
    async play(it) {
      it.peer.close(4001, 'theirs')
      void it.connection.close(4000, 'ours')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: clean('local-close', { code: 4000, reason: 'ours' }, { code: 4001, reason: 'theirs' }),
    states: local,
    wire: ['close 4000 "ours"'],
    end: 'fin',
  },
  {
    title:
      '6455-5.5.1-no-data-after-close, 6455-1.4-no-data-after-close-sent, 6455-6.1-open-state-required: what we send after our Close',
    async play(it) {
      const { connection } = it
      connection.send('one')
      connection.send(Buffer.from([2]))
      void connection.close(1000, 'bye')
      it.t.equal(connection.send('late'), false)
      const late: Promise<unknown>[] = [
        connection.ping('late'),
        connection.sendFragments(['la', 'te']),
        connection.drained(),
      ]
      void connection.close(4000, 'late')
      void connection.closeOutput(4000, 'late')
      await it.peer.untilClose()
      it.peer.close(1000, 'bye')
      await it.endTcp()
      const info = await connection.closed
      const reasons = await Promise.all(late.map((each) => each.catch((error: unknown) => error)))
      for (const reason of reasons) it.t.match(reason, { name: 'ConnectionClosedError', info })
    },
    story: clean('local-close'),
    states: local,
    wire: ['text "one"', 'binary 02', 'close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: '6455-5.5.2-no-pong-after-close: a Ping behind our Close is told and not answered',
    async play(it) {
      await startClose(it)
      const heard = until(it.connection, 'ping')
      it.peer.ping('?')
      await heard
      it.peer.close(1000, 'bye')
      await it.endTcp()
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: 'I4, 6455-1.4-read-until-peer-close: a megabyte between our Close and the peer’s is delivered',
    async play(it) {
      it.listen()
      await startClose(it)
      it.peer.text('a'.repeat(1024 * 1024))
      it.peer.text('b')
      it.peer.close(1000, 'bye')
      await it.endTcp()
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
    messages: ['a'.repeat(1024 * 1024), 'b'],
  },
  {
    title:
      '6455-1.4-discard-after-close, I5: what stood before the peer’s Close is delivered, what follows is not',
    async play(it) {
      it.listen()
      const { peer } = it
      peer.write(
        Buffer.concat([
          peer.encode(Opcode.text, 'before'),
          peer.encode(Opcode.close, Buffer.from('03e8627965', 'hex')),
          peer.encode(Opcode.text, 'behind'),
          peer.encode(Opcode.ping, 'behind'),
          Buffer.from('ffffffff', 'hex'),
        ]),
      )
      peer.text('later')
      await peer.untilClose()
      peer.text('later still')
      await it.endTcp()
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
    messages: ['before'],
  },
  {
    title: '6455-5.5.1-close-answered-once, 6455-7.1.5-first-close-wins, K4: the peer closes twice',
    async play(it) {
      it.peer.close(1000, 'bye')
      it.peer.close(4000, 'again')
      await it.peer.untilClose()
      it.peer.close(4001, 'and again')
      await it.endTcp()
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: '6455-5.5.1-close-inside-message, K4: the peer closes inside a fragmented message',
    async play(it) {
      it.listen()
      it.peer.text('half', false)
      it.peer.close(1000, 'bye')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: '6455-6.1-abort-on-state-change: we close inside a message that we stream',
    async play(it) {
      const { connection, peer } = it
      const streamed = connection.sendFragments(neverEnding('half'))
      await peer.until(() => peer.wire.length === 1)
      connection.send('behind it')
      await closeBoth(it)
      await it.endTcp()
      await it.t.rejects(streamed, { name: 'ConnectionClosedError' })
    },
    story: clean('local-close'),
    states: local,
    wire: ['text "half"…', 'close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: '6455-5.5.1-close-answer-after-message: the peer closes inside a message that we stream',
    async play(it) {
      const { connection, peer } = it
      const streamed = connection.sendFragments(neverEnding('half'))
      await peer.until(() => peer.wire.length === 1)
      peer.close(1000, 'bye')
      await peer.untilClose()
      await it.endTcp()
      await it.t.rejects(streamed, { name: 'ConnectionClosedError' })
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['text "half"…', 'close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: '6455-7.1.4-clean: the peer’s FIN straight behind its Close',
    async play(it) {
      it.peer.close(1000, 'bye')
      it.peer.fin()
      await it.peer.untilEnd()
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: '6455-7.1.4-clean: the peer’s FIN straight behind its answer',
    async play(it) {
      await startClose(it)
      it.peer.close(1000, 'bye')
      it.peer.fin()
      await it.peer.untilEnd()
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
]

const silences: Scenario[] = [
  {
    title: '6455-5.5.1-close-timeout-no-reply, K1: the peer never answers',
    async play(it) {
      await startClose(it)
      await it.endsAfter(closeTimeout)
    },
    story: unclean('close-timeout', 'local', bye),
    states: sentThenFailing,
    wire: ['close 1000 "bye"'],
  },
  {
    title: 'K2: the peer goes on sending, and wins no time by it',
    async play(it) {
      it.listen()
      await startClose(it)
      for (let sent = 1; sent <= 9; sent++) {
        it.peer.text(`message ${sent}`)
        it.peer.ping()
        await it.untilMessages(sent)
        it.timers.advance(1000)
      }
      it.timers.advance(999)
      await turns(5)
      it.t.equal(it.stories.length, 0)
      it.timers.advance(1)
    },
    story: unclean('close-timeout', 'local', bye),
    states: sentThenFailing,
    wire: ['close 1000 "bye"'],
    messages: Array.from({ length: 9 }, (_, sent) => `message ${sent + 1}`),
  },
  {
    title: 'K1: the peer never reads, so that our Close cannot leave',
    options: clogging,
    async play(it) {
      await clog(it)
      void it.connection.close(1000, 'bye')
      await it.endsAfter(closeTimeout)
    },
    story: unclean('close-timeout', 'local', bye),
    states: sentThenFailing,
  },
  {
    title: 'I6: the peer closes and never reads, so that our answer cannot leave: its code, but not clean',
    options: clogging,
    async play(it) {
      await clog(it)
      it.peer.close(1000, 'bye')
      it.timers.advance(beatInterval) // While our output waits, each beat reads on a little.
      await it.untilState('close-done')
      await it.endsAfter(closeTimeout)
    },
    story: { ...clean('peer-close'), wasClean: false },
    states: remote,
  },
  {
    title:
      '6455-5.5.1-client-timeout, 6455-7.1.4-closed-on-tcp-end, K3: both closed, and the peer never ends TCP',
    async play(it) {
      await closeBoth(it)
      await it.peer.untilClose()
      if (it.role === 'server') await it.peer.untilEnd()
      await it.endsAfter(lingerTimeout)
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: 'K3: the peer closed, was answered, and never ends TCP',
    async play(it) {
      it.peer.close(1000, 'bye')
      await it.peer.untilClose()
      await it.endsAfter(lingerTimeout)
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: 'K2, K3: both closed, and the peer sends on instead of ending TCP',
    async play(it) {
      it.listen()
      await closeBoth(it)
      const flood = Buffer.alloc(64 * 1024, it.peer.encode(Opcode.text, 'x'))
      for (let sent = 0; sent < 16; sent++) it.peer.write(flood)
      await it.endsAfter(lingerTimeout)
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
  },
]

const losses: Scenario[] = [
  {
    title: '6455-7.1.5-lost-1006, 6455-7.1.4-clean: FIN without a Close',
    async play(it) {
      it.listen()
      it.peer.text('last words')
      it.peer.fin()
      await it.peer.untilEnd()
    },
    story: unclean('peer-fin', 'none', null),
    states: failing,
    wire: [],
    end: 'fin',
    messages: ['last words'],
  },
  {
    title: '6455-7.1.5-lost-1006: FIN inside a frame',
    async play(it) {
      it.listen()
      it.peer.write(it.peer.encode(Opcode.text, 'last words').subarray(0, 9))
      it.peer.fin()
      await it.peer.untilEnd()
    },
    story: unclean('peer-fin', 'none', null),
    states: failing,
    wire: [],
    end: 'fin',
  },
  {
    title: '6455-7.1.4-clean: FIN instead of an answer to our Close',
    async play(it) {
      await startClose(it)
      it.peer.fin()
      await it.peer.untilEnd()
    },
    story: unclean('peer-fin-before-close', 'local', bye),
    states: sentThenFailing,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: '6455-7.2.1-transport-loss: RST while open',
    resets: true,
    async play(it) {
      it.peer.reset()
      await it.connection.closed
    },
    story: unclean('socket-error', 'none', null, 'ECONNRESET'),
    states: failing,
    wire: [],
  },
  {
    title: 'RST instead of an answer to our Close',
    resets: true,
    async play(it) {
      await startClose(it)
      it.peer.reset()
      await it.connection.closed
    },
    story: unclean('socket-error', 'local', bye, 'ECONNRESET'),
    states: sentThenFailing,
    wire: ['close 1000 "bye"'],
  },
  {
    title: 'I6: RST when both have closed: that was clean, and stays so',
    resets: true,
    async play(it) {
      await closeBoth(it)
      if (it.role === 'server') await it.peer.untilEnd()
      it.peer.reset()
      await it.connection.closed
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
  },
  {
    title: 'R4: RST while megabytes are queued: whoever waits for the drain is told once',
    resets: true,
    options: clogging,
    async play(it) {
      await clog(it)
      const drained = it.connection.drained()
      const streamed = it.connection.sendFragments(['a', 'b'])
      it.peer.reset()
      await it.t.rejects(drained, { name: 'ConnectionClosedError' })
      await it.t.rejects(streamed, { name: 'ConnectionClosedError' })
    },
    story: (it) => {
      // The write or the read meets the reset first.
      const [info] = it.stories
      const met = info?.error instanceof Error && 'code' in info.error ? String(info.error.code) : ''
      it.t.match(met, /^(ECONNRESET|EPIPE)$/)
      return unclean('socket-error', 'none', null, met)
    },
    states: failing,
  },
  {
    title: 'keepalive: the peer falls silent, is told 1011 and given the linger time',
    options: { keepalive: true },
    async play(it) {
      it.timers.advance(25_000)
      await it.peer.until(() => it.peer.wire.length === 1)
      it.timers.advance(20_000)
      await it.peer.untilClose()
      it.t.equal(it.stories.length, 0)
      it.timers.advance(lingerTimeout)
    },
    story: unclean('keepalive-timeout', 'none', { code: 1011, reason: 'keepalive timeout' }),
    states: failing,
    wire: ['ping', 'close 1011 "keepalive timeout"'],
    end: 'fin',
  },
]

/** What a peer can do wrong, and what it is told. */
const faults: readonly (readonly [id: string, code: number, reason: string, make: (it: Case) => Buffer])[] = [
  ['6455-7.4.1-1002-protocol-error', 1002, 'reserved-opcode', () => Buffer.from('8380', 'hex')],
  ['6455-7.4.1-1007-bad-data', 1007, 'bad-utf8', (it) => it.peer.encode(Opcode.text, Buffer.from([0xff]))],
  [
    '6455-7.4.1-1008-policy',
    1008,
    'empty-fragments',
    (it) =>
      Buffer.concat([
        it.peer.encode(Opcode.text, '', false),
        ...Array.from({ length: 1024 }, () => it.peer.encode(Opcode.continuation, '', false)),
      ]),
  ],
  ['6455-7.4.1-1009-too-big', 1009, 'message-too-big', (it) => it.peer.encode(Opcode.text, 'x'.repeat(101))],
  ['6455-5.5.1-close-body-two-bytes', 1002, 'short-close', (it) => it.peer.encode(Opcode.close, 'x')],
  [
    '6455-7.4.1-reserved-1005, K7',
    1002,
    'bad-close-code',
    (it) => it.peer.encode(Opcode.close, Buffer.from('03ed', 'hex')),
  ],
  [
    '6455-8.1-close-reason-utf8, K7',
    1007,
    'bad-close-reason',
    (it) => it.peer.encode(Opcode.close, Buffer.from('03e8ff', 'hex')),
  ],
]

function ofFault([id, code, reason, make]: (typeof faults)[number]): Scenario[] {
  // A server that gets frames without a mask, or a client that gets some with one, says just that.
  const bytes = (it: Case): Buffer => {
    const frames = make(it)
    if (it.role === 'client' && reason === 'reserved-opcode') frames[1] = 0
    return frames
  }
  const trigger = code > 1007 ? 'limit' : 'protocol-error'
  const shared = {
    options: { maxMessageSize: 100 },
    story: failed(trigger, code, reason),
    states: failing,
    wire: [`close ${code} "${reason}"`],
    end: 'fin',
  } as const
  return [
    {
      ...shared,
      title: `${id}, 6455-7.1.7-fail-closes, 6455-7.1.7-fail-sends-close, 6455-7.1.5-own-failure-1006, 6455-7.1.7-no-data-after-fail: ${reason}, and all that follows is thrown away`,
      async play(it) {
        it.listen()
        const { peer } = it
        const behind = [peer.encode(Opcode.text, 'behind'), peer.encode(Opcode.ping, 'behind')]
        peer.write(
          Buffer.concat([bytes(it), ...behind, peer.encode(Opcode.close, Buffer.from('03e8', 'hex'))]),
        )
        await peer.untilClose()
        peer.text('later')
        peer.close(1000)
        await it.endTcp()
      },
    },
    {
      ...shared,
      title: `${id}, 6455-7.1.7-fail-no-wait, 6455-7.1.7-fail-reported, 6455-10.7-close-code-on-bad-data, 6455-10.7-may-drop: ${reason}, and the peer neither answers nor ends TCP`,
      async play(it) {
        it.peer.write(bytes(it))
        await it.peer.untilClose()
        await it.endsAfter(lingerTimeout)
      },
    },
    {
      ...shared,
      title: `${id}, 6455-5.5.1-close-answered-once: ${reason} instead of an answer to our Close`,
      async play(it) {
        await startClose(it)
        it.peer.write(bytes(it))
        await it.untilState('failing')
        await it.endTcp()
      },
      story: unclean(trigger, 'local', bye, reason),
      states: sentThenFailing,
      wire: ['close 1000 "bye"'],
    },
  ]
}

const violations: Scenario[] = [
  ...faults.flatMap(ofFault),
  {
    title:
      '6455-7.1.1-clean-tcp-close, I13: the peer breaks the protocol and sends megabytes behind it: our Close is not lost to a reset',
    async play(it) {
      it.peer.hex(it.role === 'server' ? '83 80' : '83 00')
      const more = Buffer.alloc(1024 * 1024)
      for (let sent = 0; sent < 4; sent++) it.peer.write(more)
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: failed('protocol-error', 1002, 'reserved-opcode'),
    states: failing,
    wire: ['close 1002 "reserved-opcode"'],
    end: 'fin',
  },
  {
    title:
      'we fail the connection with output queued: the Close goes out, what the network was not given does not',
    options: clogging,
    async play(it) {
      await clog(it)
      it.peer.hex(it.role === 'server' ? '83 80' : '83 00')
      it.timers.advance(beatInterval)
      await it.untilState('failing')
      it.peer.readOn()
      await it.peer.untilClose()
      await it.endTcp()
      it.t.equal(it.peer.wire.at(-1), 'close 1002 "reserved-opcode"')
    },
    story: failed('protocol-error', 1002, 'reserved-opcode'),
    states: failing,
    end: 'fin',
  },
  {
    title:
      '6455-7.1.7-fail-may-skip-close, S1: the peer reads too slowly, and the cap is reached: 1008, and no more patience than the linger time',
    options: { maxBufferedAmount: 8 * 1024 * 1024, keepalive: false },
    async play(it) {
      it.peer.stopReading()
      const block = Buffer.alloc(1024 * 1024)
      while (it.connection.state === 'open') {
        it.connection.send(block)
        await turns(1)
      }
      await it.endsAfter(lingerTimeout)
    },
    story: failed('limit', 1008, 'send-buffer-full'),
    states: failing,
  },
  {
    title: 'F7: half a frame, then silence: 1008',
    async play(it) {
      const { peer } = it
      const heard = until(it.connection, 'ping')
      peer.write(Buffer.concat([peer.encode(Opcode.ping), peer.encode(Opcode.text, 'half').subarray(0, -1)]))
      await heard
      // The heartbeat notices it, a second late at most.
      it.timers.advance(29_000)
      it.t.equal(it.connection.state, 'open')
      it.timers.advance(2_000)
      await it.peer.untilClose()
      await it.endTcp()
    },
    options: { keepalive: false },
    story: failed('limit', 1008, 'no-progress'),
    states: failing,
    wire: ['pong', 'close 1008 "no-progress"'],
    end: 'fin',
  },
]

const terminations: Scenario[] = [
  {
    title: '6455-7.1.1-any-means: terminate() while open',
    play(it) {
      it.connection.terminate()
      it.connection.terminate()
      return Promise.resolve()
    },
    story: unclean('terminate', 'none', null),
    states: failing,
    wire: [],
  },
  {
    title: 'terminate() in wait for the answer to our Close',
    async play(it) {
      await startClose(it)
      it.connection.terminate()
    },
    story: unclean('terminate', 'local', bye),
    states: sentThenFailing,
    wire: ['close 1000 "bye"'],
  },
  {
    title: 'terminate() straight behind close(): nothing has left',
    play(it) {
      void it.connection.close(1000, 'bye')
      it.connection.terminate()
      return Promise.resolve()
    },
    story: unclean('terminate', 'local', bye),
    states: sentThenFailing,
    wire: [],
  },
  {
    title: 'terminate() when both have closed: that was clean, and stays so',
    async play(it) {
      await closeBoth(it)
      it.connection.terminate()
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
  },
  {
    title: 'terminate() in wait for the peer’s FIN after a violation',
    async play(it) {
      it.peer.hex(it.role === 'server' ? '83 80' : '83 00')
      await it.peer.untilClose()
      it.connection.terminate()
    },
    story: failed('protocol-error', 1002, 'reserved-opcode'),
    states: failing,
    wire: ['close 1002 "reserved-opcode"'],
  },
  {
    title: 'terminate() with megabytes queued',
    options: clogging,
    async play(it) {
      await clog(it)
      it.connection.terminate()
      it.t.equal(it.connection.bufferedAmount >= 0, true)
    },
    story: unclean('terminate', 'none', null),
    states: failing,
  },
  {
    title: 'terminate() inside a message handler: no message follows',
    async play(it) {
      it.connection.once('message', () => it.connection.terminate())
      it.listen()
      it.peer.write(Buffer.concat([it.peer.encode(Opcode.text, 'one'), it.peer.encode(Opcode.text, 'two')]))
      await it.connection.closed
    },
    story: unclean('terminate', 'none', null),
    states: failing,
    wire: [],
    messages: ['one'],
  },
]

/** Handlers that fail, each in its way. */
const handlers: Scenario[] = [
  {
    title: 'E2, 6455-7.4.1-1011-unexpected: a message handler throws',
    async play(it) {
      it.connection.on('message', () => {
        throw new Error('sorry')
      })
      it.peer.text('boom')
      it.peer.text('and again')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: failed('handler-error', 1011, 'sorry', ''),
    states: failing,
    wire: ['close 1011'],
    end: 'fin',
    handlerErrors: ['sorry'],
  },
  {
    title: 'E3: an async message handler rejects',
    async play(it) {
      it.connection.on('message', async () => {
        await turns(1)
        throw new Error('sorry')
      })
      it.peer.text('boom')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: failed('handler-error', 1011, 'sorry', ''),
    states: failing,
    wire: ['close 1011'],
    end: 'fin',
    handlerErrors: ['sorry'],
  },
  {
    title: 'E2: a handler of the ping event throws: the Pong is out by then',
    async play(it) {
      it.connection.on('ping', () => {
        throw new Error('sorry')
      })
      it.peer.ping('?')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: failed('handler-error', 1011, 'sorry', ''),
    states: failing,
    wire: ['pong 3f', 'close 1011'],
    end: 'fin',
    handlerErrors: ['sorry'],
  },
  {
    title: 'E2: a handler of the pong event throws',
    async play(it) {
      it.connection.on('pong', () => {
        throw new Error('sorry')
      })
      it.peer.frame(Opcode.pong)
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: failed('handler-error', 1011, 'sorry', ''),
    states: failing,
    wire: ['close 1011'],
    end: 'fin',
    handlerErrors: ['sorry'],
  },
  {
    title:
      'E2: a handler of the state event throws when we close: the story is that of a failure, the Close is ours',
    async play(it) {
      it.connection.once('state', () => {
        throw new Error('sorry')
      })
      await startClose(it)
      await it.endTcp()
    },
    story: unclean('handler-error', 'local', bye, 'sorry'),
    states: sentThenFailing,
    wire: ['close 1000 "bye"'],
    end: 'fin',
    handlerErrors: ['sorry'],
  },
  {
    title: 'E2: a handler of the close event throws: it is reported, and nothing is left to change',
    async play(it) {
      it.connection.on('close', () => {
        throw new Error('sorry')
      })
      it.peer.close(1000, 'bye')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
    handlerErrors: ['sorry'],
  },
  {
    title: 'E3: an async handler rejects when both have closed: it is reported, and that was clean',
    async play(it) {
      it.connection.on('message', async () => {
        await it.connection.closed
        throw new Error('sorry')
      })
      it.peer.text('boom')
      it.peer.close(1000, 'bye')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
    handlerErrors: ['sorry'],
  },
  {
    title: 'E3: a handler that waited for more and is told that the connection closes has not failed',
    async play(it) {
      it.connection.once('message', async () => {
        for (;;) await it.connection.receive()
      })
      it.peer.text('go')
      it.peer.close(1000, 'bye')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: '1011: what is streamed throws: the message can neither go on nor be taken back',
    async play(it) {
      const broken = (function* () {
        yield 'half'
        throw new Error('sorry')
      })()
      const streamed = it.connection.sendFragments(broken)
      await it.t.rejects(streamed, { message: 'sorry' })
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: failed('handler-error', 1011, 'sorry', ''),
    states: failing,
    end: 'fin',
  },
]

const manual: Scenario[] = [
  {
    title: 'closeReply manual: we go on sending, then answer in our own words',
    options: { closeReply: 'manual' },
    async play(it) {
      const { connection, peer } = it
      it.listen()
      peer.text('before')
      peer.close(1000, 'bye')
      peer.text('behind')
      await it.untilState('close-received')
      await it.t.rejects(connection.receive(), { name: 'ConnectionClosedError' })
      it.t.equal(connection.send('one more thing'), true)
      await turns(5)
      it.t.strictSame(peer.wire, ['text "one more thing"'])
      void connection.close(4000, 'done')
      await peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close', { code: 4000, reason: 'done' }),
    states: ['close-received', 'close-done', 'closed'],
    wire: ['text "one more thing"', 'close 4000 "done"'],
    end: 'fin',
    messages: ['before'],
  },
  {
    title: 'closeReply manual: closeOutput() answers as well',
    options: { closeReply: 'manual' },
    async play(it) {
      it.peer.close(1000, 'bye')
      await it.untilState('close-received')
      await it.connection.closeOutput(1000, 'bye')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close'),
    states: ['close-received', 'close-done', 'closed'],
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: 'closeReply manual: an application that never answers has as long as a peer',
    options: { closeReply: 'manual' },
    async play(it) {
      it.peer.close(1000, 'bye')
      await it.untilState('close-received')
      await it.endsAfter(closeTimeout)
    },
    story: { ...clean('peer-close'), wasClean: false, sent: null, trigger: 'close-timeout' },
    states: ['close-received', 'failing', 'closed'],
    wire: [],
  },
  {
    title: 'closeReply manual: a peer that ends TCP can wait no longer and is answered at once',
    options: { closeReply: 'manual' },
    async play(it) {
      it.peer.close(1000, 'bye')
      it.peer.fin()
      await it.peer.untilEnd()
    },
    story: clean('peer-close'),
    states: ['close-received', 'close-done', 'closed'],
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: 'closeReply manual: a peer that resets has closed, but not cleanly',
    options: { closeReply: 'manual' },
    resets: true,
    async play(it) {
      it.peer.close(1000, 'bye')
      await it.untilState('close-received')
      it.peer.reset()
      await it.connection.closed
    },
    story: {
      ...clean('peer-close'),
      wasClean: false,
      sent: null,
      trigger: 'socket-error',
      error: 'ECONNRESET',
    },
    states: ['close-received', 'failing', 'closed'],
    wire: [],
  },
  {
    title: 'closeReply manual: terminate() instead of an answer',
    options: { closeReply: 'manual' },
    async play(it) {
      it.peer.close(1000, 'bye')
      await it.untilState('close-received')
      it.connection.terminate()
    },
    story: { ...clean('peer-close'), wasClean: false, sent: null, trigger: 'terminate' },
    states: ['close-received', 'failing', 'closed'],
    wire: [],
  },
  {
    title: 'closeReply manual: a handler fails before the answer: the answer is 1011',
    options: { closeReply: 'manual' },
    async play(it) {
      it.connection.on('state', () => {
        if (it.connection.state === 'close-received') throw new Error('sorry')
      })
      it.peer.close(1000, 'bye')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: {
      ...clean('peer-close', { code: 1011, reason: '' }),
      trigger: 'handler-error',
      error: 'sorry',
    },
    states: ['close-received', 'failing', 'closed'],
    wire: ['close 1011'],
    end: 'fin',
    handlerErrors: ['sorry'],
  },
  {
    title: 'closeReply manual: the handler of the state event answers within the event',
    options: { closeReply: 'manual' },
    async play(it) {
      it.connection.on('state', (state) => {
        if (state === 'close-received') void it.connection.close(1000, 'bye')
      })
      it.peer.close(1000, 'bye')
      await it.peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close'),
    states: ['close-received', 'close-done', 'closed'],
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
]

const halfCloses: Scenario[] = [
  {
    title: 'closeOutput(): messages still arrive, an hour long; then the peer closes',
    options: { keepalive: false },
    async play(it) {
      const { connection, peer } = it
      it.listen()
      await connection.closeOutput(1000, 'bye')
      it.t.equal(connection.send('late'), false)
      await peer.untilClose()
      peer.text('one')
      await it.untilMessages(1)
      it.timers.advance(60 * 60 * 1000)
      peer.text('two')
      await it.untilMessages(2)
      it.t.equal(connection.state, 'close-sent')
      peer.close(1000, 'bye')
      await it.endTcp()
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
    messages: ['one', 'two'],
  },
  {
    title: 'closeOutput(), then close(): from there on there is a deadline',
    options: { keepalive: false },
    async play(it) {
      await it.connection.closeOutput(1000, 'bye')
      await it.peer.untilClose()
      const before = 60 * 60 * 1000
      it.timers.advance(before)
      void it.connection.close(4000, 'too late to say so')
      it.timers.advance(closeTimeout - 1)
      await turns(5)
      it.t.equal(it.stories.length, 0)
      it.timers.advance(1)
    },
    story: unclean('close-timeout', 'local', bye),
    states: sentThenFailing,
    wire: ['close 1000 "bye"'],
  },
  {
    title: 'closeOutput(): only the keepalive watches; it destroys, since our Close is out',
    options: { keepalive: true },
    async play(it) {
      await it.connection.closeOutput(1000, 'bye')
      await it.peer.untilClose()
      it.timers.advance(44_999)
      await turns(5)
      it.t.equal(it.stories.length, 0)
      it.timers.advance(1_000)
    },
    story: unclean('keepalive-timeout', 'local', bye),
    states: sentThenFailing,
    wire: ['close 1000 "bye"'],
  },
  {
    title: 'closeOutput() keeps backpressure: nothing is lost, and receive() gets all, then the end',
    options: { maxQueuedMessages: 2, keepalive: false },
    async play(it) {
      const { connection, peer } = it
      await connection.closeOutput(1000, 'bye')
      await peer.untilClose()
      for (const number of numbers(10)) peer.text(number)
      peer.close(1000, 'bye')
      await turns(5)
      it.t.equal(connection.state, 'close-sent', 'the Close is behind messages that nobody has taken')
      const all = takeAll(connection)
      await it.endTcp()
      it.t.strictSame(await all, numbers(10))
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
]

const queues: Scenario[] = [
  {
    title: 'K5: we close while paused, with messages unread: the peer’s Close is found behind them',
    async play(it) {
      const { connection, peer } = it
      it.listen()
      connection.pause()
      for (const number of numbers(200)) peer.text(number)
      await turns(5)
      await startClose(it)
      peer.close(1000, 'bye')
      await it.endTcp()
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: 'K5: we close with a full queue that nobody takes: 64 messages stay, the rest is thrown away',
    async play(it) {
      const { connection, peer } = it
      for (const number of numbers(200)) peer.text(number)
      await turns(5)
      await startClose(it)
      peer.close(1000, 'bye')
      await it.endTcp()
      await connection.closed
      it.t.strictSame(await takeAll(connection), numbers(64))
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: 'K5: the peer closes behind messages that a paused connection has not read: resume() finds both',
    async play(it) {
      const { connection, peer } = it
      it.listen()
      connection.pause()
      for (const number of numbers(3)) peer.text(number)
      peer.close(1000, 'bye')
      await turns(5)
      it.t.equal(connection.state, 'open')
      connection.resume()
      await peer.untilClose()
      await it.endTcp()
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
    messages: ['0', '1', '2'],
  },
  {
    title:
      'K5, I5: the peer closes behind more messages than the queue holds: receive() gets all, then the end',
    options: { maxQueuedMessages: 4 },
    async play(it) {
      const { connection, peer } = it
      for (const number of numbers(50)) peer.text(number)
      peer.close(1000, 'bye')
      const all = takeAll(connection)
      await peer.untilClose()
      await it.endTcp()
      it.t.strictSame(await all, numbers(50))
    },
    story: clean('peer-close'),
    states: remote,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
  {
    title: 'K5: FIN behind more messages than the queue holds: all are delivered before it counts',
    options: { maxQueuedMessages: 4 },
    async play(it) {
      const { connection, peer } = it
      for (const number of numbers(50)) peer.text(number)
      peer.fin()
      it.t.strictSame(await takeAll(connection), numbers(50))
    },
    story: unclean('peer-fin', 'none', null),
    states: failing,
    wire: [],
    end: 'fin',
  },
  {
    title:
      'I13: a FIN was read behind a full queue when we fail the connection: there is nothing to wait for',
    options: { maxQueuedMessages: 1 },
    async play(it) {
      const { connection, peer } = it
      connection.pause()
      peer.write(Buffer.concat(numbers(3).map((number) => peer.encode(Opcode.text, number))))
      peer.fin()
      await turns(5)
      connection.resume()
      await turns(5)
      await it.t.rejects(connection.sendFragments(failsAtOnce()), { message: 'sorry' })
      await peer.untilEnd()
    },
    story: failed('handler-error', 1011, 'sorry', ''),
    states: failing,
    end: 'fin',
  },
  {
    title: 'K5: we close behind megabytes that the peer reads late: they arrive, then the Close',
    options: clogging,
    async play(it) {
      const { connection, peer } = it
      await clog(it)
      void connection.close(1000, 'bye')
      peer.readOn()
      await peer.untilClose()
      it.t.strictSame([...new Set(peer.wire)], ['binary 524288 bytes', 'close 1000 "bye"'])
      peer.close(1000, 'bye')
      await it.endTcp()
    },
    story: clean('local-close'),
    states: local,
    end: 'fin',
  },
  {
    title:
      'I11: waits that are cancelled change nothing: the next one gets the message, and the end is clean',
    options: clogging,
    async play(it) {
      const { connection, peer } = it
      const abort = new AbortController()
      const { signal } = abort
      await clog(it)
      const waits = waitWith(connection, signal)
      const next = connection.receive()
      const reason = new Error('changed my mind')
      abort.abort(reason)
      for (const wait of waits) it.t.equal(await wait.catch((error: unknown) => error), reason)
      await it.t.rejects(connection.receive({ signal }), reason)
      it.t.equal(connection.state, 'open')
      peer.text('for the next')
      it.timers.advance(beatInterval)
      it.t.equal(await next, 'for the next')
      peer.readOn()
      await connection.drained()
      await closeBoth(it)
      await it.endTcp()
    },
    story: clean('local-close'),
    states: local,
    end: 'fin',
  },
  {
    title: 'I11: waits that are cancelled while we close',
    async play(it) {
      const { connection, peer } = it
      const abort = new AbortController()
      const { signal } = abort
      await startClose(it)
      const waits = waitWith(connection, signal)
      abort.abort()
      for (const wait of waits)
        it.t.match(await wait.catch((error: unknown) => error), { name: 'AbortError' })
      it.t.equal(connection.state, 'close-sent')
      peer.text('still here')
      it.t.equal(await connection.receive(), 'still here')
      peer.close(1000, 'bye')
      await it.endTcp()
    },
    story: clean('local-close'),
    states: local,
    wire: ['close 1000 "bye"'],
    end: 'fin',
  },
]

async function* neverEnding(first: string): AsyncGenerator<string> {
  yield first
  await new Promise(() => {})
}

function failsAtOnce(): Iterable<string> {
  return {
    [Symbol.iterator]: () => ({
      next() {
        throw new Error('sorry')
      },
    }),
  }
}

/** All messages until the end. */
async function takeAll(connection: Connection): Promise<Message[]> {
  const all: Message[] = []
  for await (const message of connection) all.push(message)
  return all
}

function waitWith(connection: Connection, signal: AbortSignal): Promise<unknown>[] {
  return [connection.receive({ signal }), connection.drained({ signal }), connection.ping('?', { signal })]
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `${number}`)
}

export const scenarios: readonly Scenario[] = [
  ...handshakes,
  ...silences,
  ...losses,
  ...violations,
  ...terminations,
  ...handlers,
  ...manual,
  ...halfCloses,
  ...queues,
]
