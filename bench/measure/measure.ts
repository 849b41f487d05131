/** One contestant under one workload in one round. */
import type { ContestantProcess } from '../contestant.ts'
import type { Plan } from '../plan.ts'
import type { Figures } from '../sample.ts'
import type { Workload } from '../workload.ts'
import { measureClosing } from './closing.ts'
import { measureHandshake } from './handshake.ts'
import { measureIdle } from './idle.ts'
import { measureLatency } from './latency.ts'
import { measureTraffic } from './traffic.ts'

export function measure(
  contestant: ContestantProcess,
  workload: Workload,
  plan: Plan,
  round: number,
): Promise<Figures> {
  const { kind } = workload
  if (kind === 'handshake') return measureHandshake(contestant, plan, round)
  if (kind === 'idle') return measureIdle(contestant, workload, plan)
  if (kind === 'latency') return measureLatency(contestant, workload, plan)
  if (kind === 'closing') return measureClosing(contestant, workload, plan, round)
  return measureTraffic(contestant, workload, plan, round)
}
