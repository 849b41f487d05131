/** What is committed of a run: RESULTS.md and the picture. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { contestants } from './contestant.ts'
import { format, type Unit } from './format.ts'
import type { Machine } from './machine.ts'
import { benchFolder } from './packages.ts'
import { type Panel, plotOf } from './plot.ts'
import { figuresOf, mainFigures, medianOf, type Sample } from './sample.ts'
import { contestantsOf } from './table.ts'
import type { Workload } from './workload.ts'

/** The workloads of the picture. */
const shown = [
  '64 B × 64',
  '64 B × 64, 32 in flight',
  '64 KiB × 8',
  '1 MiB × 4',
  '64 MiB × 1',
  '1 MiB in fragments of 64 B × 1',
  'broadcast 64 B to 1,000',
  'chat room of 32',
  'text, mixed, 1 KiB × 64',
  'client, receive 1 MiB',
  'client, send 64 B',
  'client, send 1 MiB',
  'handshake',
  'idle connection',
  '1,000 connections and one that does not read',
]

const subtitles: Readonly<Record<Workload['kind'], readonly [string, Unit]>> = {
  echo: ['echo: server CPU per message', 'microseconds'],
  room: ['server CPU per message delivered', 'microseconds'],
  receive: ['client CPU per message', 'microseconds'],
  send: ['client CPU per message', 'microseconds'],
  handshake: ['server CPU per opening handshake', 'microseconds'],
  idle: ['resident memory of a server', 'bytes'],
  latency: ['p99 of the time until an echo is back', 'milliseconds'],
  closing: ['time from close() to closed', 'milliseconds'],
}

export function panelsOf(workloads: readonly Workload[], samples: readonly Sample[]): readonly Panel[] {
  return shown
    .map((name) => workloads.find((each) => each.name === name))
    .filter((workload) => workload !== undefined)
    .map((workload) => {
      const { name, kind, role } = workload
      const [subtitle, unit] = subtitles[kind]
      const bars = contestantsOf(workload, samples).map((contestant) => {
        const value = medianOf(figuresOf(samples, name, contestant, mainFigures[kind]))
        const isLimit = contestants.some(
          (each) => each.role === role && each.name === contestant && each.limit,
        )
        const rank = contestant === 'farewell' ? 'own' : isLimit ? 'limit' : 'peer'
        return { name: contestant, value, text: format(value, unit), rank } as const
      })
      return { title: name, subtitle, bars }
    })
    .filter(({ bars }) => bars.length > 0)
}

export function pictureOf(
  machine: Machine,
  workloads: readonly Workload[],
  samples: readonly Sample[],
): string {
  const { processors, processor, memory, system, node, flags, versions, date, load } = machine
  return plotOf(panelsOf(workloads, samples), [
    'Shorter is better. Grey: what does no more than it must. A bar with a point is longer than there is room for.',
    `${processors} × ${processor}, ${memory}, ${system}; Node ${node}, flags: ${flags}; ${date.slice(0, 10)}, load average ${load.toFixed(2)}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
  ])
}

/** Writes what README.md refers to. */
export function publish(report: string, picture: string): void {
  writeFileSync(join(benchFolder, 'results.svg'), picture)
  writeFileSync(
    join(benchFolder, 'RESULTS.md'),
    `# Results\n\nWritten by \`npm run bench -- --full --publish\`; [how to read it](README.md#how-to-read-it).\n\n` +
      `![The main figures as bars](results.svg)\n\n${report}\n`,
  )
}
