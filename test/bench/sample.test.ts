import t from 'tap'
import { figuresOf, medianOf, quantileOf, ratioOf, type Sample } from '../../bench/sample.ts'

t.test('a quantile lies between the two values next to it, in proportion', async (t) => {
  t.equal(medianOf([3, 1, 2]), 2)
  t.equal(medianOf([4, 1, 2, 3]), 2.5)
  t.equal(quantileOf([10, 20, 30, 40, 50], 0), 10)
  t.equal(quantileOf([10, 20, 30, 40, 50], 0.9), 46)
  t.equal(quantileOf([10, 20, 30, 40, 50], 1), 50)
  t.ok(Number.isNaN(medianOf([])), 'nothing has no median')
})

/** Two contestants, round by round. */
const samples: readonly Sample[] = [
  ...[10, 40, 10].map((cpu, at) => sample('ours', at + 1, cpu)),
  ...[20, 20, 40].map((cpu, at) => sample('theirs', at + 1, cpu)),
]
const echo = { name: 'echo', kind: 'echo' } as const

function sample(contestant: string, round: number, cpu: number): Sample {
  return { workload: 'echo', contestant, round, figures: { cpu } }
}

t.test('figures are those of one contestant under one workload, in order', async (t) => {
  t.strictSame(figuresOf(samples, 'echo', 'ours', 'cpu'), [10, 40, 10])
  t.strictSame(figuresOf(samples, 'another', 'ours', 'cpu'), [])
})

t.test('a ratio is the median of the ratios of each round, not the ratio of the medians', async (t) => {
  t.equal(ratioOf(samples, echo, 'ours', 'theirs'), 0.5)
  t.equal(ratioOf([...samples].toReversed(), echo, 'theirs', 'ours'), 2)
  t.ok(Number.isNaN(ratioOf(samples, echo, 'ours', 'nobody')), 'with nobody there is none')
})
