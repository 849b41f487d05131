/** Figures as a table in Markdown. */

/** One contestant under one workload in one round. */
export interface Sample {
  readonly workload: string
  readonly contestant: string
  readonly round: number
  readonly messagesPerSecond: number
  /** CPU time of the server per message, in µs. */
  readonly cpuPerMessage: number
  /** Share of one processor that the server used, and the load. */
  readonly serverBusy: number
  readonly loadBusy: number
}

type Figure = 'messagesPerSecond' | 'cpuPerMessage' | 'serverBusy' | 'loadBusy'

/** What the others are compared with, as far as they take part. */
const references = ['node:net', 'ws with bufferutil']

/** A row for each workload and contestant, medians over the rounds. */
export function tableOf(samples: readonly Sample[]): string {
  const heads = [
    'workload',
    'server',
    'messages/s',
    'server CPU per message',
    'best round',
    'server busy',
    'load busy',
  ]
  const rows = [
    [...heads, ...references.map((name) => `CPU ÷ ${name}`)],
    ['---', '---', ...heads.slice(2).map(() => '--:'), ...references.map(() => '--:')],
  ]
  let before: string | undefined
  for (const { workload, contestant } of samples.filter(({ round }) => round === 1)) {
    const own = samplesOf(samples, workload, contestant)
    const median = (figure: Figure): number => medianOf(own.map((each) => each[figure]))
    rows.push([
      workload === before ? '' : workload,
      contestant,
      Math.round(median('messagesPerSecond')).toLocaleString('en'),
      microseconds(median('cpuPerMessage')),
      microseconds(Math.min(...own.map((each) => each.cpuPerMessage))),
      percent(median('serverBusy')),
      percent(median('loadBusy')),
      ...references.map((name) => ratio(own, samplesOf(samples, workload, name))),
    ])
    before = workload
  }
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

function samplesOf(samples: readonly Sample[], workload: string, contestant: string): readonly Sample[] {
  return samples.filter((each) => each.workload === workload && each.contestant === contestant)
}

/** The median of the ratios of each round: what disturbs a round disturbs both. */
function ratio(own: readonly Sample[], reference: readonly Sample[]): string {
  if (reference.length === 0) return '–'
  const ratios = own.map((each, at) => each.cpuPerMessage / (reference[at]?.cpuPerMessage ?? NaN))
  return medianOf(ratios).toFixed(2)
}

function microseconds(value: number): string {
  return `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} µs`
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`
}
