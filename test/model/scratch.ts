import { configurations, everything, shipped } from './model.ts'
import { explore } from './explore.ts'
const want = process.argv[2]
for (const c of [...configurations, everything]) {
  if (want !== undefined ? !c.name.startsWith(want) : c === everything) continue
  const t0 = Date.now()
  const r = explore(shipped, c)
  console.log(c.name.padEnd(50), r.worlds, r.steps, Date.now() - t0, 'ms', Math.round(process.memoryUsage().rss / 1e6), 'MB')
  for (const [k, v] of r.broken) console.log('   ', k, v)
}
