/** A little chaos, and proof that it would find what it looks for. `npm run chaos` does more of it. */
import t from 'tap'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { ChaosResult } from './chaos.ts'
import { cutKinds, planOf } from './plan.ts'
import { sabotages } from './sabotage.ts'
import type { ChaosTask } from './worker.ts'

const seed = Number(process.env['FAREWELL_SEED'] ?? 6455)

const worker = new Worker(new URL('worker.js', import.meta.url))
const ended = once(worker, 'exit')

/** undefined is the end. */
function tell(task: ChaosTask | undefined): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no other origin
  worker.postMessage(task)
}

async function chaosInWorker(task: ChaosTask): Promise<ChaosResult> {
  tell(task)
  const [result]: ChaosResult[] = await once(worker, 'message')
  if (result === undefined) throw new Error('no result')
  return result
}

await t.test(`X1: some thousand messages of seed ${seed}, and no violation`, async (t) => {
  const result = await chaosInWorker({ seed, messages: 2000, atOnce: 16 })
  t.strictSame(result.violations, [])
  t.ok(result.messages >= 2000, `${result.messages} messages over ${result.connections} connections`)
  t.ok(result.clean > 0 && result.unclean > 0, 'ends of both kinds')
})

await t.test('X1: the same seed decides the same, whatever the connections', async (t) => {
  for (const number of [0, 1, 1000]) t.strictSame(planOf(seed, number), planOf(seed, number))
  t.notSame(planOf(seed, 0), planOf(seed, 1))
  t.notSame(planOf(seed, 0), planOf(seed + 1, 0))
  const plans = Array.from({ length: 300 }, (_, number) => planOf(seed, number))
  for (const kind of cutKinds)
    for (const direction of ['up', 'down'] as const)
      t.ok(
        plans.some((plan) => plan[direction].cut?.kind === kind),
        `${kind} ${direction}`,
      )
})

await t.test('X1: a cut happens at its byte, again and again', async (t) => {
  // The first whose cut falls behind the handshake and is one that cannot be missed.
  const isCut = ({ up }: ReturnType<typeof planOf>): boolean => up.cut !== undefined && up.cut.at < 150
  const only = Array.from({ length: 300 }, (_, number) => planOf(seed, number)).find(isCut)?.number
  t.type(only, 'number')
  const once = await chaosInWorker({ seed, messages: 0, only: only! })
  t.strictSame(once.cuts, { [planOf(seed, only!).up.cut!.kind]: 1 })
  t.strictSame(await chaosInWorker({ seed, messages: 0, only: only! }), once)
})

for (const bug of Object.keys(sabotages)) {
  await t.test(`X1: it is found when ${bug}`, async (t) => {
    const { violations } = await chaosInWorker({ seed, messages: 1000, atOnce: 4, bug })
    t.not(violations.length, 0)
    t.comment(violations[0])
  })
}

await t.test('the worker ends by itself', async (t) => {
  tell(undefined)
  t.strictSame(await ended, [0])
})
