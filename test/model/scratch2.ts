import { configurations, everything, shipped, type Configuration } from './model.ts'
import { explore } from './explore.ts'
const f = { ...everything.faults }
const tries: Configuration[] = [
  { ...everything, name: 'H closes 2', closes: 2 },
  { ...everything, name: 'H manual', manualReply: true },
  { ...everything, name: 'H +byz +failure', faults: { ...f, failure: 1 } },
  { ...everything, name: 'H +keepalive', faults: { ...f, keepalive: 1 } },
  { ...everything, name: 'H +byz', faults: { ...f, byzantine: 1 } },
]
for (const c of [...configurations.map(c => ({ ...c, closes: 2, messages: Math.max(1, c.messages) })), ...tries]) {
  const t0 = Date.now()
  try {
  const r = explore(shipped, c)
  console.log(c.name.padEnd(50), r.worlds, r.steps, Date.now() - t0, 'ms', Math.round(process.memoryUsage().rss / 1e6), 'MB', [...r.broken.keys()].join())
  for (const [k, v] of r.broken) console.log('   ', k, v)
  } catch (e) { console.log(c.name, e) }
}
