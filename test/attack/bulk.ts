/** Rows B: very many connections, and a server that closes under all of them. */
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Opcode } from '../../frames/opcode.ts'
import { upgradeRequest } from '../help/raw-http.ts'
import { type Attacker, dial, frame } from './attacker.ts'
import type { Ledger } from './ledger.ts'
import { prove, type Row } from './row.ts'
import { besiege, growth } from './siege.ts'
import { Target } from './target.ts'

const { text, close } = Opcode

/** How many descriptors a process may have, this one and the server alike. */
function mostDescriptors(): number {
  return Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1])
}

async function crowd(ledger: Ledger): Promise<void> {
  const most = ledger.quick ? 20 : 1000
  await besiege(ledger, 'maxConnections', { maxConnections: most + 1 }, async (target) => {
    const attackers = await target.attackers(2 * most)
    const accepted = attackers.filter(({ head }) => head.startsWith('HTTP/1.1 101')).length
    const refused = attackers.filter(({ head }) => head.startsWith('HTTP/1.1 503')).length
    ledger.must(
      `${2 * most} come, ${accepted} are accepted, ${refused} get a 503`,
      accepted + refused === 2 * most && accepted >= most && accepted <= most + 1,
    )
  })
  if (ledger.quick) return
  const count = Math.min(10_000, mostDescriptors() - 500)
  await besiege(ledger, 'open at once', {}, async (target) => {
    const enter = async (all: number): Promise<void> => {
      for (let each = 0; each < all; each += 250) await target.attackers(Math.min(250, all - each))
    }
    await enter(500)
    const before = await target.collect()
    const { held } = await growth(target, () => enter(count))
    const after = await target.collect()
    ledger.must(`${count} open at once: all accepted`, after.connections - before.connections === count)
    ledger.note('memory of each', (held * 1000) / count, 15, 'KB')
    ledger.note('heap of each', (after.heap - before.heap) / 1000 / count, 10, 'KB')
  })
}

async function mutes(ledger: Ledger): Promise<void> {
  const count = 5000
  await besiege(ledger, 'say nothing', {}, async (target) => {
    const sockets: Socket[] = []
    for (let each = 0; each < count; each += 250)
      sockets.push(...(await Promise.all(Array.from({ length: 250 }, () => dial(target.port)))))
    const began = performance.now()
    const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    for (const socket of sockets) socket.resume()
    const gone = await Promise.race([Promise.all(closed), sleep(60_000)])
    ledger.must(`${count} that say nothing are all gone`, gone !== undefined)
    ledger.note('… after the last of them has come', (performance.now() - began) / 1000, 11, 's')
    for (const socket of sockets) socket.destroy()
  })
}

/** Echoes without end, and takes leave when it is asked to. */
async function honest(attacker: Attacker): Promise<number> {
  const message = frame(text, 'a'.repeat(1024))
  while (attacker.closeCode === undefined) {
    const before = attacker.frames.length
    await attacker.write(message)
    await attacker.until(() => attacker.frames.length > before || attacker.closed)
  }
  await attacker.write(frame(close, Buffer.from([3, 233])))
  await attacker.until(() => attacker.closed)
  return attacker.closeCode
}

async function shutdown(ledger: Ledger): Promise<void> {
  const target = await Target.start({})
  const good = await target.attackers(900)
  const deaf = await target.attackers(40)
  const half = await target.attackers(30)
  const loud = await target.attackers(30)
  const codes = Promise.all(good.map(honest))
  let over = false
  const flood = frame(text, 'a'.repeat(4096))
  for (const attacker of deaf) {
    attacker.socket.pause()
    for (let each = 0; each < 100; each++) attacker.socket.write(flood)
  }
  for (const attacker of half) attacker.socket.write(flood.subarray(0, 100))
  const floods = loud.map(async (attacker) => {
    while (!over && !attacker.closed) {
      await attacker.write(flood)
      await sleep(1)
    }
  })
  await sleep(1000)
  const began = performance.now()
  const { clean, unclean, terminated, escaped, status } = await target.close()
  ledger.note('to the end of the process', (performance.now() - began) / 1000, 6, 's')
  over = true
  ledger.must(
    `all are accounted for: ${clean}, ${unclean}, ${terminated}`,
    clean + unclean + terminated === 1000,
  )
  ledger.must('those who answer end cleanly', clean >= 900)
  ledger.must(
    'they were told 1001',
    (await codes).every((code) => code === 1001),
  )
  ledger.must('the process exits by itself with 0', status === 0)
  ledger.must('nothing escaped', escaped === 0)
  ledger.must(
    'the port is free',
    await dial(target.port).then(
      () => false,
      () => true,
    ),
  )
  await Promise.all(floods)
  await target.stop()
}

async function undecided(ledger: Ledger): Promise<void> {
  const count = ledger.times(1000)
  const target = await Target.start({ manner: 'undecided' })
  const sockets = await Promise.all(Array.from({ length: count }, () => dial(target.port)))
  const heads = sockets.map(async (socket) => {
    let head = ''
    socket.on('data', (chunk: Buffer) => (head += chunk.toString('latin1')))
    await new Promise((resolve) => socket.once('close', resolve))
    return head.slice(9, 12)
  })
  for (const socket of sockets) socket.write(upgradeRequest({ target: '/wait' }))
  while ((await target.report()).requests < count) await sleep(10)
  const began = performance.now()
  const { escaped, status } = await target.close()
  ledger.note('to the end of the process', (performance.now() - began) / 1000, 1, 's')
  const answers = new Set(await Promise.all(heads))
  ledger.must(
    `${count} that wait for verify: ${[...answers].join(', ')}`,
    [...answers].every((answer) => answer === '503' || answer === ''),
  )
  ledger.must('the process exits by itself with 0', status === 0)
  ledger.must('nothing escaped', escaped === 0)
}

export const bulkRows: readonly Row[] = [
  { id: 'B1', attack: '10,000 connections at once, and more than may be', cheap: true, run: crowd },
  { id: 'B2', attack: '5,000 connections that say nothing', run: mutes },
  {
    id: 'B3',
    attack: 'the server closes with 1,000 busy connections, 100 of them hostile',
    async run(ledger) {
      await shutdown(ledger)
      await prove(ledger, 'lib/server-close', /./)
    },
  },
  { id: 'B4', attack: 'the server closes while verify keeps 1,000 waiting', cheap: true, run: undecided },
]
