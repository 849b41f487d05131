/** What was measured in a row of the attack matrix, beside its bound. */

export type Unit = 'MB' | 'KB' | 'B' | 'ms' | 's' | 'ms CPU' | 'µs CPU'

/** A time of the clock says as much of the machine as of the server: it may be `late`, and is not judged. */
export type Verdict = 'holds' | 'MISSES' | 'late'

export interface Entry {
  readonly what: string
  /** The figure and its bound with their unit; empty where it holds or does not. */
  readonly measured: string
  readonly bound: string
  readonly verdict: Verdict
}

export class Ledger {
  readonly entries: Entry[] = []
  /** In `npm test`: less of everything that is done often, and no bystander. */
  readonly quick: boolean

  constructor(quick: boolean) {
    this.quick = quick
  }

  /** How often something is done that the matrix wants done so often: a fiftieth where it must be quick. */
  times(count: number): number {
    return this.quick ? Math.ceil(count / 50) : count
  }

  /** The figure must not be above its bound. */
  note(what: string, measured: number, bound: number, unit: Unit): void {
    const clock = unit === 'ms' || unit === 's'
    const verdict = measured <= bound ? 'holds' : clock ? 'late' : 'MISSES'
    this.entries.push({ what, measured: figure(measured, unit), bound: figure(bound, unit), verdict })
  }

  must(what: string, holds: boolean): void {
    this.entries.push({ what, measured: '', bound: '', verdict: holds ? 'holds' : 'MISSES' })
  }

  /** Nothing that is judged misses its bound. */
  get holds(): boolean {
    return this.entries.every(({ verdict }) => verdict !== 'MISSES')
  }
}

function figure(value: number, unit: Unit): string {
  return `${value.toFixed(Math.abs(value) < 10 ? 2 : 1)} ${unit}`
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
}
