import t from 'tap'
import { Buffer } from 'node:buffer'
import { Pings } from '../../lib/pings.ts'
import { turns } from '../help/loop.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

await t.test('6455-5.5.3-pong-same-data: the Pong that repeats a Ping answers it', async (t) => {
  const pings = new Pings()
  const answered = pings.sent(bytes('a'), 100, undefined)
  pings.pong(bytes('a'), 130)
  t.equal(await answered, 30)
})

await t.test('6455-5.5.3-pong-latest-only: it answers the Pings before, not those behind', async (t) => {
  const pings = new Pings()
  const [a, b, c] = [bytes('a'), bytes('b'), bytes('c')].map((payload, at) =>
    pings.sent(payload, at, undefined),
  )
  let third = false
  void c?.then(() => (third = true))
  pings.pong(bytes('b'), 10)
  t.equal(await a, 10)
  t.equal(await b, 9)
  await turns()
  t.notOk(third)
  pings.pong(bytes('c'), 20)
  t.equal(await c, 18)
})

await t.test('6455-5.5.3-pong-unsolicited: a Pong that repeats no Ping answers none', async (t) => {
  const pings = new Pings()
  pings.pong(bytes('x'), 0)
  const answered = pings.sent(bytes('a'), 0, undefined)
  pings.pong(bytes('x'), 1)
  pings.pong(bytes(''), 2)
  pings.pong(bytes('a'), 3)
  t.equal(await answered, 3)
})

await t.test('Pings that say the same are answered one by one', async (t) => {
  const pings = new Pings()
  const [first, second] = [pings.sent(bytes('a'), 0, undefined), pings.sent(bytes('a'), 1, undefined)]
  pings.pong(bytes('a'), 5)
  t.equal(await first, 5)
  pings.pong(bytes('a'), 7)
  t.equal(await second, 6)
})

await t.test('own payloads are four bytes that differ', async (t) => {
  const pings = new Pings()
  const seen = new Set(Array.from({ length: 1000 }, () => pings.nextPayload().toString('hex')))
  t.equal(seen.size, 1000)
  t.ok(seen.has('00000000'))
  t.ok(seen.has('000003e7'))
})

await t.test('P6: an aborted ping is over; its Pong still answers those before it', async (t) => {
  const pings = new Pings()
  const controller = new AbortController()
  const first = pings.sent(bytes('a'), 0, undefined)
  const aborted = pings.sent(bytes('b'), 0, controller.signal)
  controller.abort()
  await t.rejects(aborted, { name: 'AbortError' })
  pings.pong(bytes('b'), 4)
  t.equal(await first, 4)

  const late = new Pings()
  void late.sent(bytes('a'), 0, AbortSignal.abort())
  const other = late.sent(bytes('c'), 0, undefined)
  late.pong(bytes('a'), 1)
  late.pong(bytes('c'), 2)
  t.equal(await other, 2, 'the Pong to a Ping that nobody waits for any more answers nothing')
})

await t.test('P6: an aborted ping stands in the way of none that says the same', async (t) => {
  const pings = new Pings()
  const controller = new AbortController()
  void pings.sent(bytes('a'), 0, controller.signal)
  controller.abort()
  const again = pings.sent(bytes('a'), 1, undefined)
  pings.pong(bytes('a'), 5)
  t.equal(await again, 4)
})

await t.test('rejectAll ends all, and a late Pong is nothing', async (t) => {
  const pings = new Pings()
  const all = [pings.sent(bytes('a'), 0, undefined), pings.sent(bytes('b'), 0, undefined)]
  pings.rejectAll(new Error('closed'))
  for (const each of all) await t.rejects(each, new Error('closed'))
  pings.pong(bytes('b'), 1)
})
