/** What a measurement finds. */
import type { Workload } from './workload.ts'

/** By name; see table.ts for what they mean. */
export type Figures = Readonly<Record<string, number>>

/** One contestant under one workload in one round. */
export interface Sample {
  readonly workload: string
  readonly contestant: string
  readonly round: number
  readonly figures: Figures
}

/** The figure that contestants are compared by. */
export const mainFigures: Readonly<Record<Workload['kind'], string>> = {
  echo: 'cpu',
  room: 'cpu',
  receive: 'cpu',
  send: 'cpu',
  handshake: 'cpu',
  idle: 'resident',
  latency: 'p99',
  closing: 'p50',
}

export function medianOf(values: readonly number[]): number {
  return quantileOf(values, 0.5)
}

/** The value below which such a share of the values is; between two of them, in proportion. */
export function quantileOf(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const below = sorted[Math.floor(at)] ?? NaN
  const above = sorted[Math.ceil(at)] ?? NaN
  return below + (above - below) * (at - Math.floor(at))
}

/** A figure of one contestant under one workload, round by round. */
export function figuresOf(
  samples: readonly Sample[],
  workload: string,
  contestant: string,
  figure: string,
): readonly number[] {
  return samples
    .filter((each) => each.workload === workload && each.contestant === contestant)
    .map((each) => each.figures[figure] ?? NaN)
}

/**
 * How much more than another one a contestant needs: the median of the ratios of each round, since what disturbs a
 * round disturbs both. NaN where one of them did not take part.
 */
export function ratioOf(
  samples: readonly Sample[],
  { name, kind }: Pick<Workload, 'name' | 'kind'>,
  contestant: string,
  reference: string,
): number {
  const figure = mainFigures[kind]
  const own = figuresOf(samples, name, contestant, figure)
  const others = figuresOf(samples, name, reference, figure)
  return medianOf(own.map((each, round) => each / (others[round] ?? NaN)))
}
