/** What farewell is to reach, and whether it does. */
import { wsWithAddon } from './contestant.ts'
import { format, markdownTable } from './format.ts'
import { ratioOf, type Sample } from './sample.ts'
import type { Workload } from './workload.ts'

interface Goal {
  readonly workload: string
  /** The contestants that farewell is compared with, and the ratio that is to be reached with each. */
  readonly atMost: Readonly<Record<string, number>>
}

const goals: readonly Goal[] = [
  { workload: '64 B × 64', atMost: { 'node:net': 1.1, [wsWithAddon]: 0.8 } },
  { workload: '64 B × 64, 32 in flight', atMost: { 'node:net': 2, [wsWithAddon]: 0.1, Bun: 1 } },
  { workload: '64 KiB × 8', atMost: { 'node:net': 1.25, [wsWithAddon]: 0.8, Bun: 1, Deno: 1 } },
  { workload: '1 MiB × 4', atMost: { 'node:net': 1.3, [wsWithAddon]: 0.7, Bun: 1, Deno: 1 } },
  { workload: '64 MiB × 1', atMost: { 'node:net': 1.3, [wsWithAddon]: 0.7, Bun: 1, Deno: 1 } },
  { workload: '1 MiB in fragments of 64 B × 1', atMost: { [wsWithAddon]: 0.3 } },
  { workload: 'broadcast 64 B to 1,000', atMost: { 'http upgrade': 1.15, [wsWithAddon]: 0.6 } },
  { workload: 'broadcast 4 KiB to 1,000', atMost: { 'http upgrade': 1.15, [wsWithAddon]: 0.6 } },
  ...['64 B', '64 KiB', '1 MiB'].flatMap((size) =>
    ['receive', 'send'].map((direction) => ({
      workload: `client, ${direction} ${size}`,
      atMost: { [wsWithAddon]: 1, undici: 0.5 },
    })),
  ),
  { workload: 'handshake', atMost: { 'http upgrade': 1.05, [wsWithAddon]: 1 } },
  { workload: 'idle connection', atMost: { 'http upgrade': 1.15, [wsWithAddon]: 1 } },
]

/** The goals that were measured; empty where none was. */
export function goalTable(workloads: readonly Workload[], samples: readonly Sample[]): string {
  const rows = goals.flatMap((goal) => {
    const workload = workloads.find(({ name }) => name === goal.workload)
    if (workload === undefined) return []
    return Object.entries(goal.atMost).flatMap(([reference, atMost]) => {
      const ratio = ratioOf(samples, workload, 'farewell', reference)
      if (Number.isNaN(ratio)) return []
      const met = ratio <= atMost ? 'yes' : '**no**'
      return [[goal.workload, reference, format(ratio, 'ratio'), format(atMost, 'ratio'), met]]
    })
  })
  if (rows.length === 0) return ''
  return markdownTable(['workload', 'farewell ÷', 'ratio', 'at most', 'reached'], rows, 2)
}
