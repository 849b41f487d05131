import t from 'tap'
import { Budget, unfinishedMessages } from '../../lib/budget.ts'

const mebibyte = 1024 * 1024

await t.test('D4: what is charged is counted, up to the limit and not beyond', async (t) => {
  const budget = new Budget(100)
  t.equal(budget.used, 0)
  t.equal(budget.charge(60), true)
  t.equal(budget.charge(41), false)
  t.equal(budget.used, 60, 'what is refused is not charged')
  t.equal(budget.charge(40), true)
  t.equal(budget.charge(1), false)
  budget.release(30)
  t.equal(budget.used, 70)
  t.equal(budget.charge(30), true)
})

await t.test(
  'D10: a larger maxMessageSize makes room for four such messages, a smaller one takes none',
  async (t) => {
    const budget = new Budget(100)
    budget.admit(50)
    t.equal(budget.charge(200), true)
    t.equal(budget.charge(1), false)
    budget.admit(10)
    budget.release(200)
    t.equal(budget.charge(200), true)
  },
)

await t.test('D10: the process has 64 MiB for unfinished messages', async (t) => {
  t.equal(unfinishedMessages.used, 0)
  t.equal(unfinishedMessages.charge(64 * mebibyte), true)
  t.equal(unfinishedMessages.charge(1), false)
  unfinishedMessages.release(64 * mebibyte)
})
