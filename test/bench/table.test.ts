import t from 'tap'
import { format } from '../../bench/format.ts'
import { goalTable } from '../../bench/goal.ts'
import type { Sample } from '../../bench/sample.ts'
import { scalingTables } from '../../bench/scaling.ts'
import { tablesOf } from '../../bench/table.ts'
import { workloads } from '../../bench/workload.ts'

function samplesOf(workload: string, costs: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(costs).map(([contestant, cpu]) => ({
    workload,
    contestant,
    round: 1,
    figures: { cpu, perSecond: 1e6 / cpu, busy: 0.5, loadBusy: 0.25 },
  }))
}

t.test('figures are written with three digits and their unit', async (t) => {
  t.equal(format(0.1234, 'microseconds'), '0.123 µs')
  t.equal(format(9999, 'microseconds'), '9,999 µs')
  t.equal(format(10_000, 'microseconds'), '10.0 ms')
  t.equal(format(12_345, 'microseconds'), '12.3 ms')
  t.equal(format(2.34567, 'milliseconds'), '2.35 ms')
  t.equal(format(1536, 'bytes'), '1.50 KiB')
  t.equal(format(5 * 1024 * 1024, 'bytes'), '5.00 MiB')
  t.equal(format(-5 * 1024 * 1024, 'bytes'), '-5.00 MiB')
  t.equal(format(999.6, 'count'), '1,000')
  t.equal(format(123_456.7, 'count'), '123,457')
  t.equal(format(-123_456.7, 'count'), '-123,457')
  t.equal(format(0.255, 'share'), '26 %')
  t.equal(format(1.005, 'ratio'), '1.00')
  t.equal(format(NaN, 'ratio'), '–')
})

t.test('a table compares each contestant with the limit and with ws, where they took part', async (t) => {
  const samples = samplesOf('64 B × 64', { 'node:net': 10, farewell: 12, 'ws with bufferutil': 24 })
  t.equal(
    tablesOf(workloads, samples),
    `### Servers: CPU time per message

| workload | contestant | CPU | best round | per second | busy | load busy | ÷ limit | ÷ ws |
| --- | --- | --: | --: | --: | --: | --: | --: | --: |
| 64 B × 64 | node:net | 10.0 µs | 10.0 µs | 100,000 | 50 % | 25 % | 1.00 | 0.42 |
|  | farewell | 12.0 µs | 12.0 µs | 83,333 | 50 % | 25 % | 1.20 | 0.50 |
|  | ws with bufferutil | 24.0 µs | 24.0 µs | 41,667 | 50 % | 25 % | 2.40 | 1.00 |`,
  )
  t.match(tablesOf(workloads, samplesOf('64 B × 64', { farewell: 12 })), / \| – \| – \|$/)
  const rounds = [10, 14, 30].flatMap((cpu, at) =>
    samplesOf('64 B × 64', { farewell: cpu }).map((sample) => ({ ...sample, round: at + 1 })),
  )
  t.match(tablesOf(workloads, rounds), '| farewell | 14.0 µs | 10.0 µs |', 'the median, and the lowest')
  t.equal(tablesOf(workloads, []), '', 'nothing measured is no table')
})

t.test('a goal is reached at its ratio, and told only where it was measured', async (t) => {
  const samples = samplesOf('64 B × 64', { 'node:net': 10, farewell: 11, 'ws with bufferutil': 12 })
  t.strictSame(goalTable(workloads, samples).split('\n').slice(2), [
    '| 64 B × 64 | node:net | 1.10 | 1.10 | yes |',
    '| 64 B × 64 | ws with bufferutil | 0.92 | 0.80 | **no** |',
  ])
  t.equal(goalTable(workloads, []), '')
})

t.test('scaling tells the cost per MiB and per message of those that took part all the way', async (t) => {
  const samples = [
    ...samplesOf('1 MiB × 1', { farewell: 500, Bun: 400 }),
    ...samplesOf('64 MiB × 1', { farewell: 64_000 }),
    ...samplesOf('64 B × 1', { farewell: 12 }),
  ]
  t.equal(
    scalingTables(workloads, samples),
    `### CPU time per MiB, one connection, by the size of a message

| server | 1 MiB | 64 MiB |
| --- | --: | --: |
| farewell | 500 µs | 1,000 µs |`,
  )
})
