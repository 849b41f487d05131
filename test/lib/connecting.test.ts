import t from 'tap'
import { Connecting } from '../../lib/connecting.ts'
import { deferred } from '../help/deferred.ts'
import { turns } from '../help/loop.ts'

const never = new AbortController().signal

/** Attempts that end when a test says so, and the order in which they began. */
function attempts() {
  const connecting = new Connecting()
  const begun: string[] = []
  const start = (name: string, address = 'h:80', signal = never) => {
    const attempt = deferred<string>()
    const ended = connecting.inTurn(address, signal, () => {
      begun.push(name)
      return attempt.promise
    })
    ended.catch(() => {})
    return { ended, opens: () => attempt.resolve(name), fails: () => attempt.reject(new Error(name)) }
  }
  return { begun, start }
}

t.test('6455-4.1-one-connecting-per-address: one at a time, in order, each address by itself', async (t) => {
  const { begun, start } = attempts()
  const [one, two, three] = [start('1'), start('2'), start('3')]
  start('another port', 'h:81')
  t.strictSame(begun, ['1', 'another port'], 'at once where nobody connects')
  one.opens()
  t.equal(await one.ended, '1')
  await turns(1)
  t.strictSame(begun, ['1', 'another port', '2'])
  const four = start('4')
  two.opens()
  await two.ended
  three.opens()
  await three.ended
  four.opens()
  await four.ended
  t.strictSame(begun, ['1', 'another port', '2', '3', '4'])
  start('5')
  t.equal(begun.at(-1), '5', 'nobody is left')
})

t.test('6455-4.1-next-after-failure: the next one begins when one has failed', async (t) => {
  const { begun, start } = attempts()
  const [one, two, three] = [start('1'), start('2'), start('3')]
  one.fails()
  await t.rejects(one.ended, { message: '1' })
  two.fails()
  await t.rejects(two.ended, { message: '2' })
  three.opens()
  t.equal(await three.ended, '3')
  t.strictSame(begun, ['1', '2', '3'])
})

t.test('P6: an abort ends that wait alone, and nobody else’s turn comes sooner', async (t) => {
  const { begun, start } = attempts()
  const abort = new AbortController()
  const one = start('1')
  const two = start('2', 'h:80', abort.signal)
  const three = start('3')
  abort.abort(new Error('changed my mind'))
  await t.rejects(two.ended, { message: 'changed my mind' })
  await turns(1)
  t.strictSame(begun, ['1'])
  one.opens()
  await one.ended
  three.opens()
  t.equal(await three.ended, '3')
  t.strictSame(begun, ['1', '3'])
})
