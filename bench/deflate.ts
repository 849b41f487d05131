/** npm run bench:deflate: permessage-deflate side by side; see README.md. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { canRun, type Contestant, ContestantProcess } from './contestant.ts'
import { DeflateLoad, type DeflateScript, scriptOf } from './deflate-load.ts'
import { idleMemory } from './deflate-memory.ts'
import {
  argumentsOf,
  contextOf,
  type DeflateWorkload,
  deflateWorkloads,
  idleWorkloads,
  nameOf,
  silence,
} from './deflate-workload.ts'
import { zlibCost } from './deflate-zlib.ts'
import { format, markdownTable, type Unit } from './format.ts'
import { describeMachine, machineText } from './machine.ts'
import { benchFolder, installPackages } from './packages.ts'
import { medianOf } from './sample.ts'

const { values: options } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    only: { type: 'string' },
    workload: { type: 'string' },
    memory: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
})

/**
 * In ms of the server's CPU time. Its code is still being compiled in its first round, which warms up for longer.
 * `idle` is how many of the connections are opened that memory is measured with.
 */
const plan = options.full
  ? { rounds: 9, firstWarmUp: 1000, warmUp: 60, duration: 400, idle: 1 }
  : { rounds: 3, firstWarmUp: 250, warmUp: 20, duration: 60, idle: 0.3 }

const server = { role: 'server', upgrades: true, frames: true, quick: true } as const
const ws: Contestant = { ...server, name: 'ws', program: 'deflate-ws' }
const farewell: Contestant = { ...server, name: 'farewell', program: 'deflate-farewell' }
const bun: Contestant = { ...server, name: 'Bun', program: 'deflate-bun', runtime: 'bun' }
const bare: Contestant = { ...server, name: 'http upgrade', program: 'http', frames: false }
const zlibCalls = 'zlib, a call each'
const zlibOnce = 'zlib, one call'

/** A figure of each contestant. */
type Figures = Readonly<Record<string, number>>

interface Result {
  readonly workload: DeflateWorkload
  readonly rounds: readonly Figures[]
}

const nodeFlags = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]

/** CPU time per message in µs, in each round. */
async function cpuOf(workload: DeflateWorkload): Promise<Result> {
  const args = argumentsOf(workload)
  const running = await Promise.all(
    contestants.map((each) => ContestantProcess.start({ ...each, args }, nodeFlags)),
  )
  const script = scriptOf(workload)
  const rounds: Figures[] = []
  for (let round = 0; round < plan.rounds; round++) {
    const { calls, once } = zlibCost(workload, plan.duration / 2)
    const figures: Record<string, number> = { [zlibCalls]: calls, [zlibOnce]: once }
    // Nobody is always the first, or behind the same other.
    const first = round % running.length
    for (const each of [...running.slice(first), ...running.slice(0, first)]) {
      const warmUp = round === 0 ? plan.firstWarmUp : plan.warmUp
      figures[each.contestant.name] = await roundOf(each, workload, script, warmUp)
    }
    rounds.push(figures)
  }
  await Promise.all(running.map((each) => each.stop()))
  return { workload, rounds }
}

async function roundOf(
  contestant: ContestantProcess,
  workload: DeflateWorkload,
  script: DeflateScript,
  warmUp: number,
): Promise<number> {
  const load = await DeflateLoad.open(contestant.port, workload, script)
  load.start()
  const begun = await contestant.cpu()
  const before = await untilUsed(contestant, load, begun + warmUp * 1000, 0)
  const after = await untilUsed(contestant, load, before.cpu + plan.duration * 1000, before.messages + 4)
  await load.close()
  return (after.cpu - before.cpu) / (after.messages - before.messages)
}

/** Waits until the server has used so much CPU time in all, in µs, and answered so many messages. */
async function untilUsed(
  contestant: ContestantProcess,
  load: DeflateLoad,
  time: number,
  messages: number,
): Promise<{ readonly cpu: number; readonly messages: number }> {
  for (;;) {
    await sleep(10)
    const cpu = await contestant.cpu()
    if (cpu >= time && load.messages >= messages) return { cpu, messages: load.messages }
  }
}

