import t from 'tap'
import { getEventListeners } from 'node:events'
import { watchAbort } from '../../lib/abort-watch.ts'
import { watchProcess } from '../help/loop.ts'

await t.test(
  'P6: all who watch are called in the order in which they came, also one that came twice',
  (t) => {
    const controller = new AbortController()
    const called: string[] = []
    const twice = (): void => void called.push('twice')
    watchAbort(controller.signal, twice)
    watchAbort(controller.signal, () => called.push('other'))
    watchAbort(controller.signal, twice)
    controller.abort()
    controller.abort()
    t.strictSame(called, ['twice', 'other', 'twice'])
    t.end()
  },
)

await t.test('hundreds who watch are one listener, and none when all have left', async (t) => {
  const watch = watchProcess()
  const { signal } = new AbortController()
  const leave = Array.from({ length: 300 }, () => watchAbort(signal, () => t.fail('it has left')))
  t.equal(getEventListeners(signal, 'abort').length, 1)
  const [first, ...others] = leave
  for (const each of others) each()
  t.equal(getEventListeners(signal, 'abort').length, 1)
  first?.()
  t.equal(getEventListeners(signal, 'abort').length, 0)
  const stay = watchAbort(signal, () => {})
  first?.()
  t.equal(getEventListeners(signal, 'abort').length, 1, 'who leaves twice takes nobody along')
  stay()
  t.strictSame(await watch.stop(), [], 'no MaxListenersExceededWarning')
})

await t.test('one that leaves while others are called is not called', (t) => {
  const controller = new AbortController()
  watchAbort(controller.signal, () => leave())
  const leave = watchAbort(controller.signal, () => t.fail('it has left'))
  controller.abort()
  t.end()
})
