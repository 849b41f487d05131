import t from 'tap'
import { Buffer } from 'node:buffer'
import * as zlib from 'node:zlib'
import { Allowance } from '../../../lib/deflate/allowance.ts'
import { type Inflated, Inflater } from '../../../lib/deflate/inflater.ts'
import { offloadAtLeisure } from '../../../lib/deflate/offload.ts'
import { Random } from '../../fuzz/random.ts'
import { until, watchProcess } from '../../help/loop.ts'
import { vectors } from '../../vectors/vectors.ts'
import { compress, jsonOf, noise, textOf } from './samples.ts'

const { constants, deflateRawSync } = zlib
const mebibyte = 1024 * 1024
const hello = Buffer.from('Hello')

interface Options {
  readonly windowBits?: number
  readonly takeover?: boolean
  readonly maxSize?: number
  /** Default: it never ends. */
  readonly turn?: Allowance
}

function inflater(options: Options = {}): Inflater {
  const { windowBits = 15, takeover = true, maxSize = 16 * mebibyte, turn = allowance() } = options
  return new Inflater(windowBits, !takeover, maxSize, turn)
}

function hex(bytes: string): Buffer[] {
  return [Buffer.from(bytes.replaceAll(' ', ''), 'hex')]
}

/** The answer, which is to come at once. */
function atOnce(answer: Inflated | Promise<Inflated>): Inflated {
  if (answer instanceof Promise) throw new Error('not at once')
  return answer
}

/** Time stands still in it, or passes at a step each time that it is asked for. */
function allowance(step = 0): Allowance {
  let now = 0
  return new Allowance(() => (now += step))
}

/** A final stored block. */
function final(bytes: Uint8Array): Buffer {
  const block = Buffer.concat([Buffer.from([0x01, 0, 0, 0, 0]), bytes])
  block.writeUInt16LE(bytes.length, 1)
  block.writeUInt16LE(0xffff ^ bytes.length, 3)
  return block
}

await t.test('7692-7.2.2-inflate: in one piece, in many, with every kind of block', async (t) => {
  t.strictSame(inflater().inflate(hex('f248cdc9c90700')), hello, '7692-7.2.1-raw-deflate')
  t.strictSame(
    inflater().inflate(Array.from(hex('f248cdc9c90700')[0] ?? [], (byte) => Buffer.from([byte]))),
    hello,
  )
  t.strictSame(inflater().inflate(hex('000500faff48656c6c6f00')), hello, '7692-7.2.1-any-block-type: stored')
  t.strictSame(inflater().inflate(hex('f24805000000ffffcac9c90700')), hello, '7692-7.2.1-multiple-blocks')
  const text = Buffer.from(textOf(9000))
  t.strictSame(inflater().inflate([compress(text)]), text, 'dynamic')
  t.strictSame(
    inflater().inflate([compress(text, undefined, { strategy: constants.Z_FIXED })]),
    text,
    'fixed',
  )
})

await t.test('7692-7.2.3.6-empty, Z3: as 00, as other blocks, and what follows it', async (t) => {
  const one = inflater()
  const empty = Buffer.alloc(0)
  t.strictSame(one.inflate(hex('00')), empty)
  t.strictSame(one.inflate(hex('f248cdc9c90700')), hello)
  t.strictSame(one.inflate(hex('00')), empty)
  t.strictSame(one.inflate(hex('f200110000')), hello, 'the window is as it was')
  t.strictSame(one.inflate(hex('0200')), empty, 'a fixed block')
  t.strictSame(
    inflater().inflate(hex('f248cdc9c907000000ffff 00')),
    hello,
    '7692-7.2.3.6-empty-final-fragment',
  )
  t.strictSame(one.inflate(hex('030000')), empty, 'a final block')
  t.equal(one.inflate([]), 'corrupt', 'nothing at all is no block')
  t.equal(one.inflate(hex('0300')), 'corrupt', 'nor is there one behind the final block')
})

await t.test('7692-7.2.2-window-kept: one stream of a peer, each message with all before it', async (t) => {
  for (const windowBits of [9, 10, 12, 15]) {
    const one = inflater({ windowBits })
    let sent = Buffer.alloc(0)
    const random = new Random('takeover', windowBits)
    const wrong: number[] = []
    for (let at = 0; at < 150; at++) {
      const message = random.once(10)
        ? noise(random.below(2000), at)
        : at % 3 === 0
          ? Buffer.from(textOf(random.below(6000), at))
          : jsonOf(at)
      const payload = compress(message, sent.subarray(-(2 ** windowBits)), { windowBits })
      const inflated = await one.inflate([payload])
      if (!Buffer.isBuffer(inflated) || !inflated.equals(message)) wrong.push(at)
      sent = Buffer.concat([sent, message])
    }
    t.strictSame(wrong, [], `window ${windowBits}`)
  }
})

