/** Rows S: peers that read slowly or not at all, and sockets that take what they like. */
import { Buffer } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeClosePayload } from '../../frames/close-payload.ts'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { Connection } from '../../lib/connection.ts'
import type { Role } from '../../lib/lifecycle.ts'
import { Random } from '../fuzz/random.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns, until, watchProcess } from '../help/loop.ts'
import { memoryPair } from '../help/memory-pair.ts'
import { type Attacker, frame } from './attacker.ts'
import { type Ledger, percentile } from './ledger.ts'
import { prove, type Row } from './row.ts'
import { besiege, usualGrowth } from './siege.ts'
import type { Target } from './target.ts'

const mebibyte = 1024 * 1024
const { text, binary, ping, close } = Opcode

async function pushed(ledger: Ledger): Promise<void> {
  await prove(ledger, 'lib/connection', /S1|D10: at maxBufferedAmount/)
  await besiege(ledger, 'a peer that does not read', { manner: 'push' }, async (target) => {
    let cut = 0
    const { highest } = await usualGrowth(
      target,
      () => target.attackers(1),
      async ([attacker]) => {
        attacker?.socket.pause()
        await attacker?.write(frame(text, 'go'))
        await ended(target, ++cut)
      },
    )
    ledger.note('100 MB/s pushed at it: memory at the highest', highest, (16 * mebibyte) / 1e6 + 4, 'MB')
    const { ends } = await target.report()
    ledger.must(`cut by the limit each time: ${ends.limit} of ${cut}`, ends.limit === cut)
  })
}

/** So many connections have been cut for a limit, or will not be. */
async function ended(target: Target, count: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    await sleep(100)
    const { ends } = await target.report()
    if ((ends.limit ?? 0) >= count) return
  }
}

/** What garbage V8 leaves lying, and the most memory in MB that a flood may take with it. */
const collections: readonly (readonly [garbage: string, v8: readonly string[], bound: number])[] = [
  ['with garbage', [], 8],
  ['with at most 1 MB of young garbage', ['--max-semi-space-size=1'], 4],
]

async function flooded(ledger: Ledger): Promise<void> {
  const burst = Buffer.concat(Array.from({ length: 64 }, () => frame(text, 'a'.repeat(1024))))
  for (const [garbage, v8, bound] of collections) {
    await besiege(ledger, 'echo', { v8 }, async (target) => {
      let most = 0
      const { held, peak } = await usualGrowth(
        target,
        () => target.attackers(1),
        async ([attacker]) => {
          if (attacker === undefined) return
          attacker.socket.pause()
          // 64 MiB, or as much as the server reads.
          const over = sleep(2000).then(() => true)
          let sent = 0
          for (; sent < 64 * mebibyte; sent += burst.length) {
            if (await Promise.race([attacker.write(burst).then(() => false), over])) break
          }
          most = Math.max(most, sent)
        },
      )
      ledger.note('an echo server that is flooded and not read: held', held, 4, 'MB')
      ledger.note(`the same, ${garbage}`, peak, bound, 'MB')
      // Beside what the kernel holds on the way: at most some 10 MB on this machine's settings.
      ledger.note('… what it takes before it stops reading', most / 1e6, 24, 'MB')
    })
  }
}

/** What one seed does: messages of all sizes through a socket that takes as much as it likes, and may break. */
async function throttled(seed: number): Promise<string | undefined> {
  const random = new Random('S2', seed)
  const [ours, theirs] = memoryPair({
    capacity: 1 + random.below(random.pick([7, 64, 4096])),
    highWaterMark: 1 + random.below(4096),
    onDestroy: random.pick(['end', 'reset']),
  })
  const timers = new FakeTimers()
  const role: Role = random.once(2) ? 'client' : 'server'
  const maskKey = role === 'client' ? 0 : undefined
  const connection = new Connection(ours, { role, timers, random: (bytes) => bytes.fill(0) })
  let closes = 0
  connection.on('close', () => void closes++)

  const received: Buffer[] = []
  let size = 0
  theirs.on('data', (chunk: Buffer) => {
    received.push(chunk)
    size += chunk.length
  })
  theirs.on('error', () => {})
  const sent: Buffer[] = []

  const steps = 1 + random.below(12)
  const breaks = random.once(2) ? random.below(steps) : -1
  let broken = false
  for (let step = 0; step < steps; step++) {
    const large = random.once(10)
    const payload = Buffer.alloc(random.below(large ? 6000 : 200), step)
    const control = !large && random.once(4)
    if (control && payload.length <= 125) void connection.ping(payload)
    else connection.send(payload)
    const opcode = control && payload.length <= 125 ? ping : binary
    if (!broken) sent.push(encodeFrame({ opcode, payload, maskKey }))
    if (random.once(3)) ours.stall()
    if (random.once(2)) ours.unstall()
    if (step === breaks) {
      broken = true
      if (random.once(2)) theirs.reset()
      else theirs.destroy()
    }
    await turns(random.below(3))
  }
  ours.unstall()
  if (!broken) sent.push(encodeFrame({ opcode: close, payload: encodeClosePayload(1000), maskKey }))
  const whole = Buffer.concat(sent)
  void connection.close(1000)
  if (!broken) {
    await until(() => size >= whole.length || ours.destroyed)
    theirs.write(
      encodeFrame({
        opcode: close,
        payload: encodeClosePayload(1000),
        maskKey: role === 'server' ? 0 : undefined,
      }),
    )
    theirs.end()
  }
  const { wasClean } = await connection.closed
  await turns(2)
  const came = Buffer.concat(received)
  if (closes !== 1) return `${closes} close events`
  if (timers.armed > 0) return `${timers.armed} timers are left`
  if (!whole.subarray(0, came.length).equals(came)) return 'what came is not what was sent'
  if (!broken && came.length !== whole.length) return `${came.length} of ${whole.length} bytes came`
  if (!broken && !wasClean) return 'it did not end cleanly'
  return undefined
}

