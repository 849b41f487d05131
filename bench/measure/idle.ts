/** What connections that say nothing hold. */
import type { ContestantProcess } from '../contestant.ts'
import { echoExchange, tryOnce } from '../exchange.ts'
import type { Plan } from '../plan.ts'
import type { Figures } from '../sample.ts'
import { closeWires, openWires } from '../wires.ts'
import type { Idle } from '../workload.ts'

export async function measureIdle(
  contestant: ContestantProcess,
  workload: Idle,
  { idle }: Plan,
): Promise<Figures> {
  const { frames } = contestant.contestant
  const exchange = echoExchange({ size: 64, content: 'binary', inFlight: 1 }, frames)
  const open = (count: number): ReturnType<typeof openWires> =>
    openWires(contestant, count, (wire) => tryOnce(wire, exchange))

  const count = workload.connections * idle
  // What the code needs, whatever the number of connections, is there after the first ones.
  const first = await open(count / 10)
  const before = await contestant.memory()
  const rest = await open(count - first.length)
  const after = await contestant.memory()
  await closeWires([...first, ...rest])
  return {
    resident: (after.resident - before.resident) / rest.length,
    heap: (after.heap - before.heap) / rest.length,
  }
}
