import t from 'tap'
import { TimeLimit } from '../../lib/time-limit.ts'
import { FakeTimers } from '../help/fake-timers.ts'

t.test('what passes between stop and start does not count', async (t) => {
  const timers = new FakeTimers()
  let over = false
  const limit = new TimeLimit(timers, 100, () => (over = true))
  timers.advance(1000)
  limit.start()
  timers.advance(60)
  limit.stop()
  t.equal(timers.armed, 0)
  timers.advance(1000)
  limit.stop()
  limit.start()
  timers.advance(39)
  t.notOk(over)
  timers.advance(1)
  t.ok(over)
  limit.stop()
  t.equal(timers.armed, 0)
})
