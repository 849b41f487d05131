import t from 'tap'
import { Buffer } from 'node:buffer'
import * as zlib from 'node:zlib'
import { Deflater, type DeflaterOptions } from '../../../lib/deflate/deflater.ts'
import { Inflater } from '../../../lib/deflate/inflater.ts'
import { Random } from '../../fuzz/random.ts'
import { StrictInflater } from '../../help/strict-inflater.ts'
import { compress, decompress, jsonOf, noise, textOf } from './samples.ts'

const nothing = Buffer.alloc(0)
const windows = [8, 9, 10, 11, 12, 13, 14, 15]

function deflater(options: Partial<DeflaterOptions> = {}): Deflater {
  return new Deflater({ windowBits: 15, noContextTakeover: false, level: 6, memLevel: 8, ...options })
}

/** By whichever way its length asks for. */
async function deflate(one: Deflater, message: Buffer): Promise<Buffer | undefined> {
  return one.isShort(message.length) ? one.deflate(message) : await one.deflateLong(message)
}

/** Messages of all kinds, some long. */
function* mixture(seed: number, count: number): Generator<Buffer> {
  const random = new Random('mixture', seed)
  for (let at = 0; at < count; at++) {
    const size = random.pick([random.below(50), random.below(600), random.below(5000)])
    yield random.pick([jsonOf(at), Buffer.from(textOf(size, at)), noise(size, at), Buffer.alloc(size, at)])
  }
  yield Buffer.from(textOf(33_000, 'one'))
  yield Buffer.from(textOf(33_000, 'one').slice(-3000))
  yield noise(40_000)
}

await t.test(
  '7692-7.2.1-raw-deflate, 7692-7.2.1-tail-removed, 7692-7.2.1-ends-with-empty-stored',
  async (t) => {
    const message = Buffer.from(textOf(1000))
    const payload = deflater().deflate(message)
    if (payload === undefined) throw new Error('text compresses')
    t.strictSame(decompress(payload), message)
    t.notOk(payload.subarray(-4).equals(Buffer.from([0, 0, 0xff, 0xff])))
  },
)

for (const windowBits of windows) {
  await t.test(
    `7692-7.1.2.1-server-obeys, 7692-7.1.2.2-client-obeys, 7692-7.2.1-window-max: distances within 2^${windowBits}, with takeover and without`,
    async (t) => {
      for (const takeover of [true, false]) {
        for (const level of [1, 6, 9]) {
          const one = deflater({ windowBits, noContextTakeover: !takeover, level })
          const strict = new StrictInflater(windowBits, takeover)
          for (const message of mixture(windowBits, 40)) {
            const payload = await deflate(one, message)
            if (payload === undefined) continue
            if (!strict.inflate(payload).equals(message))
              t.fail(`level ${level}, a message of ${message.length}`)
            if (payload.length >= message.length) t.fail('no gain')
          }
          t.ok(strict.farthest > 100 && strict.farthest <= 2 ** windowBits, `${strict.farthest} at most`)
        }
      }
    },
  )

  await t.test(
    `7692-7.1.2-window-8: 10 KiB both ways between our two sides, window ${windowBits}`,
    async (t) => {
      for (const noContextTakeover of [true, false]) {
        const one = deflater({ windowBits, noContextTakeover })
        const other = new Inflater(windowBits, noContextTakeover, 1_000_000)
        let compressed = 0
        const wrong: number[] = []
        for (const message of [Buffer.from(textOf(10_240)), ...mixture(windowBits, 30)]) {
          const payload = await deflate(one, message)
          if (payload === undefined) continue
          compressed++
          const inflated = await other.inflate([payload])
          if (!Buffer.isBuffer(inflated) || !inflated.equals(message)) wrong.push(message.length)
        }
        t.strictSame(wrong, [])
        t.ok(compressed > 5, `${compressed} of 31`)
      }
    },
  )
}

await t.test(
  '7692-7.1.1.1-server-obeys, 7692-7.1.1.2-client-obeys: without takeover equal messages are equal',
  async (t) => {
    const one = deflater({ noContextTakeover: true })
    const message = Buffer.from(textOf(500))
    const first = one.deflate(message)
    t.strictSame(one.deflate(message), first)
    one.adopt(message)
    t.strictSame(one.deflate(message), first, 'nothing can be taken over')
    const long = Buffer.from(textOf(50_000))
    t.strictSame(await one.deflateLong(long), await one.deflateLong(long))
  },
)

await t.test('7692-7.2.1-takeover-allowed: the second of two equal messages is shorter', async (t) => {
  const one = deflater()
  const message = Buffer.from(textOf(400))
  const first = one.deflate(message)
  const second = one.deflate(message)
  t.ok((second?.length ?? 99) < (first?.length ?? 0) / 3, `${first?.length} and ${second?.length}`)
})

