/** npm run bench: echo servers side by side; see README.md. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { contestants, ServerProcess } from './contestant.ts'
import { host } from './contestants/host.ts'
import { Load } from './load.ts'
import { describeMachine, machineText } from './machine.ts'
import { benchFolder, installPackages, loadBufferutil } from './packages.ts'
import { type Sample, tableOf } from './table.ts'
import { type Workload, workloads } from './workload.ts'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: true },
    full: { type: 'boolean', default: false },
    text: { type: 'boolean', default: false },
    only: { type: 'string' },
    workload: { type: 'string' },
    profile: { type: 'string' },
  },
})

/**
 * How long, in ms of the server's CPU time, so that a busy machine gives no worse figures. A server's code is still
 * being compiled in its first round, which warms up for longer.
 */
const { rounds, firstWarmUp, warmUp, duration } = options.full
  ? { rounds: 7, firstWarmUp: 2000, warmUp: 300, duration: 1500 }
  : { rounds: 5, firstWarmUp: 400, warmUp: 30, duration: 120 }
/** Where the server hardly gets to run, a phase ends all the same after so many times its length. */
const patience = 2

const nodeFlags = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]

async function measure(server: ServerProcess, workload: Workload, round: number): Promise<Sample> {
  const { port, contestant } = server
  const load = await Load.open({ host, port, frames: contestant.frames, text: options.text, workload })
  load.start()
  const begun = await stateOf(server, load)
  const before = await untilUsed(round === 1 ? firstWarmUp : warmUp, begun, server, load)
  const after = await untilUsed(duration, before, server, load)
  await load.close()

  const time = after.time - before.time
  const messages = after.messages - before.messages
  return {
    workload: workload.name,
    contestant: contestant.name,
    round,
    messagesPerSecond: (messages / time) * 1e6,
    cpuPerMessage: (after.serverCpu - before.serverCpu) / messages,
    serverBusy: (after.serverCpu - before.serverCpu) / time,
    loadBusy: (after.loadCpu - before.loadCpu) / time,
  }
}

/** Times in µs. */
interface State {
  readonly time: number
  readonly messages: number
  readonly serverCpu: number
  readonly loadCpu: number
}

async function stateOf(server: ServerProcess, load: Load): Promise<State> {
  const serverCpu = await server.cpu()
  const { user, system } = process.cpuUsage()
  return { serverCpu, loadCpu: user + system, messages: load.messages, time: performance.now() * 1000 }
}

/** Waits until the server has used so many ms of CPU time. */
async function untilUsed(time: number, since: State, server: ServerProcess, load: Load): Promise<State> {
  for (;;) {
    await sleep(20)
    const state = await stateOf(server, load)
    if (state.serverCpu - since.serverCpu >= time * 1000) return state
    if (state.time - since.time >= patience * time * 1000) return state
  }
}

/** One line that is written over and over, where somebody watches. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`)
}

installPackages()
const chosen = contestants.filter(({ name, args = [] }) => {
  if (args.includes('addon') && loadBufferutil() === undefined) return false
  return options.only === undefined || options.only.split(',').includes(name)
})
const machine = describeMachine(nodeFlags)
const samples: Sample[] = []
for (const workload of workloads) {
  if (options.workload !== undefined && options.workload !== workload.name) continue
  const servers = await Promise.all(chosen.map((each) => ServerProcess.start(each, nodeFlags)))
  for (let round = 1; round <= rounds; round++) {
    // Nobody is always the first, or behind the same other.
    const first = (round - 1) % servers.length
    for (const server of [...servers.slice(first), ...servers.slice(0, first)]) {
      progress(`${workload.name}: round ${round} of ${rounds}, ${server.contestant.name}`)
      samples.push(await measure(server, workload, round))
    }
  }
  await Promise.all(servers.map((server) => server.stop()))
}
progress('')

const messages = options.text ? 'text' : 'binary'
const title = `Echo of ${messages} messages: medians of ${rounds} rounds of ${duration} ms of CPU time`
console.log(`${title}\n\n${machineText(machine)}\n\n${tableOf(samples)}`)
mkdirSync(join(benchFolder, 'results'), { recursive: true })
const file = join(benchFolder, 'results', `${machine.date.replaceAll(/[:.]/g, '-')}.json`)
writeFileSync(file, JSON.stringify({ title, machine, rounds, duration, samples }, null, 2) + '\n')
console.log(`\nEvery round: ${file}`)
