/** The figures of all contestants as tables in Markdown. */
import { wsWithAddon } from './contestant.ts'
import { format, markdownTable, type Unit } from './format.ts'
import { figuresOf, medianOf, ratioOf, type Sample } from './sample.ts'
import type { Workload } from './workload.ts'

interface Column {
  readonly head: string
  readonly figure: string
  readonly unit: Unit
  /** The lowest of the rounds instead of their median. */
  readonly lowest?: boolean
}

/** The workloads that can share a table. */
interface Section {
  readonly title: string
  readonly kinds: readonly Workload['kind'][]
  readonly columns: readonly Column[]
}

const cpu: readonly Column[] = [
  { head: 'CPU', figure: 'cpu', unit: 'microseconds' },
  { head: 'best round', figure: 'cpu', unit: 'microseconds', lowest: true },
  { head: 'per second', figure: 'perSecond', unit: 'count' },
  { head: 'busy', figure: 'busy', unit: 'share' },
  { head: 'load busy', figure: 'loadBusy', unit: 'share' },
]

const sections: readonly Section[] = [
  { title: 'Servers: CPU time per message', kinds: ['echo', 'room'], columns: cpu },
  { title: 'Clients: CPU time per message', kinds: ['receive', 'send'], columns: cpu },
  { title: 'Servers: CPU time per opening handshake', kinds: ['handshake'], columns: cpu },
  {
    title: 'Servers: memory per idle connection',
    kinds: ['idle'],
    columns: [
      { head: 'resident', figure: 'resident', unit: 'bytes' },
      { head: 'heap', figure: 'heap', unit: 'bytes' },
    ],
  },
  {
    title: 'Servers: time until a message is back',
    kinds: ['latency'],
    columns: [
      { head: 'p50', figure: 'p50', unit: 'milliseconds' },
      { head: 'p99', figure: 'p99', unit: 'milliseconds' },
      { head: 'p99.9', figure: 'p999', unit: 'milliseconds' },
      { head: 'longest', figure: 'longest', unit: 'milliseconds' },
      { head: 'came back', figure: 'answered', unit: 'share' },
      { head: 'resident memory', figure: 'resident', unit: 'bytes' },
    ],
  },
  {
    title: 'Time from close() to closed',
    kinds: ['closing'],
    columns: [
      { head: 'p50', figure: 'p50', unit: 'milliseconds' },
      { head: 'p99', figure: 'p99', unit: 'milliseconds' },
      { head: 'longest', figure: 'longest', unit: 'milliseconds' },
    ],
  },
]

/** One table for each section that anything was measured for, with its title. */
export function tablesOf(workloads: readonly Workload[], samples: readonly Sample[]): string {
  return sections
    .map(({ title, kinds, columns }) => {
      const own = workloads.filter(({ kind }) => kinds.includes(kind))
      const rows = own.flatMap((workload) => rowsOf(workload, columns, samples))
      const heads = ['workload', 'contestant', ...columns.map(({ head }) => head), '÷ limit', '÷ ws']
      return rows.length === 0 ? '' : `### ${title}\n\n${markdownTable(heads, rows, 2)}`
    })
    .filter((section) => section !== '')
    .join('\n\n')
}

/** The contestants that took part, in the order of the samples. */
export function contestantsOf(workload: Workload, samples: readonly Sample[]): readonly string[] {
  return samples
    .filter((each) => each.workload === workload.name && each.round === 1)
    .map((each) => each.contestant)
}

function rowsOf(workload: Workload, columns: readonly Column[], samples: readonly Sample[]): string[][] {
  const [limit = ''] = workload.limits
  return contestantsOf(workload, samples).map((contestant, at) => [
    at === 0 ? workload.name : '',
    contestant,
    ...columns.map(({ figure, unit, lowest = false }) => {
      const values = figuresOf(samples, workload.name, contestant, figure)
      return format(lowest ? Math.min(...values) : medianOf(values), unit)
    }),
    format(ratioOf(samples, workload, contestant, limit), 'ratio'),
    format(ratioOf(samples, workload, contestant, wsWithAddon), 'ratio'),
  ])
}
