/** How long echoes take at a steady rate, while one connection more sends what it may and reads nothing. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ContestantProcess } from '../contestant.ts'
import { echoExchange, tryOnce } from '../exchange.ts'
import type { Plan } from '../plan.ts'
import { type Figures, quantileOf } from '../sample.ts'
import { closeWires, openWires } from '../wires.ts'
import type { Latency } from '../workload.ts'

export async function measureLatency(
  contestant: ContestantProcess,
  workload: Latency,
  { latency }: Plan,
): Promise<Figures> {
  const { frames } = contestant.contestant
  const exchange = echoExchange({ size: workload.size, content: 'binary', inFlight: 1 }, frames)
  const wires = await openWires(contestant, workload.connections, (wire) => tryOnce(wire, exchange))
  const times: number[] = []
  const queues = wires.map((wire) => {
    /** When the messages were sent that have not come back. */
    const sent: number[] = []
    let partial = 0
    wire.take = ({ length }) => {
      for (partial += length; partial >= exchange.replySize; partial -= exchange.replySize) {
        times.push(performance.now() - (sent.shift() ?? NaN))
      }
    }
    return { wire, sent }
  })

  const big = echoExchange({ size: workload.stalledSize, content: 'binary', inFlight: 1 }, frames)
  const [stalled] = await openWires(contestant, 1)
  stalled?.stall()

  const before = await contestant.memory()
  const begun = performance.now()
  let messages = 0
  for (let elapsed = 0; elapsed < latency; elapsed = performance.now() - begun) {
    for (const due = (elapsed / 1000) * workload.messagesPerSecond; messages < due; messages++) {
      const queue = queues[messages % queues.length]
      queue?.sent.push(performance.now())
      queue?.wire.write(exchange.requests)
    }
    if (stalled?.waiting === 0) stalled.write(big.requests)
    await sleep(1)
  }
  const resident = (await contestant.memory()).resident - before.resident
  await closeWires([...wires, ...(stalled === undefined ? [] : [stalled])])
  return {
    p50: quantileOf(times, 0.5),
    p99: quantileOf(times, 0.99),
    p999: quantileOf(times, 0.999),
    longest: quantileOf(times, 1),
    resident,
    answered: times.length / messages,
  }
}
