/**
 * Ten thousand schedules of calls on both sides, from one seed. `FAREWELL_SEED=7 FAREWELL_SCHEDULES=1` replays the one
 * that a failure names.
 */
import t from 'tap'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const firstSeed = Number(process.env['FAREWELL_SEED'] ?? 1)
const schedules = Number(process.env['FAREWELL_SCHEDULES'] ?? 10_000)

await t.test(`K6, E4: ${schedules} schedules from seed ${firstSeed}`, { timeout: 120_000 }, async (t) => {
  const worker = new Worker(new URL('races.js', import.meta.url), { workerData: { firstSeed, schedules } })
  const ended = once(worker, 'exit')
  const [faults] = await once(worker, 'message') // What escapes in the worker is an error event, and rejects this.
  t.strictSame(faults, [])
  t.strictSame(await ended, [0], 'and the worker ends by itself')
})
