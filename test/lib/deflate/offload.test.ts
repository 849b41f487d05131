import t from 'tap'
import { offload } from '../../../lib/deflate/offload.ts'
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