async function partialWrites(ledger: Ledger): Promise<void> {
  const seeds = ledger.times(5000)
  const watch = watchProcess()
  const wrong: string[] = []
  for (let seed = 0; seed < seeds; seed++) {
    const fault = await throttled(seed)
    if (fault !== undefined) wrong.push(`seed ${seed}: ${fault}`)
  }
  ledger.must(`${seeds} seeds: exact, or failed ${wrong.slice(0, 3).join('; ')}`, wrong.length === 0)
  ledger.must('nothing escaped', (await watch.stop()).length === 0)
}

/** Reads and counts bytes, and keeps none. */
class Listener {
  bytes = 0

  constructor(attacker: Attacker) {
    attacker.socket.removeAllListeners('data')
    attacker.socket.on('data', (chunk: Buffer) => (this.bytes += chunk.length))
  }
}

async function stalledListeners(ledger: Ledger): Promise<void> {
  const size = 16 * 1024
  const times = 30
  await besiege(ledger, 'broadcast', { maxBufferedAmount: mebibyte }, async (target) => {
    const listeners: Listener[] = []
    for (let hundred = 0; hundred < 10; hundred++)
      listeners.push(...(await target.attackers(100)).map((attacker) => new Listener(attacker)))
    let expected = 0
    const broadcast = async (): Promise<{ cpu: number; ms: number }> => {
      const cpu = target.cpu
      const began = performance.now()
      await target.broadcast(size, times)
      expected += times * (size + 4)
      while (listeners.some(({ bytes }) => bytes < expected)) await sleep(1)
      return { cpu: target.cpu - cpu, ms: performance.now() - began }
    }
    await broadcast()
    const alone: { cpu: number; ms: number }[] = []
    const beside: { cpu: number; ms: number }[] = []
    for (let round = 0; round < 5; round++) {
      alone.push(await broadcast())
      const stalled = await target.attackers(10)
      for (const each of stalled) each.socket.pause()
      beside.push(await broadcast())
      for (const each of stalled) each.leave()
    }
    const median = (rounds: typeof alone, figure: 'cpu' | 'ms'): number =>
      percentile(
        rounds.map((round) => round[figure]),
        0.5,
      )
    const cpu = median(alone, 'cpu')
    ledger.note(
      `${times} times 16 KiB to 1,000, 10 of them stalled; alone ${cpu.toFixed(0)} ms`,
      median(beside, 'cpu'),
      1.2 * cpu,
      'ms CPU',
    )
    ledger.note('… until all who read have it', median(beside, 'ms'), 1.2 * median(alone, 'ms'), 'ms')

    target.dismiss()
    const { ends } = await target.report()
    for (const each of await target.attackers(10)) each.socket.pause()
    let cut = 0
    for (let round = 0; round < 40 && cut < 10; round++) {
      await target.broadcast(size, times)
      await sleep(100)
      cut = ((await target.report()).ends.limit ?? 0) - (ends.limit ?? 0)
    }
    ledger.must(`those who do not read are cut: ${cut} of 10`, cut === 10)
  })
}

export const slowRows: readonly Row[] = [
  { id: 'S1', attack: 'the server pushes 100 MB/s at a peer that does not read', run: pushed },
  {
    id: 'S2',
    attack: 'sockets that take a part of a write, take none for a while, or break',
    cheap: true,
    run: partialWrites,
  },
  { id: 'S3', attack: 'a peer floods an echo server and reads nothing', run: flooded },
  { id: 'S4', attack: 'a broadcast to 1,000 peers, 10 of them stalled', run: stalledListeners },
]
