import t from 'tap'
import { beatInterval, Heartbeat, heartbeatOf } from '../../lib/heartbeat.ts'
import { FakeTimers } from '../help/fake-timers.ts'

await t.test('D11: one timer for all, and none when there is nobody', async (t) => {
  const timers = new FakeTimers()
  const heartbeat = new Heartbeat(timers)
  t.equal(timers.armed, 0)
  const beats: string[] = []
  const one = { beat: (now: number): void => void beats.push(`one ${now}`) }
  const other = { beat: (now: number): void => void beats.push(`other ${now}`) }
  heartbeat.add(one)
  heartbeat.add(other)
  t.equal(timers.armed, 1)
  t.equal(timers.pending, 0, 'it keeps no process alive')
  timers.advance(beatInterval)
  timers.advance(beatInterval - 1)
  t.strictSame(beats, [`one ${beatInterval}`, `other ${beatInterval}`])
  heartbeat.delete(one)
  t.equal(timers.armed, 1)
  timers.advance(1)
  t.strictSame(beats.slice(2), [`other ${2 * beatInterval}`])
  heartbeat.delete(other)
  t.equal(timers.armed, 0)
  timers.advance(10 * beatInterval)
  t.equal(beats.length, 3)
})

await t.test('it starts again for who comes after the last has left', async (t) => {
  const timers = new FakeTimers()
  const heartbeat = new Heartbeat(timers)
  let beats = 0
  const member = { beat: (): void => void beats++ }
  heartbeat.delete(member)
  for (let round = 1; round <= 2; round++) {
    heartbeat.add(member)
    t.equal(timers.armed, 1)
    timers.advance(beatInterval)
    t.equal(beats, round)
    heartbeat.delete(member)
    t.equal(timers.armed, 0)
  }
})

await t.test('who leaves during a beat, or makes another leave, disturbs nobody', async (t) => {
  const timers = new FakeTimers()
  const heartbeat = new Heartbeat(timers)
  const beats: string[] = []
  const last = { beat: (): void => void beats.push('last') }
  const gone = { beat: (): void => void beats.push('gone') }
  const first = {
    beat(): void {
      beats.push('first')
      heartbeat.delete(first)
      heartbeat.delete(gone)
    },
  }
  for (const member of [first, gone, last]) heartbeat.add(member)
  timers.advance(2 * beatInterval)
  t.strictSame(beats, ['first', 'last', 'last'])
})

await t.test('each clock has its one heartbeat', async (t) => {
  const [one, other] = [new FakeTimers(), new FakeTimers()]
  t.equal(heartbeatOf(one), heartbeatOf(one))
  t.not(heartbeatOf(one), heartbeatOf(other))
})
