import t from 'tap'
import { Buffer } from 'node:buffer'
import type { CloseInfo } from '../../lib/close-info.ts'
import { Closing } from '../../lib/closing.ts'
import { beginLife, type ConnectionState, type Role, step } from '../../lib/lifecycle.ts'
import { Sender } from '../../lib/sender.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns } from '../help/loop.ts'
import { matchEach } from '../help/match-each.ts'
import { RecordingSocket } from '../help/recording-socket.ts'

const bye = { code: 1000, reason: 'bye' }

function begin(role: Role = 'client', manualReply = false) {
  const socket = new RecordingSocket()
  const timers = new FakeTimers()
  const sender = new Sender(
    socket,
    {
      maskKeys: undefined,
      compression: undefined,
      highWaterMark: 1000,
      maxBufferedAmount: 1_000_000,
    },
    { exceeded() {}, drained() {} },
  )
  const log: string[] = []
  const infos: CloseInfo[] = []
  const { life } = step(beginLife(role, manualReply), 'opened')
  const hooks = {
    entered: (_state: ConnectionState): void => {},
    moved: (_state: ConnectionState): void => {},
  }
  const closing: Closing = new Closing(
    life,
    socket,
    sender,
    { timers, closeTimeout: 10_000, lingerTimeout: 2_000 },
    {
      moved(state) {
        log.push(`moved ${state}`)
        hooks.moved(state)
      },
      flushed: () => void log.push('flushed'),
      entered(state) {
        log.push(`entered ${state}`)
        hooks.entered(state)
      },
      finished(info) {
        log.push('finished')
        infos.push(info)
      },
    },
  )
  socket.on('close', () => closing.dispatch('socket-closed'))
  return { socket, timers, sender, closing, log, infos, hooks }
}

await t.test('D1: a close from here, from the Close to the end of TCP', async (t) => {
  const { socket, timers, closing, log, infos } = begin()
  t.equal(closing.state, 'open')
  t.equal(closing.info, undefined)
  closing.dispatch('local-close', bye, false)
  t.equal(closing.state, 'close-sent')
  t.equal(timers.pending, 1, 'I9: the deadline runs')
  t.notOk(closing.flushed)
  await turns()
  t.ok(closing.flushed)
  t.equal(socket.bytes.toString('latin1'), '\x88\x05\x03\xe8bye')
  t.match(closing.infoSoFar, { sent: bye, received: null, wasClean: false })
  closing.dispatch('close-received', bye)
  t.equal(closing.state, 'close-done')
  t.equal(timers.pending, 2, 'and the linger time')
  closing.dispatch('peer-fin')
  await turns()
  t.ok(socket.ended)
  closing.dispatch('socket-closed')
  t.equal(timers.pending, 0)
  t.strictSame(log, [
    'moved close-sent',
    'entered close-sent',
    'flushed',
    'moved close-done',
    'entered close-done',
    'moved closed',
    'entered closed',
    'finished',
  ])
  matchEach(t, infos, [{ code: 1000, reason: 'bye', wasClean: true, trigger: 'local-close' }])
  t.equal(closing.info, infos[0])
  t.equal(closing.infoSoFar, infos[0])
  closing.dispatch('terminate')
  closing.dispatch('socket-closed')
  t.equal(log.length, 8, 'I3: closed is the end')
})

await t.test('RFC 6455 7.1.1: a server ends TCP at once, behind its Close', async (t) => {
  const { socket, closing } = begin('server')
  closing.dispatch('close-received', { code: undefined, reason: '' })
  await turns(2)
  t.strictSame(socket.bytes, Buffer.from([0x88, 0x00]), 'an empty Close is answered by an empty one')
  t.ok(socket.ended)
})

await t.test('D10: the deadline destroys the socket, and only after closeTimeout', async (t) => {
  const { socket, timers, closing, infos } = begin()
  closing.dispatch('local-close', bye, false)
  await turns()
  timers.advance(9_999)
  t.notOk(socket.destroyed)
  timers.advance(1)
  t.ok(socket.destroyed)
  t.equal(timers.pending, 0)
  await turns()
  matchEach(t, infos, [{ code: 1006, trigger: 'close-timeout', wasClean: false }])
})

