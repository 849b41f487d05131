import t from 'tap'
import { Buffer } from 'node:buffer'
import { EventEmitter } from 'node:events'
import { Opcode } from '../../frames/opcode.ts'
import type { ConnectionEvents } from '../../lib/connection-events.ts'
import { Core, type CoreInit } from '../../lib/core.ts'
import { ConnectionClosedError } from '../../lib/errors.ts'
import { connectionSettings } from '../../lib/options.ts'
import { PreparedMessage } from '../../lib/prepared-message.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { until, watchProcess } from '../help/loop.ts'
import { memoryPair } from '../help/memory-pair.ts'
import { RawPeer } from '../wire/raw-peer.ts'

/** A face that is no connection. */
class Face extends EventEmitter<ConnectionEvents> {
  readonly told: string[] = []

  constructor() {
    super()
    this.on('ping', (payload) => this.told.push(`ping ${payload.toString()}`))
    this.on('state', (state) => this.told.push(`state ${state}`))
    this.on('close', ({ trigger }) => this.told.push(`close ${trigger}`))
  }
}

/** The core of a server over a memory pair, and a raw peer at the other end. */
function begin(init: Partial<CoreInit<Face>> = {}) {
  const [ours, theirs] = memoryPair({})
  const face = new Face()
  const settings = connectionSettings({ timers: new FakeTimers() }, 'server')
  const core = new Core(face, ours, settings, { role: 'server', ...init })
  const peer = new RawPeer(theirs, 'client', () => theirs.reset())
  return { core, face, peer }
}

await t.test('D1, D3: any emitter may be its face', async (t) => {
  const { core, face, peer } = begin()
  peer.frame(Opcode.text, 'kept')
  peer.frame(Opcode.ping, 'p')
  await until(() => face.told.length === 1)
  t.equal(core.reader.take(), 'kept')
  const next = core.waitForMessage(undefined)
  peer.frame(Opcode.text, 'awaited')
  t.equal(await next, 'awaited')
  face.on('message', (message) => face.told.push(`message ${message.toString()}`))
  peer.frame(Opcode.text, 'heard')
  peer.close(1000, '')
  await peer.untilEnd()
  peer.fin()
  const { trigger } = await core.wait((awaited) => awaited.end)
  t.equal(trigger, 'peer-close')
  t.strictSame(face.told, ['ping p', 'message heard', 'state close-done', 'state closed', 'close peer-close'])
  await t.rejects(core.waitForMessage(undefined), ConnectionClosedError)
})

await t.test('D5: messages, prepared or not, and Pings leave in order, until it closes', async (t) => {
  const { core, peer } = begin()
  t.equal(core.send('a', true), true)
  t.equal(core.sendPrepared(new PreparedMessage('b')), true)
  const answered = core.ping(Buffer.from('c'), undefined)
  await peer.until(() => peer.frames.length === 3)
  t.strictSame(
    peer.frames.map(({ payload }) => payload.toString()),
    ['a', 'b', 'c'],
  )
  peer.frame(Opcode.pong, 'c')
  t.equal(await answered, 0)
  core.closing.dispatch('terminate')
  t.equal(core.send('late', true), false)
  t.equal(core.sendPrepared(new PreparedMessage('late')), false)
})

await t.test(
  'D2: what a handler throws or rejects with ends it with 1011, and is told with its face',
  async (t) => {
    const failed: [unknown, Face][] = []
    const { core, face, peer } = begin({ onHandlerError: (error, whose) => void failed.push([error, whose]) })
    const oops = new Error('oops')
    face.on('message', () => {
      throw oops
    })
    peer.frame(Opcode.text, 'a')
    await peer.untilClose()
    t.equal(failed.length, 1)
    t.equal(failed[0]?.[0], oops)
    t.equal(failed[0]?.[1], face)
    core.handlerFailed(new ConnectionClosedError(core.closing.infoSoFar))
    t.equal(failed.length, 1, 'that it is closing is no news')
    core.closing.dispatch('terminate')
    t.match(await core.wait((awaited) => awaited.end), { trigger: 'handler-error', error: oops })
  },
)

await t.test('D2: onClosed that throws or rejects is a handler that failed, or a warning', async (t) => {
  const watch = watchProcess()
  // As an async function has it, which passes for one that returns nothing.
  const rejects: () => unknown = () => Promise.reject(new Error('rejected'))
  const first = begin({ onClosed: rejects })
  first.core.closing.dispatch('terminate')
  await first.core.wait((awaited) => awaited.end)
  const second = begin({
    onClosed: () => {
      throw new Error('thrown')
    },
    onHandlerError: () => {
      throw new Error('twice')
    },
  })
  second.core.closing.dispatch('terminate')
  await second.core.wait((awaited) => awaited.end)
  const seen = await watch.stop()
  const messages = seen.map((each) => (each instanceof Error ? each.message : each))
  t.strictSame(new Set(messages), new Set(['rejected', 'twice']))
  t.equal(messages.length, 2)
})
