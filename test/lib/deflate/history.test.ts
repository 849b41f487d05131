import t from 'tap'
import { Buffer } from 'node:buffer'
import { History } from '../../../lib/deflate/history.ts'
import * as offloading from '../../../lib/deflate/offload.ts'
import { Random } from '../../fuzz/random.ts'
import { noise, textOf } from './samples.ts'

await t.test('7692-7.2.2-window-kept: the latest bytes at every boundary', async (t) => {
  const wrong: string[] = []
  for (const reach of [1, 2, 8, 9, 100, 256, 1024, 1100]) {
    const sizes = [0, 1, 2, reach - 1, reach, reach + 1, 2 * reach, 3, 0, reach - 1, 1, 1, reach >> 1]
    for (let first = 0; first < sizes.length; first++) {
      const history = new History(reach)
      let all = Buffer.alloc(0)
      for (const size of [...sizes.slice(first), ...sizes]) {
        const bytes = noise(size, all.length)
        history.append(bytes)
        all = Buffer.concat([all, bytes])
        if (!history.latest.equals(all.subarray(-reach))) wrong.push(`reach ${reach}, ${all.length} bytes`)
      }
    }
  }
  t.strictSame(wrong, [])
})

await t.test('7692-7.2.2-window-32768: 32 KiB in pieces of every kind', async (t) => {
  const random = new Random('history')
  const history = new History(32768)
  const all = noise(400_000)
  const wrong: number[] = []
  for (let at = 0; at < all.length;) {
    const size = random.pick([0, 1, random.below(200), random.below(5000), random.below(70_000), 32768])
    history.append(all.subarray(at, at + size))
    at = Math.min(all.length, at + size)
    if (!history.latest.equals(all.subarray(Math.max(0, at - 32768), at))) wrong.push(at)
  }
  t.strictSame(wrong, [])
})

await t.test(
  'Z8: what is not wanted for long is kept compressed, and is what it was when it is wanted again',
  async (t) => {
    for (const size of [8 * 1024, 20_000, 32768, 36_000, 100_000]) {
      for (const wanted of ['latest', 'append'] as const) {
        const text = Buffer.from(textOf(size))
        const history = new History(32768)
        history.append(text)
        t.ok(history.packable)
        await history.pack()
        t.ok(history.held < 0.4 * Math.min(size, 32768), `${history.held} bytes of ${size}`)
        t.notOk(history.packable, 'not again')
        if (wanted === 'append') history.append(Buffer.from('more'))
        const all = wanted === 'append' ? Buffer.concat([text, Buffer.from('more')]) : text
        t.strictSame(history.latest, all.subarray(-32768))
        t.ok(history.packable, 'again')
      }
    }
  },
)

await t.test(
  'Z8: what is wanted before it has been compressed, or while it is, stays as it is',
  async (t) => {
    for (const wanted of ['latest', 'append'] as const) {
      for (const begun of [false, true]) {
        const history = new History(32768)
        const text = Buffer.from(textOf(40_000))
        history.append(text)
        const more = wanted === 'append' ? noise(5000) : Buffer.alloc(0)
        const packing = history.pack()
        // Three turns of the promises that lead to the thread pool.
        if (begun) for (let turn = 0; turn < 3; turn++) await Promise.resolve()
        if (wanted === 'append') history.append(more)
        else t.equal(history.latest.length, 32768)
        t.ok(history.packable, 'again')
        const second = history.pack()
        await packing
        t.equal(history.held, 36 * 1024, `${wanted}, ${begun ? 'begun' : 'not begun'}`)
        await second
        t.ok(history.held < 20_000, `then it is: ${history.held} bytes`)
        t.strictSame(history.latest, Buffer.concat([text, more]).subarray(-32768))
      }
    }
  },
)

await t.test('Z8: where zlib fails it stays as it is', async (t) => {
  const mocked = await t.mockImport<{ readonly History: typeof History }>(
    new URL('../../../lib/deflate/history.js', import.meta.url).href,
    {
      [new URL('../../../lib/deflate/offload.js', import.meta.url).href]: {
        ...offloading,
        deflateInPool: () => Promise.resolve(undefined),
      },
    },
  )
  const history = new mocked.History(32768)
  const text = Buffer.from(textOf(40_000))
  history.append(text)
  await history.pack()
  t.equal(history.held, 36 * 1024)
  t.strictSame(history.latest, text.subarray(-32768))
})

await t.test('Z8: what would gain little is kept as it is', async (t) => {
  const short = new History(32768)
  short.append(Buffer.from(textOf(8 * 1024 - 1)))
  t.notOk(short.packable)
  const history = new History(32768)
  const bytes = noise(40_000)
  history.append(bytes)
  await history.pack()
  t.equal(history.held, 36 * 1024)
  t.notOk(history.packable, 'it is not tried again before something is wanted')
  t.strictSame(history.latest, bytes.subarray(-32768))
})

await t.test('Z8: an idle history holds no more than an eighth above its reach', async (t) => {
  const history = new History(32768)
  t.equal(history.held, 0, 'none before the first message')
  history.append(noise(10))
  t.equal(history.held, 1024)
  for (let at = 0; at < 3000; at++) history.append(noise(100, at))
  t.equal(history.held, 36 * 1024)
  history.append(noise(1_000_000))
  t.equal(history.held, 36 * 1024)
})