await t.test('7692-7.1.1-no-takeover-peer: each message by itself, and none refers to another', async (t) => {
  const one = inflater({ takeover: false })
  t.strictSame(one.inflate(hex('f248cdc9c90700')), hello)
  t.strictSame(one.inflate(hex('f248cdc9c90700')), hello)
  t.equal(one.inflate(hex('f200110000')), 'corrupt', 'a distance back into the message before')
})

await t.test('7692-7.1.2-peer-window: what lies behind the agreed window is gone', async (t) => {
  const first = noise(600)
  const payload = compress(first.subarray(0, 100), first)
  const wide = inflater({ windowBits: 10 })
  t.strictSame([wide.inflate([compress(first)]), wide.inflate([payload])], [first, first.subarray(0, 100)])
  const narrow = inflater({ windowBits: 9 })
  t.strictSame([narrow.inflate([compress(first)]), narrow.inflate([payload])], [first, 'corrupt'])
})

await t.test(
  '7692-7.2.1-bfinal-then-more, 7692-7.2.1-bfinal-padding, 7692-7.2.3.4-bfinal: a final block ends neither message nor window',
  async (t) => {
    const one = inflater()
    const first = Buffer.from(textOf(3000))
    t.strictSame(one.inflate([deflateRawSync(first), Buffer.from([0])]), first)
    const second = Buffer.concat([first, Buffer.from('more'), first])
    const parts = [
      deflateRawSync(first, { dictionary: first }),
      final(Buffer.from('more')),
      compress(first, Buffer.concat([first, first, Buffer.from('more')])),
    ]
    t.strictSame(one.inflate(parts), second, 'the window goes on behind a final block')
    t.strictSame(one.inflate([compress('next', Buffer.concat([first, second]))]), Buffer.from('next'))

    const long = Buffer.from(textOf(40_000))
    const two = inflater()
    t.strictSame(
      await two.inflate([deflateRawSync(long), compress(long, long.subarray(-32768))]),
      Buffer.concat([long, long]),
    )
    t.strictSame(
      inflater({ maxSize: 5 }).inflate([final(hello), Buffer.from([0])]),
      hello,
      'exactly as long as it may be',
    )
    t.equal(
      inflater({ maxSize: 5 }).inflate([final(hello), final(Buffer.from('!')), Buffer.from([0])]),
      'too-big',
    )
    t.equal(inflater({ maxSize: 6 }).inflate([final(hello), final(hello)]), 'too-big')
  },
)

await t.test('Z3: as many final blocks as anybody needs, and no more', async (t) => {
  const blocks = (count: number): Buffer[] => [
    ...Array.from({ length: count }, () => final(Buffer.from('a'))),
    Buffer.from([0]),
  ]
  t.strictSame(inflater().inflate(blocks(63)), Buffer.alloc(63, 'a'))
  t.equal(inflater().inflate(blocks(64)), 'corrupt')

  let calls = 0
  const counted = await t.mockImport<{ readonly Inflater: typeof Inflater }>(
    new URL('../../../lib/deflate/inflater.js', import.meta.url).href,
    {
      'node:zlib': {
        ...zlib,
        inflateRawSync: (...given: Parameters<typeof zlib.inflateRawSync>) => {
          calls++
          return zlib.inflateRawSync(...given)
        },
        inflateRaw: (...given: Parameters<typeof zlib.inflateRaw>) => {
          calls++
          zlib.inflateRaw(...given)
        },
      },
    },
  )
  for (const [count, how] of [
    [2500, 'at once'],
    [200_000, 'in the thread pool'],
  ] as const) {
    calls = 0
    t.equal(await new counted.Inflater(15, false, 16 * mebibyte).inflate(blocks(count)), 'corrupt', how)
    t.equal(calls, 64, 'calls of zlib, one a block')
  }
})

await t.test(
  '7692-7.2.2-corrupt-fails: what is no stream, what is cut, what has a tail too many',
  async (t) => {
    for (const bytes of [
      '07',
      'ffffffff',
      '789cf348cdc9c90700',
      'f248cdc9',
      'f248cdc9c907000000ffff',
      '000500faff4865',
    ])
      t.equal(atOnce(inflater().inflate(hex(bytes))), 'corrupt', bytes)
    // The bytes that stand in for the tail must not pass for the end of a block that was cut short.
    for (const missing of [1, 2, 3, 5, 6, 7, 8]) {
      const block = final(Buffer.alloc(missing + 9, 'a')).subarray(0, -missing)
      t.equal(atOnce(inflater().inflate([block])), 'corrupt', `${missing} bytes of a final block are missing`)
    }
    const long = compress(noise(100_000))
    t.equal(await inflater().inflate([long.subarray(0, -100)]), 'corrupt', 'in the thread pool')
    const one = inflater()
    t.strictSame(one.inflate(hex('f248cdc9c90700')), hello)
    t.equal(one.inflate(hex('07')), 'corrupt')
    t.strictSame(one.inflate(hex('f200110000')), hello, 'nothing of it stays in the window')
  },
)

