/** Rows M: what is left when connections have come and gone, and what an idle one pins. */
import { Buffer } from 'node:buffer'
import { Opcode } from '../../frames/opcode.ts'
import { Random } from '../fuzz/random.ts'
import { compress } from '../lib/deflate/samples.ts'
import { type Attacker, dial, frame } from './attacker.ts'
import { fit } from './fit.ts'
import type { Ledger } from './ledger.ts'
import type { Row } from './row.ts'
import { besiege, settled } from './siege.ts'
import type { Target, TargetOptions } from './target.ts'

const { text, binary, ping, close } = Opcode
const offer = 'permessage-deflate; client_max_window_bits'

/** One life of a connection, from the connect to its end. */
type Life = (target: Target) => Promise<void>

/** Connects, has a message echoed, and ends in that way. */
function life(offered: string, end: (attacker: Attacker) => void): Life {
  const message = 'hello '.repeat(100)
  const compressed = compress(message)
  return async (target) => {
    const attacker = await target.attacker(offered)
    await attacker.write(frame(text, offered === '' ? message : compressed, { rsv1: offered !== '' }))
    await attacker.until(() => attacker.frames.length === 1 || attacker.closed)
    end(attacker)
    await attacker.until(() => attacker.closed)
  }
}

const bye = frame(close, Buffer.from([3, 232]))
const broken = Buffer.from('f18000000000', 'hex')
const ends: readonly ((attacker: Attacker) => void)[] = [
  (attacker) => void attacker.socket.write(bye),
  (attacker) => void attacker.socket.write(broken),
  (attacker) => void attacker.socket.end(),
  (attacker) => attacker.reset(),
]

const refused: Life = async (target) => {
  const socket = await dial(target.port)
  socket.resume()
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
  await new Promise((resolve) => socket.once('close', resolve))
}

const lives: readonly [Life, ...Life[]] = [
  refused,
  ...['', offer].flatMap((offered) => ends.map((end) => life(offered, end))),
]

async function churn(ledger: Ledger): Promise<void> {
  // It takes as many until V8 has compiled and optimised most of what it will.
  const warm = 120_000
  const all = 220_000
  const step = 5000
  const atOnce = 20
  await besiege(ledger, 'churn', { compression: true }, async (target) => {
    const random = new Random('M1')
    const points: [cycles: number, heap: number][] = []
    let begun = 0
    const line = async (until: number): Promise<void> => {
      while (begun < until) {
        begun++
        await random.pick(lives)(target)
      }
    }
    const before = await settled(target)
    while (begun < all) {
      const until = begun + step
      await Promise.all(Array.from({ length: atOnce }, () => line(until)))
      target.dismiss()
      await settled(target, before)
      if (begun <= warm) continue
      const { heap, code } = await target.collect()
      points.push([begun, heap - code])
    }
    const { slope, error } = fit(points)
    // Two standard errors on each side are 95 %.
    ledger.note(
      `heap of a cycle without compiled code, over ${all - warm}, ± ${(2 * error).toFixed(2)} B`,
      slope,
      16,
      'B',
    )
    ledger.must('the interval holds 0, or lies below it', slope - 2 * error <= 0)
  })
}

interface Idle {
  readonly name: string
  /** What each has said before it fell silent. */
  readonly said: Buffer
  /** More may follow; default true. */
  readonly whole?: boolean
  /** What has to be remembered of it, in KB; default nothing. */
  readonly story?: number
  readonly options?: TargetOptions
}

const idlers: readonly Idle[] = [
  { name: 'nothing', said: Buffer.alloc(0), whole: false },
  { name: 'a message of 60 KiB', said: frame(binary, Buffer.alloc(60 * 1024, 1)) },
  { name: 'a message of 100 bytes', said: frame(binary, Buffer.alloc(100, 1)) },
  { name: 'a Ping', said: frame(ping, 'a Ping') },
  { name: 'half a header', said: frame(binary, Buffer.alloc(200)).subarray(0, 3), whole: false },
  {
    name: 'a Close with a reason',
    said: frame(close, Buffer.concat([Buffer.from([3, 232]), Buffer.alloc(100, 'reason ')])),
    whole: false,
    story: 0.5,
    options: { closeReply: 'manual' },
  },
]

async function idle(ledger: Ledger): Promise<void> {
  const count = 1000
  let plain = { heap: NaN, memory: NaN }
  for (const { name, said, whole = true, story = 0, options = {} } of idlers) {
    await besiege(ledger, name, { manner: 'echo', ...options }, async (target) => {
      const enter = async (): Promise<void> => {
        const attackers = await target.attackers(count)
        for (const attacker of attackers) {
          if (said.length > 0) await attacker.write(said)
          if (whole) await attacker.flush()
        }
        // Behind half a header nothing may follow: the server has it when one that came later is served.
        await (await target.attacker()).flush()
      }
      await enter()
      target.dismiss()
      await settled(target)
      const before = { heap: (await target.collect()).heap, memory: target.memory.now }
      await enter()
      const { heap } = await target.collect()
      const each = {
        heap: (heap - before.heap) / count / 1000,
        memory: (target.memory.now - before.memory) / count / 1000,
      }
      if (name === 'nothing') plain = each
      ledger.note(`${name}: heap and buffers of each of ${count}`, each.heap, 1.1 * plain.heap + story, 'KB')
      // So few connections more or less are lost in what V8 keeps for later; a slab of 64 KiB each would not be.
      ledger.note(`${name}: resident memory of each`, each.memory, plain.memory + 16, 'KB')
    })
  }
}

export const memoryRows: readonly Row[] = [
  { id: 'M1', attack: '100,000 connections come and go in every way', run: churn },
  { id: 'M2', attack: '1,000 connections that are idle after a message, a Ping, half a header …', run: idle },
]
