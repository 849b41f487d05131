/** The rows of the attack matrix that are quick and that no load on the machine disturbs; all: `npm run attack`. */
import t from 'tap'
import { Ledger } from './ledger.ts'
import { rows } from './rows.ts'

for (const { id, attack, cheap, run } of rows) {
  if (cheap !== true) continue
  await t.test(`${id}: ${attack}`, async (t) => {
    const ledger = new Ledger(true)
    await run(ledger)
    t.not(ledger.entries.length, 0)
    for (const { what, measured, bound, verdict } of ledger.entries)
      t.not(verdict, 'MISSES', measured === '' ? what : `${what}: ${measured} of ${bound}`)
  })
}

t.test('each row of the matrix stands once', async (t) => {
  const ids = rows.map(({ id }) => id)
  t.equal(new Set(ids).size, ids.length)
})
