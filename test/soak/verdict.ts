/** What a soak has to show, and whether it does. Times are shown and not judged. */
import { type Ending, type Report, sameAs } from './child.ts'
import { type Trend, trendOf } from './trend.ts'

export interface Sampled {
  readonly minute: number
  readonly server: Report
  readonly load: Report
}

export interface Run {
  readonly minutes: number
  readonly samples: readonly Sampled[]
  readonly endings: { readonly server: Ending; readonly load: Ending }
  /** Exit code and signal of each process; empty where they did not end. */
  readonly exits: readonly unknown[]
}

export interface Verdict {
  readonly what: string
  readonly measured: string
  /** Empty where it is only shown. */
  readonly bound: string
  readonly holds: boolean
}

/** From so many minutes on the bounds are those of an hour. */
const longRun = 15
const sides = ['server', 'load'] as const

export function judge({ minutes, samples, endings, exits }: Run): Verdict[] {
  // The first quarter warms up, at most ten minutes: code is compiled, pools and tables grow.
  const warm = samples.filter(({ minute }) => minute > Math.min(10, minutes / 4))
  const verdicts: Verdict[] = []
  for (const side of sides) {
    const trend = (of: 'heap' | 'external' | 'rss'): Trend =>
      trendOf(warm.map((sample) => [sample.minute, sample[side][of]]))
    verdicts.push(
      growth(`${side}: heap after collection`, minutes, trend('heap')),
      growth(`${side}: outside the heap after collection`, minutes, trend('external')),
      drift(side, minutes, trend('rss')),
    )
    const delays = warm.map((sample) => sample[side].delay99)
    verdicts.push(shown(`${side}: highest p99 of event loop delay`, `${Math.max(...delays).toFixed(1)} ms`))
    const { before, after, escaped } = endings[side]
    verdicts.push(
      {
        what: `${side}: descriptors and resources after the end`,
        measured: `${after.descriptors}, ${after.resources.join(' ') || 'nothing'}`,
        bound: `as before: ${before.descriptors}, ${before.resources.join(' ') || 'nothing'}`,
        holds: sameAs(before, after),
      },
      must(`${side}: nothing escaped`, escaped),
    )
  }
  const { faults, counts } = endings.load.story
  verdicts.push(
    must('honest peers had no fault', Object.entries(faults ?? {})),
    shown('peers', JSON.stringify(counts)),
    must(
      'both processes ended by themselves with 0',
      exits.length === 2 ? exits.flat().filter((each) => each !== 0 && each !== null) : ['still there'],
    ),
  )
  return verdicts
}

/**
 * Growth beyond doubt, which is the lower end of the confidence interval, stays below 1 MB an hour. Short runs are still
 * warming up, and see no more than what a connection leaves behind: 2 MB in all.
 */
function growth(what: string, minutes: number, { slope, margin, mean }: Trend): Verdict {
  const [least, bound, unit] =
    minutes >= longRun
      ? ([(slope - margin) * 60, 1e6, 'MB/h'] as const)
      : ([(slope - margin) * minutes * 0.75, 2e6, 'MB in the run'] as const)
  const hourly = `${figure(slope * 60)} ± ${figure(margin * 60)} MB/h`
  return {
    what: `${what}, mean ${figure(mean)} MB, slope`,
    measured: `${hourly}, so at least ${figure(least)} ${unit}`,
    bound: `${figure(bound)} ${unit}`,
    holds: least < bound,
  }
}

/** Beyond doubt less than 5 % over the rest of a long run; 25 % of a short one, in which the heap finds its size. */
function drift(side: string, minutes: number, { slope, margin, mean }: Trend): Verdict {
  const measuredFor = minutes - Math.min(10, minutes / 4)
  const least = ((slope - margin) * measuredFor * 100) / mean
  const bound = minutes >= longRun ? 5 : 25
  return {
    what: `${side}: resident memory, mean ${figure(mean)} MB, slope`,
    measured: `${figure(slope * 60)} ± ${figure(margin * 60)} MB/h, so at least ${least.toFixed(1)} % in the run`,
    bound: `${bound} %`,
    holds: least < bound,
  }
}

function must(what: string, faults: readonly unknown[]): Verdict {
  return {
    what,
    measured: faults.length === 0 ? 'none' : JSON.stringify(faults),
    bound: 'none',
    holds: faults.length === 0,
  }
}

function shown(what: string, measured: string): Verdict {
  return { what, measured, bound: '', holds: true }
}

function figure(bytes: number): string {
  return (bytes / 1e6).toFixed(2)
}
