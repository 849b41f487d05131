/** What the fuzzer's command line does, with the targets given so that its own tests can plant bugs in them. */
import { Buffer } from 'node:buffer'
import { createHash, randomInt } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { addToCorpus, formatHex, parseHex, readCorpus } from './corpus.ts'
import { type Failure, failureOf, makeInput, problemOf, type Target } from './target.ts'

export interface Fuzzer {
  /** How it is started, for the commands that repeat a failure. */
  readonly program: string
  readonly targets: readonly Target[]
  /** Where inputs that fail are written. */
  readonly failures: string
  readonly say: (line: string) => void
}

const help = `after npm run compile; npm run fuzz does both
  --time 60          how many seconds each target runs; 10 unless told
  --cases 1000       so many inputs of each target instead
  --seed 1           where to begin; random unless told
  --target deflate   only this target; may be given more than once
  --case 17          only input number 17 of the seed and the target
  --file PATH        only the input in that file
  --hex 0000...      only this input
  --add NAME         keep the input of --file or --hex in the corpus, with the comment of --note
The exit status is 1 where an input fails, 2 where the command line makes no sense.`

/** The column of the names. */
const nameWidth = 17

/** Inputs between two looks at the clock. */
const batch = 64

/** A command line that makes no sense. */
class UsageError extends Error {}

/** Does what the arguments ask for and returns the exit status. */
export async function fuzz(args: string[], fuzzer: Fuzzer): Promise<number> {
  try {
    return (await perform(args, fuzzer)) ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof TypeError)) throw error
    fuzzer.say(error.message)
    return 2
  }
}

