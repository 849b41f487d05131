/** npm run bench: farewell beside its limits and its peers; see README.md. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { canRun, type Contestant, ContestantProcess, contestants } from './contestant.ts'
import { goalTable } from './goal.ts'
import { describeMachine, machineText } from './machine.ts'
import { measure } from './measure/measure.ts'
import { benchFolder, installPackages } from './packages.ts'
import { pictureOf, publish } from './publication.ts'
import { fullPlan, quickPlan } from './plan.ts'
import type { Sample } from './sample.ts'
import { scalingTables } from './scaling.ts'
import { tablesOf } from './table.ts'
import { type Workload, workloads } from './workload.ts'

const { values: options } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    only: { type: 'string' },
    workload: { type: 'string' },
    profile: { type: 'string' },
    publish: { type: 'boolean', default: false },
  },
})
const plan = options.full ? fullPlan : quickPlan
const nodeFlags = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]

/** How long one measurement may take, in ms. */
const patience = 60_000

/** What is told beside the figures: who was left out, and why. */
const notes: string[] = []

/** One by its name, which may hold commas, or those of some groups; else those of a quick run, or all. */
function isChosen({ name, group, quick }: Workload): boolean {
  const { workload } = options
  if (workload === undefined) return quick || options.full
  if (workloads.some((each) => each.name === workload)) return name === workload
  return workload.split(',').includes(group)
}

function takesPart(contestant: Contestant, workload: Workload): boolean {
  const { name, role, limit = false, quick } = contestant
  const wanted = options.only?.split(',').includes(name) ?? (quick || options.full)
  const belongs = limit ? workload.limits.includes(name) : (workload.only?.includes(name) ?? true)
  return role === workload.role && wanted && belongs
}

async function samplesOf(workload: Workload, able: readonly Contestant[]): Promise<readonly Sample[]> {
  const chosen = able.filter((each) => takesPart(each, workload))
  let running = await Promise.all(
    chosen.map((each) => {
      const args = [...workload.service.map(String), ...(each.args ?? [])]
      return ContestantProcess.start({ ...each, args }, nodeFlags)
    }),
  )
  const samples: Sample[] = []
  const rounds = workload.once ? 1 : plan.rounds
  for (let round = 1; round <= rounds; round++) {
    // Nobody is always the first, or behind the same other.
    const first = (round - 1) % running.length
    for (const each of [...running.slice(first), ...running.slice(0, first)]) {
      const { name } = each.contestant
      progress(`${workload.name}: round ${round} of ${rounds}, ${name}`)
      try {
        const figures = await withinPatience(measure(each, workload, plan, round))
        samples.push({ workload: workload.name, contestant: name, round, figures })
      } catch (error) {
        notes.push(`${name} is left out of "${workload.name}": ${String(error)}`)
        running = running.filter((other) => other !== each)
        await each.stop()
      }
    }
  }
  await Promise.all(running.map((each) => each.stop()))
  const complete = new Set(running.map(({ contestant }) => contestant.name))
  return samples.filter(({ contestant }) => complete.has(contestant))
}

/** A contestant that does not come to an end is left out like one that fails. */
function withinPatience<Result>(work: Promise<Result>): Promise<Result> {
  const tooLong = sleep(patience, undefined, { ref: false }).then(() => {
    throw new Error(`no end after ${patience / 1000} s`)
  })
  return Promise.race([work, tooLong])
}

/** One line that is written over and over, where somebody watches. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`)
}

installPackages()
const able = contestants.filter(canRun)
const missing = contestants.filter((each) => !able.includes(each)).map(({ name }) => name)
if (missing.length > 0) notes.push(`left out, since they do not run here: ${missing.join(', ')}`)
const machine = describeMachine(nodeFlags)
const measured = workloads.filter(isChosen)
const samples: Sample[] = []
mkdirSync(join(benchFolder, 'results'), { recursive: true })
const file = join(benchFolder, 'results', machine.date.replaceAll(/[:.]/g, '-'))
for (const workload of measured) {
  if (!process.stderr.isTTY) console.error(workload.name)
  samples.push(...(await samplesOf(workload, able)))
  // A run that is ended before its end keeps what it has.
  writeFileSync(`${file}.json`, JSON.stringify({ machine, plan, notes, samples }, null, 2) + '\n')
}
progress('')

const goals = goalTable(measured, samples)
const report = [
  `Medians of ${plan.rounds} rounds, each of ${plan.duration} ms of CPU time.`,
  [machineText(machine), ...notes.map((note) => `- ${note}`)].join('\n'),
  goals === '' ? '' : `## Goals\n\n${goals}`,
  `## Figures\n\n${tablesOf(measured, samples)}`,
  scalingTables(measured, samples),
]
  .filter((part) => part !== '')
  .join('\n\n')
const picture = pictureOf(machine, measured, samples)
writeFileSync(`${file}.svg`, picture)
if (options.publish) publish(report, picture)
console.log(`${report}\n\nEvery round, and a picture: ${file}.json, .svg`)
// A contestant that was left out may have left connections open.
process.exit()
