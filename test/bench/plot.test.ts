import t from 'tap'
import { panelsOf } from '../../bench/publication.ts'
import { type Bar, plotOf } from '../../bench/plot.ts'
import { workloads } from '../../bench/workload.ts'

function bar(name: string, value: number, rank: Bar['rank']): Bar {
  return { name, value, text: `${value} µs`, rank }
}

t.test('bars are as long as their values, and cut with a point beyond four times ours', async (t) => {
  const bars = [bar('limit', 10, 'limit'), bar('ours', 20, 'own'), bar('slow & bad', 800, 'peer')]
  const picture = plotOf([{ title: 'a < b', subtitle: '', bars }], [])
  const [limit = [], own = [], slow = []] = [
    ...picture.matchAll(/<path class="(\w+)" d="M\d+ \d+ h([\d.]+)( l)?/g),
  ]
  t.strictSame([limit[1], own[1], slow[1]], ['limit', 'own', 'peer'])
  t.equal(Number(own[2]), 2 * Number(limit[2]))
  t.equal(own[3], undefined)
  t.equal(slow[3], ' l', 'has a point')
  t.ok(Number(slow[2]) > 3.5 * Number(own[2]) && Number(slow[2]) < 4 * Number(own[2]))
  t.match(picture, /<text class="own"[^>]*>ours</)
  t.match(picture, 'a &lt; b')
  t.match(picture, 'slow &amp; bad')
})

t.test('the picture shows the workloads that were measured, with ours told apart', async (t) => {
  const figures = { cpu: 5 }
  const samples = [{ workload: '64 B × 64', contestant: 'farewell', round: 1, figures }]
  const [panel, ...more] = panelsOf(workloads, samples)
  t.strictSame(more, [])
  t.strictSame(panel, {
    title: '64 B × 64',
    subtitle: 'echo: server CPU per message',
    bars: [{ name: 'farewell', value: 5, text: '5.00 µs', rank: 'own' }],
  })
  t.match(plotOf(panel === undefined ? [] : [panel], ['caption']), /^<svg .*\n[^]*caption[^]*<\/svg>\n$/)
})
