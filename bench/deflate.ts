/** npm run bench:deflate: permessage-deflate side by side; see README.md. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Contestant, ServerProcess } from './contestant.ts'
import { host } from './contestants/host.ts'
import { DeflateLoad } from './deflate-load.ts'
import { type DeflateWorkload, deflateWorkloads, nameOf } from './deflate-workload.ts'
import { zlibCost } from './deflate-zlib.ts'
import { describeMachine, machineText } from './machine.ts'
import { benchFolder, bunProgram, installPackages, versionOf } from './packages.ts'
import { medianOf } from './table.ts'

const { values: options } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    only: { type: 'string' },
    workload: { type: 'string' },
    profile: { type: 'string' },
  },
})

/** In ms of the server's CPU time. A round of 1 MiB takes as long as it takes for a few messages. */
const { rounds, firstWarmUp, warmUp, duration } = options.full
  ? { rounds: 9, firstWarmUp: 1500, warmUp: 100, duration: 600 }
  : { rounds: 3, firstWarmUp: 300, warmUp: 20, duration: 100 }

const servers: readonly Contestant[] = [
  { name: 'ws', program: 'deflate-ws', frames: true },
  { name: 'farewell', program: 'deflate-farewell', frames: true },
  { name: 'Bun', program: 'deflate-bun', runtime: 'bun', frames: true },
]

/** What one round of one workload costs a message in µs, of each server and of bare zlib. */
type Round = Readonly<Record<string, number>>

const nodeFlags = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]

async function measure(server: ServerProcess, workload: DeflateWorkload, warm: number): Promise<number> {
  const load = await DeflateLoad.open(host, server.port, workload)
  load.start()
  const begun = await server.cpu()
  const before = await untilUsed(begun + warm * 1000, server, load, 0)
  const after = await untilUsed(before.cpu + duration * 1000, server, load, before.messages + 4)
  await load.close()
  return (after.cpu - before.cpu) / (after.messages - before.messages)
}

/** Waits until the server has used so much CPU time, in µs, and answered so many messages. */
async function untilUsed(
  time: number,
  server: ServerProcess,
  load: DeflateLoad,
  messages: number,
): Promise<{ cpu: number; messages: number }> {
  for (;;) {
    await sleep(10)
    const cpu = await server.cpu()
    if (cpu >= time && load.messages >= messages) return { cpu, messages: load.messages }
  }
}

async function roundsOf(workload: DeflateWorkload): Promise<Round[]> {
  const args = [workload.direction, `${workload.size}`, `${workload.takeover}`]
  const running = await Promise.all(
    contestants.map((each) => ServerProcess.start({ ...each, args }, nodeFlags)),
  )
  const taken: Round[] = []
  for (let round = 0; round < rounds; round++) {
    const { calls, once } = zlibCost(workload, duration / 2)
    const costs: Record<string, number> = { [zlibCalls]: calls, [zlibOnce]: once }
    // Nobody is always the first, or behind the same other.
    const first = round % running.length
    for (const server of [...running.slice(first), ...running.slice(0, first)]) {
      costs[server.contestant.name] = await measure(server, workload, round === 0 ? firstWarmUp : warmUp)
    }
    taken.push(costs)
  }
  await Promise.all(running.map((server) => server.stop()))
  return taken
}

const zlibCalls = 'zlib, a call each'
const zlibOnce = 'zlib, one call'

function rowOf(name: string, taken: readonly Round[]): string[] {
  const time = (of: string): string => microseconds(medianOf(taken.map((costs) => costs[of] ?? NaN)))
  // The median of the ratios of each round: what disturbs a round disturbs both.
  const ratio = (to: string): string =>
    medianOf(taken.map((costs) => (costs['farewell'] ?? NaN) / (costs[to] ?? NaN))).toFixed(2)
  const others = columns.filter((each) => each !== 'farewell')
  return [name, ...columns.map(time), ...others.map(ratio)]
}

function microseconds(value: number): string {
  return Number.isNaN(value) ? '–' : `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} µs`
}

installPackages()
const bun = bunProgram()
const contestants = servers.filter(({ name, runtime }) => {
  if (runtime === 'bun' && bun === undefined) return false
  return options.only === undefined || options.only.split(',').includes(name)
})
const columns = ['farewell', ...contestants.map(({ name }) => name), zlibCalls, zlibOnce].filter(
  (name, at, all) => all.indexOf(name) === at,
)

const described = describeMachine(nodeFlags)
const machine = {
  ...described,
  versions: {
    ...described.versions,
    zlib: process.versions.zlib,
    bun: bun === undefined ? 'does not run' : versionOf('bun'),
  },
}
const rows: string[][] = []
const results: { workload: DeflateWorkload; rounds: readonly Round[] }[] = []
for (const workload of deflateWorkloads) {
  const name = nameOf(workload)
  const asked =
    options.workload === undefined
      ? options.full || workload.direction === 'echo'
      : name.includes(options.workload)
  if (!asked) continue
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${name}`)
  const taken = await roundsOf(workload)
  results.push({ workload, rounds: taken })
  rows.push(rowOf(name, taken))
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')

const heads = [
  'JSON text',
  ...columns,
  ...columns.filter((each) => each !== 'farewell').map((each) => `farewell ÷ ${each}`),
]
const table = [heads, heads.map((_, at) => (at === 0 ? '---' : '--:')), ...rows].map(
  (cells) => `| ${cells.join(' | ')} |`,
)
const title = `Server CPU per compressed message: medians of ${rounds} rounds of ${duration} ms of CPU time`
console.log(`${title}\n\n${machineText(machine)}\n\n${table.join('\n')}`)
mkdirSync(join(benchFolder, 'results'), { recursive: true })
const file = join(benchFolder, 'results', `deflate-${machine.date.replaceAll(/[:.]/g, '-')}.json`)
writeFileSync(file, JSON.stringify({ title, machine, rounds, duration, results }, null, 2) + '\n')
console.log(`\nEvery round: ${file}`)
