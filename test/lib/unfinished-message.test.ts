import t from 'tap'
import { Buffer } from 'node:buffer'
import { Budget } from '../../lib/budget.ts'
import { UnfinishedMessage } from '../../lib/unfinished-message.ts'
import { noise } from './deflate/samples.ts'

const begin = (limit = 1024 * 1024): { message: UnfinishedMessage; budget: Budget } => {
  const budget = new Budget(limit)
  return { message: new UnfinishedMessage(budget), budget }
}

await t.test(
  '6455-5.4-fragments-joined: pieces with and without room of their own, one behind the other',
  async (t) => {
    const bytes = noise(100_000)
    const cuts = [0, 1, 5, 5000, 5100, 60_000, 60_001, 100_000]
    for (const roomFrom of [0, 4096, Infinity]) {
      const { message, budget } = begin()
      cuts.slice(1).forEach((end, n) => {
        const start = cuts[n] ?? 0
        const room = end - start >= roomFrom ? message.room(end - start, bytes.length - end) : undefined
        room?.set(bytes.subarray(start, end))
        t.equal(message.add(room ?? bytes, room ? 0 : start, room ? room.length : end, false), undefined)
      })
      t.equal(message.size, bytes.length)
      t.ok(message.whole.equals(bytes), 'in one piece')
      t.ok(Buffer.concat(begin().message.parts).equals(Buffer.alloc(0)), 'nothing has no parts')
      message.release()
      message.release()
      t.equal(budget.used, 0, 'D4: what was charged is given back, once')
    }
  },
)

await t.test('D4: room ahead is in the block, or as far as foresight goes', async (t) => {
  const bytes = noise(100_000)
  const { message, budget } = begin()
  message.add(bytes, 0, 1023, false)
  t.equal(message.roomAhead(50_000), undefined, 'too little has come')
  message.add(bytes, 1023, 1024, false)
  for (const [from, left, length] of [
    [1024, 60_000, 17 * 1025 - 1024], // 17 times what there will be with a byte more
    [17 * 1025, 60_000, 60_000],
    [17 * 1025 + 60_000, 10, 10],
  ] as const) {
    const room = message.roomAhead(left)
    t.equal(room?.length, length)
    room?.set(bytes.subarray(from, from + length))
    if (room) message.add(room, 0, length, false)
  }
  t.ok(message.whole.equals(bytes.subarray(0, 17 * 1025 + 60_010)))
  message.release()
  t.equal(budget.used, 0)
})

await t.test('D11, D4: it lies in the chunk that it begins in, where all of it fits', async (t) => {
  const chunk = Buffer.allocUnsafeSlow(17_000)
  /** Whether the piece has its room there, and what is charged. */
  const room = (size: number, left: number, message = begin()): unknown[] => {
    const place = message.message.room(size, left, chunk)
    return [place?.length, place?.buffer === chunk.buffer && place.byteOffset === 0, message.budget.used]
  }
  t.same(room(1000, 16_000), [1000, true, 17_000])
  t.same(room(1000, 16_001), [1000, false, 8500], 'one byte too long')
  t.same(room(999, 0), [999, false, 999], 'the chunk is more than 17 times what has come')
  t.same(room(1000, 0, begin(16_999)), [1000, false, 1000], 'more than there is budget for')
  const begun = begin()
  begun.message.add(chunk, 0, 1, false)
  t.same(room(2000, 0, begun), [2000, false, 2001], 'a message that has begun before')
})

await t.test('its parts are all of it', async (t) => {
  const { message } = begin()
  for (let n = 0; n < 5; n++) message.add(noise(3000, `${n}`), 0, 3000, false)
  const whole = Buffer.concat([0, 1, 2, 3, 4].map((n) => noise(3000, `${n}`)))
  t.ok(Buffer.concat(message.parts).equals(whole))
})

await t.test('RFC 6455 8.1: text is checked piece by piece, a binary message is not', async (t) => {
  const bytes = Buffer.from('é')
  const { message } = begin()
  t.ok(message.complete)
  t.equal(message.add(bytes, 0, 1, true), undefined)
  t.notOk(message.complete)
  t.equal(message.add(bytes, 1, 2, true), undefined)
  t.ok(message.complete)
  t.equal(message.add(bytes, 1, 2, true), 'bad-utf8')
  t.equal(begin().message.add(bytes, 1, 2, false), undefined)
})

await t.test('F6: 1,024 empty pieces in a row are borne', async (t) => {
  const { message } = begin()
  const bytes = Buffer.from('a')
  for (let n = 0; n < 1024; n++) t.equal(message.add(bytes, 0, 0, false), undefined)
  t.equal(message.add(bytes, 0, 1, false), undefined)
  for (let n = 0; n < 1024; n++) t.equal(message.add(bytes, 0, 0, false), undefined)
  t.equal(message.add(bytes, 0, 0, false), 'empty-fragments')
})

await t.test('Z9, D4: without budget there is no room, and a piece is refused', async (t) => {
  const { message, budget } = begin(2048)
  t.equal(message.room(1000, 100_000), undefined)
  t.equal(budget.used, 0)
  t.equal(message.add(noise(2000), 0, 2000, false), undefined)
  t.equal(message.add(noise(2000), 0, 2000, false), 'process-budget')
  message.release()
  t.equal(budget.used, 0)
})