await t.test(
  '7692-7.2.1-skipped-message-not-in-window: what gained nothing was never sent compressed',
  async (t) => {
    const one = deflater()
    const incompressible = noise(900)
    t.equal(one.deflate(incompressible), undefined)
    // Had it stayed in the window, this would be a few bytes.
    t.equal(one.deflate(incompressible), undefined)
    t.equal(await one.deflateLong(noise(40_000)), undefined)
    const strict = new StrictInflater(15, true)
    const message = Buffer.concat([incompressible, Buffer.from(textOf(3000))])
    t.strictSame(strict.inflate(one.deflate(message) ?? nothing), message)
  },
)

await t.test(
  'a short message looks back less far than a long one: it would cost more than it gains',
  async (t) => {
    for (const [size, reach] of [
      [100, 512],
      [200, 800],
      [1000, 2048],
    ] as const) {
      const twice = noise(size)
      const within = deflater()
      within.adopt(Buffer.concat([twice, noise(reach - size, 'between')]))
      const outside = deflater()
      outside.adopt(Buffer.concat([twice, noise(reach, 'between')]))
      const found = within.deflate(twice)
      t.ok(found !== undefined && found.length < 20, `${size} bytes within ${reach}: ${found?.length}`)
      t.equal(outside.deflate(twice), undefined, `${size} bytes beyond ${reach}`)
    }
  },
)

await t.test('7692-7.2.3.6-empty: an empty message gains nothing, so it goes as it is', async (t) => {
  t.equal(deflater().deflate(Buffer.alloc(0)), undefined)
  t.equal(deflater().deflateAlone(Buffer.alloc(0)), undefined)
})

await t.test(
  'the compressor looks back over 2 KiB, which any peer has; what is adopted is in its window',
  async (t) => {
    const one = deflater()
    const strict = new StrictInflater(15, true)
    const shared = Buffer.from(textOf(1500, 'shared'))
    const alone = await one.deflateAlone(shared)
    t.strictSame(strict.inflate(alone ?? nothing), shared)
    one.adopt(shared)
    const payload = one.deflate(shared)
    t.ok((payload?.length ?? 99) < 40, `${payload?.length} bytes`)
    t.strictSame(strict.inflate(payload ?? nothing), shared)
    t.strictSame(one.deflateAlone(shared), alone, 'alone it refers to nothing')
    for (let at = 0; at < 20; at++) {
      const message = Buffer.from(textOf(700, at))
      t.strictSame(strict.inflate(one.deflate(message) ?? nothing), message)
    }
  },
)

await t.test('long and short, and their border', async (t) => {
  const one = deflater()
  t.equal(one.isShort(32 * 1024), true)
  t.equal(one.isShort(32 * 1024 + 1), false)
  t.type(one.deflateAlone(Buffer.alloc(32 * 1024, 'a')), Buffer)
  const long = one.deflateAlone(Buffer.alloc(32 * 1024 + 1, 'a'))
  t.type(long, Promise)
  t.strictSame(decompress((await long) ?? nothing), Buffer.alloc(32 * 1024 + 1, 'a'))
})

await t.test('every level and memory level of zlib', async (t) => {
  for (let level = 0; level <= 9; level++) {
    for (let memLevel = 1; memLevel <= 9; memLevel++) {
      const one = deflater({ level, memLevel })
      const strict = new StrictInflater(15, true)
      for (const size of [20, 300, 300, 5000]) {
        const message = Buffer.from(textOf(size, level))
        const payload = one.deflate(message)
        if (level === 0) t.equal(payload, undefined, 'level 0 stores, and so gains nothing')
        else if (payload !== undefined && !strict.inflate(payload).equals(message))
          t.fail(`${level}, ${memLevel}`)
      }
    }
  }
})

await t.test('a compressed message that a peer compresses as we do', async (t) => {
  const message = Buffer.from(textOf(2000))
  t.strictSame(decompress(compress(message)), message)
})

await t.test('Z7: what waits for the thread pool when it was stopped is not done', async (t) => {
  const one = deflater()
  const waiting = one.deflateLong(Buffer.from(textOf(40_000)))
  one.stop()
  await waiting
  t.equal(await one.deflateLong(Buffer.from(textOf(40_000))), undefined)
})

await t.test('where zlib fails in the thread pool, the message goes as it is', async (t) => {
  const mocked = await t.mockImport<{ readonly Deflater: typeof Deflater }>(
    new URL('../../../lib/deflate/deflater.js', import.meta.url).href,
    {
      'node:zlib': {
        ...zlib,
        deflateRaw: (_input: unknown, _options: unknown, callback: (error: Error) => void) => {
          setImmediate(callback, new Error('no memory'))
        },
      },
    },
  )
  const one = new mocked.Deflater({ windowBits: 15, noContextTakeover: false, level: 6, memLevel: 8 })
  t.equal(await one.deflateLong(Buffer.alloc(50_000)), undefined)
  t.equal(await one.deflateAlone(Buffer.alloc(50_000)), undefined)
})
