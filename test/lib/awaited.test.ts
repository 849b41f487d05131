import t from 'tap'
import { Buffer } from 'node:buffer'
import { Awaited } from '../../lib/awaited.ts'
import type { CloseInfo } from '../../lib/close-info.ts'
import { turns } from '../help/loop.ts'

const info: CloseInfo = {
  code: 1006,
  reason: '',
  wasClean: false,
  initiator: 'none',
  sent: null,
  received: null,
  trigger: 'terminate',
}

await t.test('P2: the end tells everybody who waits, each in his way', async (t) => {
  const awaited = new Awaited()
  const { end } = awaited
  const flush = awaited.flush()
  const vain = [
    awaited.drain(undefined),
    awaited.unlessEnded(new Promise(() => {})),
    awaited.pings.sent(Buffer.from('a'), 0, undefined),
  ]
  awaited.ended(info)
  t.equal(await end, info)
  t.equal(awaited.end, end)
  t.equal(await flush, undefined)
  for (const each of vain) await t.rejects(each, { name: 'ConnectionClosedError', info })
})

await t.test('who comes late is told when the end is told again', async (t) => {
  const awaited = new Awaited()
  awaited.ended(info)
  const { end } = awaited
  const drain = awaited.drain(undefined)
  awaited.ended(info)
  t.equal(await end, info)
  await t.rejects(drain, { name: 'ConnectionClosedError' })
})

await t.test('what happens before resolves the waits for it', async (t) => {
  const awaited = new Awaited()
  awaited.drained()
  awaited.flushed()
  awaited.pong(Buffer.from('a'), 1)
  const waits = [
    awaited.drain(undefined),
    awaited.flush(),
    awaited.pings.sent(Buffer.from('a'), 1, undefined),
  ]
  awaited.drained()
  awaited.flushed()
  awaited.pong(Buffer.from('a'), 5)
  t.strictSame(await Promise.all(waits), [undefined, undefined, 4])
  t.equal(await awaited.unlessEnded(Promise.resolve('part')), 'part')
  await t.rejects(awaited.unlessEnded(Promise.reject(new Error('thrown'))), new Error('thrown'))
  awaited.ended(info)
  await turns()
})

await t.test('an abort ends a wait for a drain, and only that', async (t) => {
  const awaited = new Awaited()
  const controller = new AbortController()
  const aborted = awaited.drain(controller.signal)
  const patient = awaited.drain(undefined)
  controller.abort()
  await t.rejects(aborted, { name: 'AbortError' })
  awaited.drained()
  await patient
})
