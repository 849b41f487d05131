import t from 'tap'
import { getEventListeners } from 'node:events'
import { Waits } from '../../lib/waits.ts'
import { turns, watchProcess } from '../help/loop.ts'

await t.test('P8: those who wait are served in the order in which they came', async (t) => {
  const waits = new Waits<string>()
  t.equal(waits.resolveNext('nobody'), false)
  const served: string[] = []
  const all = ['a', 'b', 'c'].map((name) => waits.add().then((value) => served.push(`${name} ${value}`)))
  t.equal(waits.resolveNext('1'), true)
  t.equal(waits.resolveNext('2'), true)
  t.equal(waits.resolveNext('3'), true)
  t.equal(waits.resolveNext('4'), false)
  await Promise.all(all)
  t.strictSame(served, ['a 1', 'b 2', 'c 3'])
})

await t.test('resolve settles that promise and leaves the others', async (t) => {
  const waits = new Waits<number>()
  const [one, other] = [waits.add(), waits.add()]
  t.ok(waits.has(one))
  waits.resolve(other, 2)
  t.notOk(waits.has(other))
  t.ok(waits.has(one))
  t.equal(await other, 2)
  waits.resolve(other, 3)
  t.equal(await other, 2, 'a second time is nothing')
  t.equal(waits.resolveNext(1), true)
  t.equal(await one, 1)
})

await t.test('resolveAll and rejectAll settle each once, and those who come later wait', async (t) => {
  const waits = new Waits<string>()
  const early = [waits.add(), waits.add()]
  waits.resolveAll('now')
  const late = waits.add()
  t.ok(waits.has(late))
  t.strictSame(await Promise.all(early), ['now', 'now'])
  waits.rejectAll(new Error('over'))
  await t.rejects(late, new Error('over'))
  t.notOk(waits.has(late))
  t.equal(waits.resolveNext('x'), false)
})

await t.test('P6: an abort ends that wait alone, with the reason of its signal', async (t) => {
  const waits = new Waits<string>()
  const controller = new AbortController()
  const aborted = waits.add(controller.signal)
  const patient = waits.add()
  const reason = new Error('enough')
  controller.abort(reason)
  t.notOk(waits.has(aborted))
  await t.rejects(aborted, reason)
  t.equal(waits.resolveNext('message'), true)
  t.equal(await patient, 'message', 'what came went to who still waits')
})

await t.test('P6: with a signal that is aborted already, nobody waits', async (t) => {
  const waits = new Waits<string>()
  const late = waits.add(AbortSignal.abort())
  t.notOk(waits.has(late))
  await t.rejects(late, { name: 'AbortError' })
  t.equal(waits.resolveNext('message'), false)
})

await t.test('a wait that is over does not hang on its signal', async (t) => {
  const waits = new Waits<string>()
  const { signal } = new AbortController()
  const resolved = waits.add(signal)
  const rejected = waits.add(signal)
  t.equal(getEventListeners(signal, 'abort').length, 1, 'however many wait')
  waits.resolve(resolved, 'done')
  t.equal(getEventListeners(signal, 'abort').length, 1)
  waits.rejectAll(new Error('over'))
  t.equal(getEventListeners(signal, 'abort').length, 0)
  await t.rejects(rejected, new Error('over'))
})

await t.test('a wait that is forgotten is settled by nothing', async (t) => {
  const waits = new Waits<string>()
  const settled: string[] = []
  const forgotten = waits.add()
  forgotten.then(
    (value) => settled.push(value),
    () => settled.push('rejected'),
  )
  waits.forget(forgotten)
  waits.resolveAll('late')
  waits.rejectAll(new Error('late'))
  await turns()
  t.strictSame(settled, [])
})

await t.test('D2: that nobody watches a wait is no unhandled rejection', async (t) => {
  const watch = watchProcess()
  const waits = new Waits<string>()
  const controller = new AbortController()
  void waits.add(controller.signal)
  void waits.add(AbortSignal.abort())
  void waits.add()
  controller.abort()
  waits.rejectAll(new Error('over'))
  t.strictSame(await watch.stop(), [])
})