/** The figure of each, and how farewell's compares: the median of the ratios of each round. */
function cellsOf({ rounds }: Result, names: readonly string[], unit: Unit): string[] {
  const others = names.filter((name) => name !== farewell.name)
  const ratio = (other: string): number =>
    medianOf(rounds.map((each) => (each[farewell.name] ?? NaN) / (each[other] ?? NaN)))
  return [
    ...names.map((name) => format(medianOf(rounds.map((each) => each[name] ?? NaN)), unit)),
    ...others.map((other) => format(ratio(other), 'ratio')),
  ]
}

function headsOf(what: string, names: readonly string[]): string[] {
  const others = names.filter((name) => name !== farewell.name)
  return [what, ...names, ...others.map((name) => `farewell ÷ ${name}`)]
}

/** One line that is written over and over, where somebody watches. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`)
}

/** What `--workload` names is measured; else echo, or all. */
function isChosen(workload: DeflateWorkload): boolean {
  if (options.memory) return false
  if (options.workload !== undefined) return nameOf(workload).includes(options.workload)
  return options.full || workload.direction === 'echo'
}

installPackages()
const chosen = [farewell, ws, bun].filter(
  ({ name }) => options.only === undefined || options.only.split(',').includes(name),
)
const contestants = chosen.filter(canRun)
const missing = chosen.filter((each) => !contestants.includes(each)).map(({ name }) => name)
const machine = describeMachine(nodeFlags)
const report = [machineText(machine)]
if (missing.length > 0) report.push(`- left out, since they do not run here: ${missing.join(', ')}`)

const cpu: Result[] = []
for (const workload of deflateWorkloads.filter(isChosen)) {
  progress(nameOf(workload))
  cpu.push(await cpuOf(workload))
}
if (cpu.length > 0) {
  const names = [...contestants.map(({ name }) => name), zlibCalls, zlibOnce]
  const rows = cpu.map((each) => [nameOf(each.workload), ...cellsOf(each, names, 'microseconds')])
  report.push(
    `Server CPU per message of JSON: medians of ${plan.rounds} rounds of ${plan.duration} ms of CPU time.`,
    markdownTable(headsOf('messages', names), rows, 1),
  )
}

const memory: Result[] = []
if (options.memory || (options.full && options.workload === undefined)) {
  const rows: string[][] = []
  const names = [farewell.name, ws.name, bare.name]
  for (const workload of idleWorkloads) {
    const resident: Record<string, number> = {}
    const used: Record<string, number> = {}
    const silent: Record<string, number> = {}
    for (const each of [farewell, ws, bare]) {
      progress(`memory, ${contextOf(workload)}, ${each.name}`)
      const connections = workload.connections * plan.idle
      const found = await idleMemory(each, { ...workload, connections })
      resident[each.name] = found.resident
      used[each.name] = found.used
      silent[each.name] = found.usedSilent
    }
    for (const [what, figures] of Object.entries({ resident, 'in use': used, 'in use, silent': silent })) {
      const result = { workload, rounds: [figures] }
      memory.push(result)
      rows.push([`${contextOf(workload)}: ${what}`, ...cellsOf(result, names, 'bytes')])
    }
  }
  report.push(
    'Memory of an idle connection of a server after 50 KiB of messages each way, at once and after\n' +
      `${silence / 1000} s of silence. (The Python library websockets publishes 64 KiB with its default settings, 14 KiB\n` +
      'with windows of 4 KiB.)',
    markdownTable(headsOf('connections', names), rows, 1),
  )
}
progress('')

console.log(report.join('\n\n'))
mkdirSync(join(benchFolder, 'results'), { recursive: true })
const file = join(benchFolder, 'results', `deflate-${machine.date.replaceAll(/[:.]/g, '-')}.json`)
writeFileSync(file, JSON.stringify({ machine, plan, cpu, memory }, null, 2) + '\n')
console.log(`\nEvery round: ${file}`)
