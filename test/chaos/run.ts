/** `npm run chaos`: see the README. */
import { randomInt } from 'node:crypto'
import { argv } from 'node:process'
import { parseArgs } from 'node:util'
import { chaos } from './chaos.ts'

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    seed: { type: 'string', default: String(randomInt(0x7fffffff)) },
    messages: { type: 'string', default: '1000000' },
    only: { type: 'string' },
  },
})
const [seed, messages] = [number('seed', values.seed), number('messages', values.messages)]
const only = values.only === undefined ? {} : { only: number('only', values.only) }
console.log(`seed ${seed}`)

Error.stackTraceLimit = 0 // Thousands of errors are made that nobody looks at.
let shown = 0
const begin = performance.now()
const result = await chaos({
  seed,
  messages,
  ...only,
  onProgress(count) {
    if (count < shown + 1_000_000) return
    shown = count
    console.log(`${count} messages so far`)
  },
})
const seconds = ((performance.now() - begin) / 1000).toFixed(1)
const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .toSorted(([, one], [, other]) => other - one)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
console.log(`${result.connections} connections, ${result.failed} of them failed to open`)
console.log(`${result.messages} messages arrived, in ${seconds} s`)
console.log(`ends: ${result.clean} clean, ${result.unclean} not clean (${list(result.triggers)})`)
console.log(`cuts: ${list(result.cuts)}`)
for (const { connection, fault } of result.violations) {
  const replay = connection < 0 ? '' : `\n  replay: npm run chaos -- --seed ${seed} --only ${connection}`
  console.log(`VIOLATION connection ${connection}: ${fault}${replay}`)
}
console.log(`violations = ${result.violations.length}`)
if (result.violations.length > 0) process.exitCode = 1

function number(name: string, text: string): number {
  if (!/^[0-9]+$/.test(text)) throw new TypeError(`--${name} wants a number, not ${text}`)
  return Number(text)
}
