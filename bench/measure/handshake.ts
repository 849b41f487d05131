/** What the opening handshake costs a server: TCP's and WebSocket's, without what comes later. */
import type { ContestantProcess } from '../contestant.ts'
import type { Plan } from '../plan.ts'
import type { Figures } from '../sample.ts'
import { closeWires, openWires } from '../wires.ts'
import { figuresBetween, usageOf } from './usage.ts'

export async function measureHandshake(
  contestant: ContestantProcess,
  { handshakes }: Plan,
  round: number,
): Promise<Figures> {
  // The connections are ended when the figures have been taken.
  if (round === 1) await closeWires(await openWires(contestant, 2 * handshakes))
  let opened = 0
  const now = usageOf.bind(undefined, contestant, () => opened)
  const before = await now()
  const wires = await openWires(contestant, handshakes)
  opened = wires.length
  const after = await now()
  await closeWires(wires)
  return figuresBetween(before, after)
}
