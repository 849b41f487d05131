import t from 'tap'
import { Buffer } from 'node:buffer'
import { Turns } from '../../lib/turns.ts'
import { turns as rounds } from '../help/loop.ts'

/** Turns whose story is written down. */
function begin() {
  const turns = new Turns()
  const story: string[] = []
  const take = (name: string, turn: 'stream' | 'compression', size = 0): void =>
    void turns.begin(turn, size).then(() => story.push(name))
  const end = (size = 0): boolean => turns.end(size, (frame) => void story.push(frame.toString()))
  return { turns, story, take, end }
}

await t.test('D5: what takes its time goes one at a time, in order, and frames wait between', async (t) => {
  const { turns, story, take, end } = begin()
  take('stream', 'stream')
  turns.put(Buffer.from('a'))
  take('compression', 'compression', 100)
  turns.put(Buffer.from('bc'))
  await rounds()
  t.strictSame(story, ['stream'])
  t.equal(turns.bytes, 103)
  t.equal(end(), true, 'the next has the turn')
  await rounds()
  t.strictSame(story, ['stream', 'a', 'compression'])
  t.equal(turns.bytes, 102)
  t.equal(end(100), false, 'nobody has it')
  t.strictSame(story, ['stream', 'a', 'compression', 'bc'])
  t.equal(turns.bytes, 0)
})

await t.test('X1: what is last cuts a stream under way, and what waits behind it', async (t) => {
  const { turns, story, take, end } = begin()
  take('one', 'stream')
  turns.put(Buffer.from('gone'))
  take('two', 'stream')
  await rounds()
  turns.last(() => void story.push('last'))
  t.strictSame(story, ['one', 'last'])
  t.equal(turns.bytes, 0)
  t.equal(end(), true, 'a stream that waits still gets its turn')
  await rounds()
  t.equal(end(), false)
  t.strictSame(story, ['one', 'last', 'two'])
})

await t.test('X1: it waits for what is compressed, but not for a stream behind that', async (t) => {
  const { turns, story, take, end } = begin()
  take('compression', 'compression')
  turns.put(Buffer.from('a'))
  await rounds()
  turns.last(() => void story.push('last'))
  take('stream', 'stream')
  t.equal(end(), true)
  await rounds()
  t.strictSame(story, ['compression', 'a', 'last', 'stream'])

  const cut = begin()
  cut.take('compression', 'compression')
  cut.take('stream', 'stream')
  cut.turns.put(Buffer.from('behind'))
  await rounds()
  cut.turns.last(() => void cut.story.push('last'))
  cut.end()
  await rounds()
  t.strictSame(cut.story, ['compression', 'last', 'stream'])
})

await t.test('RFC 6455 7.1.7: after a drop nothing waits for what is compressed', async (t) => {
  const { turns, story, take } = begin()
  take('compression', 'compression', 10)
  turns.put(Buffer.from('gone'))
  turns.drop()
  t.equal(turns.bytes, 10)
  turns.last(() => void story.push('last'))
  t.strictSame(story, ['last'])
})

await t.test('a stream that is paused goes on when it may', async (t) => {
  const { turns } = begin()
  turns.goOn()
  t.equal(turns.paused, false)
  let goesOn = false
  void turns.pause().then(() => (goesOn = true))
  t.equal(turns.paused, true)
  await rounds()
  t.notOk(goesOn)
  turns.goOn()
  t.equal(turns.paused, false)
  await rounds()
  t.ok(goesOn)
})
