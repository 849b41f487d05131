/**
 * `npm run attack [rows…]`: the attack matrix, row by row, each figure beside its bound; a letter stands for all its
 * rows. Exit code 1 when a size, a count or a duty misses.
 */
import { Ledger } from './ledger.ts'
import { rows } from './rows.ts'

const chosen = process.argv.slice(2)
const wanted = rows.filter(
  ({ id }) => chosen.length === 0 || chosen.includes(id) || chosen.includes(id.slice(0, 1)),
)
if (wanted.length === 0) throw new Error(`no such row; there are ${rows.map(({ id }) => id).join(', ')}`)

const line = (id: string, what: string, measured: string, bound: string, verdict: string): void =>
  console.log(`${id.padEnd(4)} ${what.padEnd(78)} ${measured.padStart(14)} ${bound.padStart(14)}  ${verdict}`)

line('row', '', 'measured', 'bound', '')
let missed = 0
for (const { id, attack, run } of wanted) {
  const ledger = new Ledger(false)
  const began = performance.now()
  await run(ledger).catch((error: unknown) => ledger.must(`it came to no end: ${String(error)}`, false))
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  line(id, attack, '', '', `${ledger.holds ? 'holds' : 'MISSES'}, in ${seconds} s`)
  for (const { what, measured, bound, verdict } of ledger.entries) line('', what, measured, bound, verdict)
  if (!ledger.holds) missed++
}
console.log(`${wanted.length - missed} of ${wanted.length} rows hold`)
// A row that came to no end may have left its server behind, which ends with us.
process.exit(missed > 0 ? 1 : 0)
