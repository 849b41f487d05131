import t from 'tap'
import { Buffer } from 'node:buffer'
import { MessageQueue } from '../../lib/message-queue.ts'

const mebibyte = 1024 * 1024

await t.test('D3: first in, first out, and empty behind the last', async (t) => {
  const queue = new MessageQueue(3)
  t.ok(queue.empty)
  t.equal(queue.shift(), undefined)
  queue.push('a')
  queue.push(Buffer.from('b'))
  queue.push('')
  t.notOk(queue.empty)
  t.equal(queue.shift(), 'a')
  t.strictSame(queue.shift(), Buffer.from('b'))
  t.equal(queue.shift(), '')
  t.ok(queue.empty)
})

await t.test('D4: full by count', async (t) => {
  const queue = new MessageQueue(2)
  queue.push('a')
  t.notOk(queue.full)
  queue.push('b')
  t.ok(queue.full)
  queue.shift()
  t.notOk(queue.full)
})

await t.test('D4: full by bytes: 1 MiB of data, or of text at two bytes a character', async (t) => {
  const queue = new MessageQueue(1000)
  queue.push(Buffer.allocUnsafeSlow(mebibyte - 1))
  t.notOk(queue.full)
  queue.push(Buffer.allocUnsafeSlow(1))
  t.ok(queue.full)
  queue.shift()
  t.notOk(queue.full)

  const text = new MessageQueue(1000)
  text.push('x'.repeat(mebibyte / 2 - 1))
  t.notOk(text.full)
  text.push('x')
  t.ok(text.full)
  text.clear()
  t.ok(text.empty)
  t.notOk(text.full, 'cleared, it has room for all again')
  text.push('x'.repeat(mebibyte / 2 - 1))
  t.notOk(text.full)
})

await t.test(
  'D4, M2: a view that is less than half of its memory is copied, a larger one is kept',
  async (t) => {
    const chunk = Buffer.allocUnsafeSlow(1000).fill(7)
    const queue = new MessageQueue(10)
    for (const end of [0, 499, 500, 1000]) queue.push(chunk.subarray(0, end))
    const kept = [queue.shift(), queue.shift(), queue.shift(), queue.shift()]
    for (const [at, length] of [0, 499, 500, 1000].entries()) {
      const message = kept[at]
      if (!Buffer.isBuffer(message)) throw new TypeError('a Buffer was queued')
      t.ok(message.equals(Buffer.alloc(length, 7)))
      if (length < 500) t.ok(message.buffer.byteLength <= length, 'a copy that pins nothing')
      else t.equal(message.buffer, chunk.buffer)
    }
  },
)

await t.test('D3: who waits gets the next message, in turn', async (t) => {
  const queue = new MessageQueue(2)
  t.equal(queue.handOver('nobody waits'), false)
  const [one, other] = [queue.wait(undefined), queue.wait(undefined)]
  t.equal(queue.handOver('a'), true)
  t.equal(queue.handOver('b'), true)
  t.equal(queue.handOver('c'), false)
  t.equal(await one, 'a')
  t.equal(await other, 'b')
})

await t.test('P6: an aborted wait takes no message; rejectWaits ends the others', async (t) => {
  const queue = new MessageQueue(2)
  const controller = new AbortController()
  const aborted = queue.wait(controller.signal)
  const patient = queue.wait(undefined)
  const last = queue.wait(undefined)
  controller.abort()
  await t.rejects(aborted, { name: 'AbortError' })
  t.equal(queue.handOver('a'), true)
  t.equal(await patient, 'a')
  queue.rejectWaits(new Error('closed'))
  await t.rejects(last, new Error('closed'))
  t.equal(queue.handOver('b'), false)
})
