import t from 'tap'
import { once } from 'node:events'
import { systemTimers, wholeMilliseconds } from '../../lib/timers.ts'

/** Timers that keep the process alive. */
function holding(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
}

await t.test('now is a clock in milliseconds that never goes back', async (t) => {
  const before = performance.now()
  const [first, second] = [systemTimers.now(), systemTimers.now()]
  t.ok(first >= before)
  t.ok(second >= first)
  t.ok(performance.now() >= second)
})

await t.test('after calls back once, not before its time, and keeps the process alive', async (t) => {
  const before = holding()
  const start = systemTimers.now()
  let calls = 0
  await new Promise<void>((resolve) => {
    systemTimers.after(2, () => {
      calls++
      resolve()
    })
    t.equal(holding(), before + 1)
  })
  // A timer of Node counts in whole milliseconds.
  t.ok(systemTimers.now() - start >= 1)
  t.equal(calls, 1)
  t.equal(holding(), before)
})

await t.test('a timer that is cancelled does not fire, and cancelling again is harmless', async (t) => {
  let fired = false
  const cancel = systemTimers.after(1, () => (fired = true))
  cancel()
  cancel()
  await new Promise<void>((resolve) => void systemTimers.after(3, resolve))
  t.notOk(fired)
})

await t.test(
  'every calls back again and again until it is cancelled, and keeps no process alive',
  async (t) => {
    const before = holding()
    const beats = new EventTarget()
    const cancel = systemTimers.every(1, () => beats.dispatchEvent(new Event('beat')))
    t.equal(holding(), before, 'it does not hold the process')
    // These hold it for the test.
    const hold = systemTimers.after(60_000, () => {})
    for (let beat = 0; beat < 3; beat++) await once(beats, 'beat')
    cancel()
    cancel()
    let late = 0
    beats.addEventListener('beat', () => late++)
    await new Promise<void>((resolve) => void systemTimers.after(5, resolve))
    t.equal(late, 0)
    hold()
  },
)

await t.test('D11: the time in whole milliseconds', async (t) => {
  const timers = { ...systemTimers, now: () => 1234.9 }
  t.equal(wholeMilliseconds(timers), 1234)
})
