// npm run mutate [files]: mutates frames/, the close machine and some more of lib/, and compares what survives with survivors.json. Each
// file has only its own tests to kill its mutants with: what it leaves to the tests of others it does not test.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { choose, instrument } from './mutants.js'
import { Sandbox } from './sandbox.js'

const frames = 'opcode close-code violation header rules simd mask utf8 close-payload encoder decoder'
const closing = 'close-info closing lifecycle'
const others = 'url header-list handshake peer-watch'
const every = [
  ...frames.split(' ').map((name) => `frames/${name}.ts`),
  ...`${closing} ${others}`.split(' ').map((name) => `lib/${name}.ts`),
]
/** How many percent are to be killed: of all, and of each file, which may be one of few mutants. */
const leastScore = 90
const leastFileScore = 85

process.chdir(fileURLToPath(new URL('../..', import.meta.url)))
const files = process.argv.length > 2 ? process.argv.slice(2) : every
const reasons = JSON.parse(readFileSync(new URL('survivors.json', import.meta.url), 'utf8'))
const sandboxes = Array.from({ length: availableParallelism() }, () => new Sandbox())
process.on('exit', () => {
  for (const sandbox of sandboxes) sandbox.remove()
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
const begin = performance.now()

/** Runs the tests of a file on each of its mutants: how many there are, how many were killed by time, what survives. */
async function mutate(file) {
  const { content, mutants } = await instrument(file, readFileSync(file, 'utf8'))
  const code = sandboxes[0].compile(file, content)
  for (const sandbox of sandboxes) sandbox.put(file, choose(code))
  if ((await sandboxes[0].test(file)) !== 'passed')
    throw new Error(`the tests of ${file} fail without a mutant`)
  const survivors = []
  let byTime = 0
  let next = 0
  await Promise.all(
    sandboxes.map(async (sandbox) => {
      while (next < mutants.length) {
        const mutant = mutants[next++]
        if (next % 50 === 0) console.log(`  ${next} of ${mutants.length}, ${since(begin)} s`)
        sandbox.put(file, choose(code, mutant.id))
        const end = await sandbox.test(file)
        if (end === 'passed') survivors.push(mutant)
        if (end === 'time') byTime++
      }
      sandbox.put(file, choose(code))
    }),
  )
  return { count: mutants.length, byTime, survivors: survivors.toSorted((a, b) => a.at - b.at) }
}

function since(time) {
  return Math.round((performance.now() - time) / 1000)
}

/** Rounded down, so that what is below a bound is shown below it. */
function percent(part, whole) {
  return Math.floor((1000 * part) / whole) / 10
}

function keyOf({ line, code, replacement }) {
  return JSON.stringify({ line, code, replacement })
}

const table = [['file', 'mutants', 'killed', 'by time', 'survive', 'without a reason', 'score, %']]
let total = 0
let totalKilled = 0
let good = true
for (const file of files) {
  console.log(file)
  const { count, byTime, survivors } = await mutate(file)
  const expected = new Set((reasons[file] ?? []).map(keyOf))
  const found = new Set(survivors.map(keyOf))
  const unexplained = survivors.filter((survivor) => !expected.has(keyOf(survivor)))
  const dead = [...expected].filter((key) => !found.has(key))
  for (const survivor of unexplained) console.log(`  NEW, line ${survivor.at}: ${keyOf(survivor)}`)
  for (const key of dead) console.log(`  DEAD, take it off the list: ${key}`)

  const killed = count - survivors.length
  total += count
  totalKilled += killed
  const score = percent(killed, count)
  if (unexplained.length > 0 || dead.length > 0 || score < leastFileScore) good = false
  table.push([file, ...[count, killed, byTime, survivors.length, unexplained.length, score].map(String)])
}

const score = percent(totalKilled, total)
if (score < leastScore) good = false
console.log(`after ${since(begin)} s:`)
const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)))
for (const [name, ...numbers] of table) {
  const cells = numbers.map((number, index) => number.padStart(widths[index + 1]))
  console.log([name.padEnd(widths[0]), ...cells].join('  '))
}
console.log(`${totalKilled} of ${total} mutants killed, ${score} %: ${good ? 'passed' : 'FAILED'}`)
if (!good) process.exitCode = 1
