/** Rows X: everything at once. */
import { Buffer } from 'node:buffer'
import { Opcode } from '../../frames/opcode.ts'
import { compress } from '../lib/deflate/samples.ts'
import { type Attacker, frame } from './attacker.ts'
import type { Ledger } from './ledger.ts'
import { prove, type Row } from './row.ts'
import { besiege } from './siege.ts'

const offer = 'permessage-deflate; client_max_window_bits'

async function droppedAtOnce(ledger: Ledger): Promise<void> {
  const count = ledger.times(2500)
  // Its echo is compressed too, and takes the server a while.
  const words = Array.from({ length: 4000 }, (_, at) => `word ${(at * 7919) % 10_007}`).join(' ')
  const message = frame(Opcode.text, compress(words), { rsv1: true })
  const hello = frame(Opcode.text, compress('hello'), { rsv1: true })
  await besiege(ledger, 'dropped at once', { compression: true }, async (target) => {
    const attackers: Attacker[] = []
    for (let each = 0; each < count; each += 250)
      attackers.push(...(await target.attackers(Math.min(250, count - each), offer)))
    await Promise.all(attackers.map((attacker) => attacker.write(message)))
    // The first echo is there, most of the others are not.
    await attackers[0]?.until(() => attackers.some(({ frames, closed }) => frames.length > 0 || closed))
    const echoed = attackers.filter(({ frames }) => frames.length > 0).length
    for (const attacker of attackers) attacker.reset()
    const began = performance.now()
    const late = await target.attackers(20, offer)
    await Promise.all(
      late.map(async (attacker) => {
        await attacker.write(hello)
        await attacker.until(() => attacker.frames.length > 0 || attacker.closed)
      }),
    )
    ledger.note('20 that come then have their echo', (performance.now() - began) / 1000, 1, 's')
    ledger.must(`${count} dropped, ${echoed} of them with their echo`, echoed < count)
    ledger.must(
      'the 20 are served',
      late.every(({ frames, closed }) => !closed && Buffer.isBuffer(frames[0]?.payload)),
    )
  })
}

export const chaosRows: readonly Row[] = [
  {
    id: 'X1',
    attack: 'numbered messages through a network that splits, stalls, cuts and resets',
    run: (ledger) => prove(ledger, 'chaos/chaos', /./),
  },
  {
    id: 'X6',
    attack: '2,500 compressed connections dropped at once, then 20 new ones',
    cheap: true,
    run: droppedAtOnce,
  },
]