await t.test(
  'Z4: 10,000 corrupt streams are corrupt, too big or a message, and nothing is thrown',
  async (t) => {
    const watch = watchProcess()
    const random = new Random('corrupt')
    const good = Array.from({ length: 20 }, (_, at) => compress(at % 2 === 0 ? textOf(400, at) : jsonOf(at)))
    const counts = { corrupt: 0, 'too-big': 0, message: 0 }
    for (let round = 0; round < 10_000; round++) {
      const stream = random.once(4)
        ? Buffer.from(random.bytes(random.below(200)))
        : Buffer.from(good[random.below(good.length)] ?? [])
      for (let flips = random.below(4) + 1; flips > 0 && stream.length > 0; flips--) {
        const at = random.below(stream.length)
        stream[at] = (stream[at] ?? 0) ^ (1 << random.below(8))
      }
      const inflated = await inflater({ maxSize: 2000, takeover: round % 2 === 0 }).inflate([stream])
      counts[typeof inflated === 'string' ? inflated : 'message']++
    }
    t.ok(counts.corrupt > 5000, JSON.stringify(counts))
    t.strictSame(await watch.stop(), [])
  },
)

await t.test(
  '6455-10.4-inflated-limit: the limit is that of the message inflated, to the byte',
  async (t) => {
    // Both sides of the border between what is done at once and what is done in the thread pool.
    for (const size of [1, 1024, 131_071, 131_072, 131_073, 300_000, mebibyte]) {
      for (const sample of [Buffer.alloc(size, 'a'), Buffer.from(textOf(size))]) {
        const payload = compress(sample)
        for (const maxSize of [size, size + 1]) {
          const inflated = await inflater({ maxSize }).inflate([payload])
          t.ok(Buffer.isBuffer(inflated) && inflated.equals(sample), `${size} of ${maxSize}`)
        }
        if (size > 1)
          t.equal(
            await inflater({ maxSize: size - 1 }).inflate([payload]),
            'too-big',
            `${size} of ${size - 1}`,
          )
        else t.equal(await inflater({ maxSize: 1 }).inflate([compress('ab')]), 'too-big')
      }
    }
  },
)

await t.test('Z1: a bomb is given up at the limit', async (t) => {
  const bomb = compress(Buffer.alloc(64 * mebibyte))
  t.equal(await inflater({ maxSize: mebibyte }).inflate([bomb]), 'too-big')
  const small = compress(Buffer.alloc(2 * mebibyte))
  t.equal(
    await inflater({ maxSize: mebibyte }).inflate([small]),
    'too-big',
    'begun at once, ended in the pool',
  )
  t.equal(atOnce(inflater({ maxSize: 1000 }).inflate([small])), 'too-big', 'at once where the limit is low')
})

await t.test(
  'short ones at once, long ones in the thread pool, whichever the window has them from',
  async (t) => {
    // 16 KiB of input, with the six bytes that are added; 128 KiB of output.
    const incompressible = (size: number): Buffer => compress(noise(size), undefined, { level: 0 })
    t.type(inflater().inflate([incompressible(16_370)]), Buffer)
    t.type(inflater().inflate([incompressible(16_400)]), Promise)
    t.type(inflater().inflate([compress(Buffer.alloc(128 * 1024))]), Buffer)
    t.type(inflater().inflate([compress(Buffer.alloc(128 * 1024 + 1))]), Promise)

    const one = inflater()
    const long = noise(50_000)
    t.strictSame(await one.inflate([compress(long)]), long)
    t.strictSame(
      one.inflate([compress(long.subarray(-20_000), long.subarray(-32768))]),
      long.subarray(-20_000),
    )
    const longer = Buffer.concat([long.subarray(-20_000), Buffer.alloc(200_000, 'x')])
    t.strictSame(
      await one.inflate([compress(longer, Buffer.concat([long, long.subarray(-20_000)]).subarray(-32768))]),
      longer,
    )
  },
)

