/** How cost grows with the size of a message and with the number of connections: linear where a row does not change. */
import { contestantsOf } from './table.ts'
import { format, markdownTable } from './format.ts'
import { figuresOf, medianOf, type Sample } from './sample.ts'
import type { Echo, Workload } from './workload.ts'

const MiB = 1024 * 1024

interface Series {
  readonly title: string
  /** The workloads of the series, in order. */
  readonly includes: (workload: Echo) => boolean
  readonly head: (workload: Echo) => string
  /** By how much the cost of a message is divided. */
  readonly divisor: (workload: Echo) => number
}

const isPlain = ({ content, inFlight, fragmentSize }: Echo): boolean =>
  content === 'binary' && inFlight === 1 && fragmentSize === undefined

const series: readonly Series[] = [
  {
    title: 'CPU time per MiB, one connection, by the size of a message',
    includes: (workload) => isPlain(workload) && workload.size >= MiB && workload.connections === 1,
    head: ({ size }) => `${size / MiB} MiB`,
    divisor: ({ size }) => size / MiB,
  },
  {
    title: 'CPU time per message of 64 B, by the number of connections',
    includes: (workload) => isPlain(workload) && workload.size === 64,
    head: ({ connections }) => connections.toLocaleString('en'),
    divisor: () => 1,
  },
]

export function scalingTables(workloads: readonly Workload[], samples: readonly Sample[]): string {
  return series
    .map(({ title, includes, head, divisor }) => {
      const points = workloads
        .filter((each) => each.kind === 'echo')
        .filter((each) => includes(each) && contestantsOf(each, samples).length > 0)
        .toSorted((a, b) => a.size - b.size || a.connections - b.connections)
      if (points.length < 2) return ''
      // Those that took part all the way.
      const contestants = new Set(points.flatMap((point) => contestantsOf(point, samples)))
      const rows = [...contestants]
        .filter((name) => points.every((point) => contestantsOf(point, samples).includes(name)))
        .map((name) => [
          name,
          ...points.map((point) =>
            format(medianOf(figuresOf(samples, point.name, name, 'cpu')) / divisor(point), 'microseconds'),
          ),
        ])
      return `### ${title}\n\n${markdownTable(['server', ...points.map(head)], rows, 1)}`
    })
    .filter((table) => table !== '')
    .join('\n\n')
}
