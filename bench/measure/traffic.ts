/** What messages cost the contestant. */
import type { ContestantProcess } from '../contestant.ts'
import { openLoad } from '../load.ts'
import type { Plan } from '../plan.ts'
import type { Figures } from '../sample.ts'
import type { Traffic } from '../workload.ts'
import { figuresBetween, untilUsed, usageOf } from './usage.ts'

export async function measureTraffic(
  contestant: ContestantProcess,
  workload: Traffic,
  { firstWarmUp, warmUp, duration }: Plan,
  round: number,
): Promise<Figures> {
  const load = await openLoad(contestant, workload)
  const between = (): Promise<void> => load.counter.next()
  const now = usageOf.bind(undefined, contestant, () => load.counter.total)
  load.start()
  const begun = await now()
  const before = await untilUsed(round === 1 ? firstWarmUp : warmUp, begun, between, now)
  const after = await untilUsed(duration, before, between, now)
  await load.close()
  return figuresBetween(before, after)
}
