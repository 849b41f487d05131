/** What the fuzzer's command line does, with the targets given so that its own tests can plant bugs in them. */
import { Buffer } from 'node:buffer'
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { addToCorpus, parseHex, readCorpus } from './corpus.ts'
import { describe, makeInput, type Target, tryInput } from './target.ts'

const help = `node .build/test/fuzz/run.js, after npm run compile
  --seconds 30     how long to run; 10 unless told
  --cases 1000     so many inputs of each target instead
  --seed 1         where to begin; random unless told
  --target bytes   only this target; may be given more than once
  --case 17        only input number 17 of the seed and the target
  --hex 0000...    only this input
  --add NAME       keep the input of --hex in the corpus, with the comment of --note
The exit status is 1 where an input fails, 2 where the command line makes no sense.`

/** A command line that makes no sense. */
class UsageError extends Error {}

/** Does what the arguments ask for, telling `say`, and returns the exit status. */
export function fuzz(args: string[], targets: readonly Target[], say: (line: string) => void): number {
  try {
    return perform(args, targets, say) ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof TypeError)) throw error
    say(error.message)
    return 2
  }
}

function perform(args: string[], allTargets: readonly Target[], say: (line: string) => void): boolean {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: 'string' },
      cases: { type: 'string' },
      seed: { type: 'string' },
      target: { type: 'string', multiple: true },
      case: { type: 'string' },
      hex: { type: 'string' },
      add: { type: 'string' },
      note: { type: 'string', default: 'what it shows' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) {
    say(help)
    return true
  }
  const { hex, add, note } = values
  const targets = values.target?.map((name) => find(name, allTargets)) ?? allTargets

  if (hex !== undefined) {
    const input = parseHex(hex)
    if (!targets.every((target) => passes(target, input, `--target ${target.name} --hex ${hex}`, say)))
      return false
    if (add !== undefined) say(`added ${addToCorpus(add, note, input).pathname}`)
    say('passed')
    return true
  }
  if (add !== undefined) throw new UsageError('--add needs --hex')

  const seed = integer('seed', values.seed)
  const only = integer('case', values.case)
  if (only === undefined) {
    const seconds = integer('seconds', values.seconds) ?? 10
    return go(targets, seed ?? randomInt(0x7fffffff), seconds, integer('cases', values.cases), say)
  }
  if (seed === undefined || values.target === undefined)
    throw new UsageError('--case needs --seed and --target')
  const corpus = readCorpus().map((entry) => entry.bytes)
  for (const target of targets) {
    const input = makeInput(target, seed, only, corpus)
    say(`${target.name}, case ${only}, ${input.length} bytes: ${Buffer.from(input).toString('hex')}`)
    if (!passes(target, input, replay(target, seed, only), say)) return false
  }
  say('passed')
  return true
}

/** The corpus, then new inputs: so many of each target, or for so long. */
function go(
  targets: readonly Target[],
  seed: number,
  seconds: number,
  cases: number | undefined,
  say: (line: string) => void,
): boolean {
  say(`seed ${seed}`)
  const corpus = readCorpus()
  for (const { name, bytes } of corpus) {
    for (const target of targets) {
      const command = `--target ${target.name} --hex ${Buffer.from(bytes).toString('hex')} # corpus/${name}.hex`
      if (!passes(target, bytes, command, say)) return false
    }
  }
  say(`corpus of ${corpus.length} passed`)

  const known = corpus.map((entry) => entry.bytes)
  const spent = new Map(targets.map((target) => [target, 0]))
  const end = performance.now() + seconds * 1000
  let done = 0
  while (cases === undefined ? performance.now() < end : done < cases) {
    const next = cases === undefined ? done + 64 : Math.min(cases, done + 64)
    for (const target of targets) {
      const begin = performance.now()
      for (let index = done; index < next; index++) {
        if (!passes(target, makeInput(target, seed, index, known), replay(target, seed, index), say))
          return false
      }
      spent.set(target, (spent.get(target) ?? 0) + performance.now() - begin)
    }
    done = next
  }

  const rate = (count: number, time: number): string =>
    `${count} inputs, ${Math.round((count / time) * 1000)} executions/s`
  for (const [target, time] of spent) say(`${target.name.padEnd(12)} ${rate(done, time)}`)
  const total = [...spent.values()].reduce((sum, time) => sum + time, 0)
  say(`passed: ${rate(done * targets.length, total)}`)
  return true
}

function passes(target: Target, input: Uint8Array, command: string, say: (line: string) => void): boolean {
  const failure = tryInput(target, input)
  if (failure === undefined) return true
  say(describe(failure, command))
  return false
}

function replay(target: Target, seed: number, index: number): string {
  return `--target ${target.name} --seed ${seed} --case ${index}`
}

function find(name: string, targets: readonly Target[]): Target {
  const found = targets.find((target) => target.name === name)
  if (found !== undefined) return found
  throw new UsageError(`no target ${name}; there are ${targets.map((target) => target.name).join(', ')}`)
}

function integer(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[0-9]+$/.test(text)) return Number(text)
  throw new UsageError(`--${name} wants a number, not ${text}`)
}
