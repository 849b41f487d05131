import t from 'tap'
import { RateLimit } from '../../lib/rate-limit.ts'
import { FakeTimers } from '../help/fake-timers.ts'

const unlimited = Number.MAX_SAFE_INTEGER
const settings = { messages: unlimited, bytes: unlimited, interval: 1000, onExcess: 'close' } as const

await t.test("an interval's worth may come at once, one more is too much", async (t) => {
  const limit = new RateLimit({ ...settings, messages: 10, bytes: 100 }, new FakeTimers())
  limit.bytes(100)
  limit.frames(10)
  t.notOk(limit.exceeded)
  limit.frames(11)
  t.ok(limit.exceeded)
})

await t.test('frames are told as a sum, bytes by themselves', async (t) => {
  const frames = new RateLimit({ ...settings, messages: 10 }, new FakeTimers())
  for (const sum of [4, 4, 10]) frames.frames(sum)
  t.notOk(frames.exceeded)
  frames.frames(11)
  t.ok(frames.exceeded)

  const bytes = new RateLimit({ ...settings, bytes: 100 }, new FakeTimers())
  bytes.bytes(60)
  t.notOk(bytes.exceeded)
  bytes.bytes(41)
  t.ok(bytes.exceeded)
})

await t.test('the buckets fill with time, never beyond their size', async (t) => {
  const timers = new FakeTimers()
  const limit = new RateLimit({ ...settings, messages: 10, bytes: 1000, interval: 5000 }, timers)
  timers.advance(60_000)
  limit.bytes(1000)
  limit.frames(10)
  t.notOk(limit.exceeded)
  timers.advance(500)
  limit.bytes(100)
  limit.frames(11)
  t.notOk(limit.exceeded, 'a tenth of the interval is worth a tenth')
  limit.bytes(1)
  t.ok(limit.exceeded)
})

await t.test('what was taken too much is owed, and paid by the next filling', async (t) => {
  const timers = new FakeTimers()
  const limit = new RateLimit({ ...settings, messages: 10, onExcess: 'pause' }, timers)
  t.ok(limit.pauses)
  limit.frames(25)
  timers.advance(1499)
  limit.fill()
  t.ok(limit.exceeded)
  timers.advance(1)
  limit.fill()
  t.notOk(limit.exceeded)
  limit.frames(26)
  t.ok(limit.exceeded, 'nothing is left over')
})

await t.test('a peer at its rate is never too fast', async (t) => {
  const timers = new FakeTimers()
  const limit = new RateLimit({ ...settings, messages: 10 }, timers)
  for (let sum = 10; sum < 1000; sum++) {
    limit.bytes(1)
    limit.frames(sum)
    t.notOk(limit.exceeded, `${sum}`)
    timers.advance(100)
  }
})
