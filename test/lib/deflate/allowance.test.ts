import t from 'tap'
import { Allowance } from '../../../lib/deflate/allowance.ts'
import { turns } from '../../help/loop.ts'

await t.test('Z10: as much as fits into some milliseconds, and again in the next turn', async (t) => {
  let now = 0
  const allowance = new Allowance(() => now)
  t.equal(allowance.take(), true)
  now = 4.9
  t.equal(allowance.take(), true)
  now = 5
  t.equal(allowance.take(), false)
  await turns()
  t.equal(allowance.take(), true)
  now = 9.9
  t.equal(allowance.take(), true)
  await turns(2)
})

await t.test(
  'Z10: those who wait are served in their order, each turn as many as it has time for',
  async (t) => {
    let now = 0
    const allowance = new Allowance(() => now)
    const served: number[] = []
    allowance.take()
    now += 5
    for (let each = 0; each < 6; each++) {
      t.equal(allowance.take(), false)
      allowance.wait(() => {
        served.push(each)
        now += 3
      })
    }
    t.strictSame(served, [])
    await turns()
    t.strictSame(served, [0, 1])
    t.equal(allowance.take(), false, 'who comes now waits behind the others')
    await turns()
    t.strictSame(served, [0, 1, 2, 3])
    await turns()
    t.strictSame(served, [0, 1, 2, 3, 4, 5])
    await turns()
    t.equal(allowance.take(), true)
    await turns()
  },
)
