/**
 * The fuzzer: node .build/test/fuzz/run.js, after npm run compile.
 *
 *     --seconds 30     how long to run; 10 unless told
 *     --cases 1000     so many inputs of each target instead
 *     --seed 1         where to begin; random unless told
 *     --target bytes   only this target; may be given more than once
 *     --case 17        only input number 17 of the seed and the target
 *     --hex 0000…      only this input
 *     --add NAME       keep the input of --hex in the corpus, with the comment of --note
 *
 * Exits with 1 as soon as an input fails, and says how to see it again.
 */
import { Buffer } from 'node:buffer'
import { randomInt } from 'node:crypto'
import { argv, exit } from 'node:process'
import { parseArgs } from 'node:util'
import { addToCorpus, parseHex, readCorpus } from './corpus.ts'
import { frameTargets } from './frames.ts'
import { describe, makeInput, type Target, tryInput } from './target.ts'

const allTargets = frameTargets()

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    seconds: { type: 'string' },
    cases: { type: 'string' },
    seed: { type: 'string' },
    target: { type: 'string', multiple: true },
    case: { type: 'string' },
    hex: { type: 'string' },
    add: { type: 'string' },
    note: { type: 'string' },
  },
})

const seconds = integer('seconds', values.seconds) ?? 10
const cases = integer('cases', values.cases)
const onlyCase = integer('case', values.case)
const seed = integer('seed', values.seed) ?? randomInt(0x7fffffff)
const targets = values.target?.map(targetOf) ?? allTargets
const corpus = readCorpus()
const corpusBytes = corpus.map((entry) => entry.bytes)

if (values.hex !== undefined) {
  const input = parseHex(values.hex)
  for (const target of targets) run(target, input, `--target ${target.name} --hex ${values.hex}`)
  if (values.add !== undefined) {
    console.log(`added ${addToCorpus(values.add, values.note ?? 'what it shows', input).pathname}`)
  }
  console.log('passed')
} else if (values.add !== undefined) {
  fail('--add needs --hex')
} else if (onlyCase !== undefined) {
  if (values.seed === undefined || values.target === undefined) fail('--case needs --seed and --target')
  for (const target of targets) {
    const input = makeInput(target, seed, onlyCase, corpusBytes)
    console.log(
      `${target.name} case ${onlyCase}, ${input.length} bytes: ${Buffer.from(input).toString('hex')}`,
    )
    run(target, input, replay(target, onlyCase))
  }
  console.log('passed')
} else {
  fuzz()
}

function fuzz(): void {
  console.log(`seed ${seed}`)
  for (const { name, bytes } of corpus) {
    for (const target of targets) {
      run(
        target,
        bytes,
        `--target ${target.name} --hex ${Buffer.from(bytes).toString('hex')}  # corpus/${name}.hex`,
      )
    }
  }
  console.log(`corpus of ${corpus.length} passed`)

  const spent = new Map(targets.map((target) => [target, 0]))
  const batch = 64
  let done = 0
  const end = performance.now() + seconds * 1000
  while (cases === undefined ? performance.now() < end : done < cases) {
    const last = cases === undefined ? done + batch : Math.min(cases, done + batch)
    for (const target of targets) {
      const begin = performance.now()
      for (let index = done; index < last; index++) {
        run(target, makeInput(target, seed, index, corpusBytes), replay(target, index))
      }
      spent.set(target, (spent.get(target) ?? 0) + performance.now() - begin)
    }
    done = last
  }

  for (const [target, time] of spent) {
    console.log(`${target.name.padEnd(12)} ${done} inputs, ${Math.round((done / time) * 1000)} executions/s`)
  }
  const total = [...spent.values()].reduce((sum, time) => sum + time, 0)
  console.log(
    `passed: ${done * targets.length} inputs, ${Math.round(((done * targets.length) / total) * 1000)} executions/s`,
  )
}

function run(target: Target, input: Uint8Array, command: string): void {
  const failure = tryInput(target, input)
  if (failure === undefined) return
  console.error(describe(failure, command))
  exit(1)
}

function replay(target: Target, index: number): string {
  return `--target ${target.name} --seed ${seed} --case ${index}`
}

function targetOf(name: string): Target {
  const found = allTargets.find((target) => target.name === name)
  return found ?? fail(`no target ${name}; there are ${allTargets.map((target) => target.name).join(', ')}`)
}

function integer(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  return /^[0-9]+$/.test(text) ? Number(text) : fail(`--${name} wants a number, not ${text}`)
}

function fail(message: string): never {
  console.error(message)
  exit(2)
}