async function perform(args: string[], fuzzer: Fuzzer): Promise<boolean> {
  const { say } = fuzzer
  const { values } = parseArgs({
    args,
    options: {
      time: { type: 'string' },
      cases: { type: 'string' },
      seed: { type: 'string' },
      target: { type: 'string', multiple: true },
      case: { type: 'string' },
      file: { type: 'string' },
      hex: { type: 'string' },
      add: { type: 'string' },
      note: { type: 'string', default: 'what it shows' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) {
    say(`${fuzzer.program}, ${help}\nThe targets: ${names(fuzzer.targets)}`)
    return true
  }
  const targets = values.target?.map((name) => find(name, fuzzer.targets)) ?? fuzzer.targets

  const { file, add } = values
  const hex = values.hex ?? (file === undefined ? undefined : readFileSync(file, 'utf8'))
  if (hex !== undefined) return one(targets, parseHex(hex), add, values.note, fuzzer)
  if (add !== undefined) throw new UsageError('--add needs --file or --hex')

  const seed = integer('seed', values.seed)
  const only = integer('case', values.case)
  if (only !== undefined) {
    if (seed === undefined || values.target === undefined)
      throw new UsageError('--case needs --seed and --target')
    return again(targets, seed, only, fuzzer)
  }
  const time = (integer('time', values.time) ?? 10) * 1000
  const cases = integer('cases', values.cases)
  return go(targets, seed ?? randomInt(0x7fffffff), time, cases, fuzzer)
}

/** One input that was given. */
async function one(
  targets: readonly Target[],
  input: Uint8Array,
  add: string | undefined,
  note: string,
  fuzzer: Fuzzer,
): Promise<boolean> {
  for (const target of targets) {
    const problem = await problemOf(target, input)
    if (problem === undefined) continue
    fuzzer.say(`FAILED ${target.name}: ${problem}`)
    return false
  }
  if (add !== undefined) {
    const folders = new Set(targets.map((target) => target.corpus))
    const [folder, ...others] = folders
    if (folder === undefined || others.length > 0) throw new UsageError('--add needs --target')
    fuzzer.say(`added ${addToCorpus(folder, add, note, input).pathname}`)
  }
  fuzzer.say('passed')
  return true
}

/** One input of a seed. */
async function again(
  targets: readonly Target[],
  seed: number,
  index: number,
  fuzzer: Fuzzer,
): Promise<boolean> {
  for (const target of targets) {
    const input = makeInput(target, seed, index, knownTo(target))
    fuzzer.say(`${target.name}, case ${index}, ${input.length} bytes: ${Buffer.from(input).toString('hex')}`)
    if (!(await passes(target, input, replay(target, seed, index), fuzzer))) return false
  }
  fuzzer.say('passed')
  return true
}

/** Of each target the corpus, then new inputs: so many, or for so long. The next one runs where one has failed, too. */
async function go(
  targets: readonly Target[],
  seed: number,
  time: number,
  cases: number | undefined,
  fuzzer: Fuzzer,
): Promise<boolean> {
  const { say } = fuzzer
  say(`seed ${seed}`)
  let total = 0
  let good = true
  for (const target of targets) {
    const done = await goOn(target, seed, time, cases, fuzzer)
    if (done === undefined) good = false
    else total += done
  }
  say(good ? `passed: ${total} executions` : 'FAILED')
  return good
}

/** How many new inputs were run, 0 where the target cannot run; undefined where one failed. */
async function goOn(
  target: Target,
  seed: number,
  time: number,
  cases: number | undefined,
  fuzzer: Fuzzer,
): Promise<number | undefined> {
  if (target.missing !== undefined) {
    fuzzer.say(`${target.name.padEnd(nameWidth)} skipped: ${target.missing}`)
    return 0
  }
  for (const { name, bytes } of readCorpus(target.corpus)) {
    const command = `--target ${target.name} --file test/fuzz/corpus/${target.corpus}/${name}.hex`
    if (!(await passes(target, bytes, command, fuzzer))) return undefined
  }
  const known = knownTo(target)
  const begin = performance.now()
  let done = 0
  while (cases === undefined ? performance.now() < begin + time : done < cases) {
    const next = cases === undefined ? done + batch : Math.min(cases, done + batch)
    for (; done < next; done++) {
      const input = makeInput(target, seed, done, known)
      const found = problemOf(target, input)
      // Most targets answer at once, and an await would cost more than they do.
      const problem = found instanceof Promise ? await found : found
      if (problem === undefined) continue
      await report(target, input, problem, replay(target, seed, done), fuzzer)
      return undefined
    }
  }
  const rate = Math.round((done / (performance.now() - begin)) * 1000)
  fuzzer.say(`${target.name.padEnd(nameWidth)} ${done} executions, ${rate}/s`)
  for (const remark of target.remarks?.() ?? []) fuzzer.say(`  ${remark}`)
  return done
}

async function passes(target: Target, input: Uint8Array, command: string, fuzzer: Fuzzer): Promise<boolean> {
  const problem = await problemOf(target, input)
  if (problem === undefined) return true
  await report(target, input, problem, command, fuzzer)
  return false
}

/** Shrinks the input, keeps it in a file, and says how to see it fail again. */
async function report(
  target: Target,
  input: Uint8Array,
  problem: string,
  command: string,
  fuzzer: Fuzzer,
): Promise<void> {
  const failure = await failureOf(target, input, problem)
  const file = keep(failure, fuzzer.failures)
  const hex = Buffer.from(failure.shrunk).toString('hex')
  fuzzer.say(
    [
      `FAILED ${target.name}: ${problem}`,
      `input, ${input.length} bytes; shrunk to ${failure.shrunk.length}: ${hex}`,
      `  which says: ${failure.shrunkProblem}`,
      `replay:     ${fuzzer.program} ${command}`,
      `shrunk one: ${fuzzer.program} --target ${target.name} --file ${file}`,
      `keep it:    ${fuzzer.program} --target ${target.name} --file ${file} --add NAME --note "what it shows"`,
    ].join('\n'),
  )
}

function keep({ target, shrunk, shrunkProblem }: Failure, folder: string): string {
  const name = createHash('sha256').update(shrunk).digest('hex').slice(0, 8)
  const file = join(folder, `${target.name}-${name}.hex`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(file, formatHex(shrunk, `${target.name}: ${shrunkProblem}`))
  return file
}

function knownTo(target: Target): Uint8Array[] {
  return readCorpus(target.corpus).map((entry) => entry.bytes)
}

function replay(target: Target, seed: number, index: number): string {
  return `--target ${target.name} --seed ${seed} --case ${index}`
}

function find(name: string, targets: readonly Target[]): Target {
  const found = targets.find((target) => target.name === name)
  if (found !== undefined) return found
  throw new UsageError(`no target ${name}; there are ${names(targets)}`)
}

function names(targets: readonly Target[]): string {
  return targets.map((target) => target.name).join(', ')
}

function integer(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[0-9]+$/.test(text)) return Number(text)
  throw new UsageError(`--${name} wants a number, not ${text}`)
}
