/** How long it takes from `close()` until the connection is closed, with a peer that answers at once. */
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ContestantProcess } from '../contestant.ts'
import { encodeFrame, Opcode } from '../../frames/index.ts'
import type { Plan } from '../plan.ts'
import { type Figures, quantileOf } from '../sample.ts'
import type { Wire } from '../wire.ts'
import { acceptWires, openWires } from '../wires.ts'
import type { Closing } from '../workload.ts'

export async function measureClosing(
  contestant: ContestantProcess,
  { role }: Closing,
  { closings }: Plan,
  round: number,
): Promise<Figures> {
  const count = round === 1 ? 2 * closings : closings
  for (let left = count; left > 0; left--) {
    const [wire] = await (role === 'server' ? openWires : acceptWires)(contestant, 1)
    if (wire !== undefined) await beClosed(wire, role)
  }
  // The contestant may take longer than the wire to see the end.
  const all: number[] = []
  while (all.length < count) {
    all.push(...(await contestant.closeTimes()))
    await sleep(5)
  }
  const times = all.slice(-closings)
  return { p50: quantileOf(times, 0.5), p99: quantileOf(times, 0.99), longest: quantileOf(times, 1) }
}

/** Asks the contestant by a message to close, answers its Close, and leaves it to the server to end TCP. */
async function beClosed(wire: Wire, role: Closing['role']): Promise<void> {
  const mask = role === 'server' ? { maskKey: randomInt(2 ** 32) } : {}
  wire.write(encodeFrame({ opcode: Opcode.binary, payload: Buffer.from([1]), ...mask }))
  const header = await wire.read(2)
  if (header[0] !== 0x88) throw new Error('something else than a Close came')
  // The status code that came, if there is one: 1000 answers it as well.
  wire.write(encodeFrame({ opcode: Opcode.close, payload: Buffer.from([0x03, 0xe8]), ...mask }))
  if (role === 'client') wire.end()
  await wire.ended()
  await wire.close()
}