await t.test(
  'Z1: room for what a message most likely becomes, and never much more than its limit',
  async (t) => {
    const chunks: (number | undefined)[] = []
    const watched = await t.mockImport<{ readonly Inflater: typeof Inflater }>(
      new URL('../../../lib/deflate/inflater.js', import.meta.url).href,
      {
        'node:zlib': {
          ...zlib,
          inflateRawSync: (input: Buffer, options: zlib.ZlibOptions) => {
            chunks.push(options.chunkSize)
            return zlib.inflateRawSync(input, options)
          },
          inflateRaw: (input: Buffer, options: zlib.ZlibOptions, callback: zlib.CompressCallback) => {
            chunks.push(options.chunkSize)
            zlib.inflateRaw(input, options, callback)
          },
        },
      },
    )
    const chunkFor = async (message: Buffer): Promise<number> => {
      chunks.length = 0
      t.strictSame(await new watched.Inflater(15, false, 16 * mebibyte).inflate([compress(message)]), message)
      const [chunk = 0] = chunks
      t.equal(chunks.length, 1)
      return chunk
    }
    t.equal(await chunkFor(hello), 1024)
    const text = Buffer.from(textOf(mebibyte))
    t.ok((await chunkFor(text.subarray(0, 16 * 1024))) > 16 * 1024)
    t.ok((await chunkFor(text)) > mebibyte)
    t.equal(await chunkFor(noise(2 * mebibyte)), mebibyte + 1024)
  },
)

await t.test('Z10: what is too much for one turn waits for the next', async (t) => {
  const turn = allowance(5)
  const waiting = inflater({ turn }).inflate(hex('f248cdc9c90700'))
  t.type(waiting, Promise)
  const bomb = inflater({ turn, maxSize: mebibyte }).inflate([compress(Buffer.alloc(2 * mebibyte))])
  t.type(bomb, Promise)
  t.strictSame(await waiting, hello)
  t.equal(await bomb, 'too-big', 'and then maybe for the thread pool')
})

await t.test('Z8: the window of a peer that is silent for ten beats is kept compressed', async (t) => {
  const one = inflater()
  const text = Buffer.from(textOf(40_000))
  await one.inflate([compress(text)])
  for (let beat = 0; beat < 9; beat++) one.beat()
  t.equal(one.held, 36 * 1024)
  t.strictSame(await one.inflate([compress(jsonOf(1), text.subarray(-32768))]), jsonOf(1))
  for (let beat = 0; beat < 9; beat++) one.beat()
  t.equal(one.held, 36 * 1024, 'a message breaks the silence')
  one.beat()
  await until(() => one.held < 16 * 1024)
  const sent = Buffer.concat([text, jsonOf(1)]).subarray(-32768)
  const next = Buffer.from(textOf(20_000).slice(-2000))
  t.strictSame(await one.inflate([compress(next, sent)]), next, 'the window is as it was')
  const none = inflater({ takeover: false })
  none.beat()
  t.equal(none.held, 0)
})

await t.test('Z8: a window that is wanted while the thread pool compresses it stays as it is', async (t) => {
  const one = inflater()
  const text = Buffer.from(textOf(40_000))
  await one.inflate([compress(text)])
  for (let beat = 0; beat < 10; beat++) one.beat()
  const message = Buffer.from(textOf(20_000).slice(-2000))
  t.strictSame(one.inflate([compress(message, text.subarray(-32768))]), message)
  await offloadAtLeisure(() => Promise.resolve())
  t.equal(one.held, 36 * 1024)
  const window = Buffer.concat([text, message]).subarray(-32768)
  t.strictSame(one.inflate([compress(jsonOf(1), window)]), jsonOf(1))
})

await t.test('Z7: nothing more is done for one that was stopped', async (t) => {
  const bomb = compress(Buffer.alloc(64 * mebibyte))
  inflater().stop()
  const inPool = inflater({ maxSize: 64 * mebibyte })
  const answer = inPool.inflate([bomb])
  inPool.stop()
  t.type(await answer, 'string')

  // Behind others: what waits for its turn lets go of its input at once.
  const others = [1, 2, 3].map(() => inflater({ maxSize: 64 * mebibyte }).inflate([bomb]))
  const last = inflater()
  const given = last.inflate([noise(100_000)])
  last.stop()
  for (const other of others) t.type(await other, Buffer)
  t.equal(await given, 'corrupt')

  const later = inflater({ turn: allowance(5) })
  const waiting = later.inflate(hex('f248cdc9c90700'))
  later.stop()
  t.strictSame(await waiting, Buffer.alloc(0))
})

await t.test('the compression vectors have what they say', async (t) => {
  t.equal(vectors.vectors.filter((vector) => vector.options?.deflate !== undefined).length, 123)
})
