/** That a soak finds what it looks for: its statistics and its verdicts, on numbers made up for it. */
import t from 'tap'
import type { Ending, Report } from './child.ts'
import { plotOf } from './plot.ts'
import { trendOf } from './trend.ts'
import { judge, type Run } from './verdict.ts'

const before = { descriptors: 20, resources: ['PipeWrap'] }
const ending: Ending = { story: { counts: {}, faults: {} }, before, after: before, escaped: [] }

/** A soak of an hour in which the heap grows by so many bytes an hour, up and down by 100 kB meanwhile. */
function runOf(growth: number, change: Partial<Ending> = {}): Run {
  const samples = Array.from({ length: 120 }, (_, at) => {
    const minute = (at + 1) / 2
    const heap = 20e6 + (growth * minute) / 60 + (at % 2 === 0 ? 1e5 : -1e5)
    const report: Report = { heap, external: 5e6, rss: 100e6, delay99: 10, counts: {}, ...before }
    return { minute, server: report, load: report }
  })
  const exits = [
    [0, null],
    [0, null],
  ]
  return { minutes: 60, samples, endings: { server: { ...ending, ...change }, load: ending }, exits }
}

function missed(run: Run): string[] {
  return judge(run)
    .filter(({ holds }) => !holds)
    .map(({ what }) => what.replace(/,.*/, ''))
}

await t.test('the trend of a line is its slope, without doubt; of noise, its margin covers 0', async (t) => {
  const line = trendOf([1, 2, 3, 4].map((x) => [x, 3 * x + 1]))
  t.ok(Math.abs(line.slope - 3) < 1e-12 && line.margin < 1e-6)
  t.equal(line.mean, 8.5)
  // By hand: slope 0.2, what is left in squares 0.8, over 2 degrees, and a spread of 5; t at 97.5 % is 4.303.
  const noise = trendOf([0, 1, 0, 1].map((y, x) => [x, y]))
  t.ok(Math.abs(noise.slope - 0.2) < 1e-12)
  t.ok(Math.abs(noise.margin - 4.303 * Math.sqrt(0.8 / 2 / 5)) < 0.1)
  t.ok(Number.isNaN(trendOf([[1, 1]]).slope), 'of two points nothing can be said')
})

await t.test('an hour without growth holds, with 3 MB of it it does not', async (t) => {
  t.strictSame(missed(runOf(0)), [])
  t.strictSame(missed(runOf(3e6)), ['server: heap after collection', 'load: heap after collection'])
})

await t.test(
  'a descriptor, a timer, an escaped error, a fault of an honest peer and a process are not left',
  async (t) => {
    const held = 'server: descriptors and resources after the end'
    t.strictSame(missed(runOf(0, { after: { ...before, descriptors: 21 } })), [held])
    t.strictSame(missed(runOf(0, { after: { ...before, resources: ['PipeWrap', 'Timeout'] } })), [held])
    t.strictSame(missed(runOf(0, { escaped: ['Error'] })), ['server: nothing escaped'])
    t.strictSame(missed({ ...runOf(0), exits: [] }), ['both processes ended by themselves with 0'])
    const run = runOf(0)
    const load = { ...ending, story: { counts: {}, faults: { 'an echo that is not what was sent': 1 } } }
    t.strictSame(missed({ ...run, endings: { ...run.endings, load } }), ['honest peers had no fault'])
  },
)

await t.test('a plot has a line for each line, from its beginning to its end', async (t) => {
  const points = [
    [0, 0],
    [10, 5],
  ] as const
  const svg = plotOf('a < b', [{ title: 'one', lines: [{ name: 'x', points }] }])
  t.match(svg, /<polyline points="60\.0,155\.0 780\.0,60\.0"/)
  t.match(svg, 'a &lt; b')
})
