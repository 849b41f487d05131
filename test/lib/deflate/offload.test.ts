import t from 'tap'
import { Buffer } from 'node:buffer'
import * as zlib from 'node:zlib'
import { deflateInPool, offload, offloadAtLeisure } from '../../../lib/deflate/offload.ts'
import { turns } from '../../help/loop.ts'

await t.test('Z10: two at once, the others in the order in which they came', async (t) => {
  const begun: number[] = []
  const finish: (() => void)[] = []
  const results = [0, 1, 2, 3, 4].map((each) =>
    offload(async () => {
      begun.push(each)
      await new Promise<void>((resolve) => finish.push(resolve))
      return each
    }),
  )
  await turns()
  t.strictSame(begun, [0, 1])
  finish[1]?.()
  t.equal(await results[1], 1)
  await turns()
  t.strictSame(begun, [0, 1, 2])
  for (let each = 0; each < 5; each++) {
    finish[each]?.()
    await turns()
  }
  t.strictSame(await Promise.all(results), [0, 1, 2, 3, 4])
  t.strictSame(begun, [0, 1, 2, 3, 4])
})

await t.test('work that fails gives its place back', async (t) => {
  const failing = (): Promise<never> => Promise.reject(new Error('no'))
  for (let times = 0; times < 5; times++) await t.rejects(offload(failing), { message: 'no' })
  t.strictSame(await Promise.all([1, 2, 3].map((each) => offload(() => Promise.resolve(each)))), [1, 2, 3])
})

await t.test('Z8: what nobody waits for is done one at a time, and is in the way of no more', async (t) => {
  const begun: string[] = []
  const finish: (() => void)[] = []
  const work = async (name: string): Promise<void> => {
    begun.push(name)
    await new Promise<void>((resolve) => finish.push(resolve))
  }
  const idle = ['first', 'second', 'third'].map((each) => offloadAtLeisure(() => work(each)))
  await turns()
  t.strictSame(begun, ['first'])
  const urgent = [1, 2].map((each) => offload(() => work(`message ${each}`)))
  await turns()
  t.strictSame(begun, ['first', 'message 1'])
  finish[0]?.()
  await turns()
  t.strictSame(begun, ['first', 'message 1', 'message 2'], 'the messages come before the second')
  for (let each = 1; each < 5; each++) {
    finish[each]?.()
    await turns()
  }
  await Promise.all([...idle, ...urgent])
  t.strictSame(begun, ['first', 'message 1', 'message 2', 'second', 'third'])
})

await t.test(
  'what comes out of the thread pool, and nothing where zlib fails or cannot even begin',
  async (t) => {
    const bytes = Buffer.from('again and again and again')
    t.strictSame(await deflateInPool(bytes, {}), zlib.deflateRawSync(bytes))
    const failures: ((...given: [unknown, unknown, callback: (error: Error) => void]) => void)[] = [
      (_input, _options, callback) => void setImmediate(callback, new Error('no memory')),
      () => {
        throw new RangeError('Array buffer allocation failed')
      },
    ]
    for (const deflateRaw of failures) {
      const mocked = await t.mockImport<{ readonly deflateInPool: typeof deflateInPool }>(
        new URL('../../../lib/deflate/offload.js', import.meta.url).href,
        { 'node:zlib': { ...zlib, deflateRaw } },
      )
      t.equal(await mocked.deflateInPool(bytes, {}), undefined)
    }
  },
)