await t.test('D10: the linger time destroys the socket when all has been said', async (t) => {
  const { socket, timers, closing, infos } = begin()
  closing.dispatch('close-received', bye)
  await turns()
  timers.advance(1_999)
  t.notOk(socket.destroyed)
  timers.advance(1)
  t.ok(socket.destroyed)
  t.equal(timers.pending, 0, 'the deadline has stopped too')
  await turns()
  matchEach(t, infos, [{ code: 1000, trigger: 'peer-close', wasClean: true }])
})

await t.test('a patient close has no deadline; a close behind it sets one', async (t) => {
  const { timers, closing } = begin()
  closing.dispatch('local-close', bye, true)
  t.equal(timers.pending, 0)
  closing.dispatch('local-close', bye, false)
  t.equal(timers.pending, 1)
})

await t.test(
  'RFC 6455 7.1.7: a violation sends its own Close behind what the socket has taken, and FIN',
  async (t) => {
    const { socket, sender, closing } = begin('server')
    sender.message('an answer', true)
    const error = new Error('bad')
    closing.dispatch('violation', { close: { code: 1002, reason: '' }, trigger: 'protocol-error', error })
    await turns(2)
    t.equal(socket.bytes.toString('latin1'), '\x81\x09an answer\x88\x02\x03\xea')
    t.equal(closing.state, 'failing')
    t.equal(closing.infoSoFar.error, error)
  },
)

await t.test('RFC 6455 7.1.7: what the socket has not taken when a violation comes is dropped', async (t) => {
  const { socket, sender, closing } = begin()
  socket.stalled = true
  sender.message(Buffer.alloc(100_000), true)
  await turns()
  t.ok(socket.writableNeedDrain)
  sender.message('too late', true)
  const error = new Error('bad')
  closing.dispatch('violation', { close: { code: 1002, reason: '' }, trigger: 'protocol-error', error })
  socket.unstall()
  await turns(2)
  t.equal(socket.bytes.subarray(100_010).toString('latin1'), '\x88\x02\x03\xea')
})

await t.test('TCP that just ends, with no timer to stop', async (t) => {
  const { closing, infos } = begin()
  closing.dispatch('socket-closed')
  matchEach(t, infos, [{ code: 1006, trigger: 'socket-error', wasClean: false }])
})

await t.test('D1: a Close that never left is not flushed', async (t) => {
  const { socket, closing, log, infos } = begin()
  socket.stalled = true
  closing.dispatch('local-close', bye, false)
  await turns()
  closing.dispatch('terminate')
  await turns(2)
  t.notOk(log.includes('flushed'))
  matchEach(t, infos, [{ trigger: 'terminate', wasClean: false, sent: bye }])
})

await t.test(
  'I12: what a handler does while it is told takes effect at once and is told of behind',
  async (t) => {
    const { socket, closing, log, hooks } = begin()
    hooks.entered = (state) => {
      if (state !== 'close-sent') return
      closing.dispatch('close-received', bye)
      t.equal(closing.state, 'close-done')
      closing.dispatch('terminate')
      t.ok(socket.destroyed)
      closing.dispatch('socket-closed')
      t.equal(closing.state, 'closed')
      log.push('handler ends')
    }
    closing.dispatch('local-close', bye, false)
    t.strictSame(log, [
      'moved close-sent',
      'entered close-sent',
      'moved close-done',
      'moved closed',
      'handler ends',
      'entered close-done',
      'entered closed',
      'finished',
    ])
    await turns(2)
    t.equal(log.length, 8)
  },
)

await t.test('closeReply manual: nothing is sent until the application answers', async (t) => {
  const { socket, timers, closing } = begin('server', true)
  closing.dispatch('close-received', bye)
  await turns()
  t.equal(closing.state, 'close-received')
  t.equal(socket.calls.length, 0)
  t.equal(timers.pending, 1)
  closing.dispatch('local-close', { code: 4000, reason: '' }, false)
  await turns(2)
  t.strictSame(socket.bytes, Buffer.from([0x88, 0x02, 0x0f, 0xa0]))
  t.ok(socket.ended)
})
