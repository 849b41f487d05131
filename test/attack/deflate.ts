/** Rows Z: permessage-deflate against the server that offers it. */
import { Buffer } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import { constants, createDeflateRaw } from 'node:zlib'
import { Opcode } from '../../frames/opcode.ts'
import { compress, noise, textOf } from '../lib/deflate/samples.ts'
import { frame } from './attacker.ts'
import { type Ledger, percentile } from './ledger.ts'
import { prove, type Row } from './row.ts'
import { besiege, growth, limit, settled } from './siege.ts'
import type { Target } from './target.ts'

const mebibyte = 1024 * 1024
const { binary, text, continuation } = Opcode
const offer = 'permessage-deflate; client_max_window_bits'

/** So many zeros, compressed as a peer would: without the tail. */
function zeros(size: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stream = createDeflateRaw({ level: 9 })
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', reject)
    const block = Buffer.alloc(mebibyte)
    const write = (left: number): void => {
      if (left > 0) stream.write(block.subarray(0, left), () => write(left - mebibyte))
      else stream.flush(constants.Z_SYNC_FLUSH, () => resolve(Buffer.concat(chunks).subarray(0, -4)))
    }
    write(size)
  })
}

/** What is sent before the server is waited for, and what makes it close. */
interface Bomb {
  readonly name: string
  readonly beginning: readonly Buffer[]
  readonly last: Buffer
}

/** The time from the last bytes to the Close, and its code. */
async function strike(target: Target, bomb: Bomb): Promise<{ ms: number; code: number }> {
  const attacker = await target.attacker(offer)
  for (const each of bomb.beginning) await attacker.write(each)
  if (bomb.beginning.length > 0) await attacker.flush()
  const before = performance.now()
  await attacker.write(bomb.last)
  const code = await attacker.refused()
  const ms = performance.now() - before
  attacker.leave()
  return { ms, code }
}

async function explode(ledger: Ledger, bomb: Bomb): Promise<void> {
  await besiege(ledger, bomb.name, { compression: true }, async (target) => {
    const rounds = async (count: number): Promise<readonly { ms: number; code: number }[]> => {
      const struck = []
      for (let round = 0; round < count; round++) {
        struck.push(await strike(target, bomb))
        await target.collect() // Each bomb counts by itself.
      }
      return struck
    }
    // What is compiled and allocated once for all.
    await rounds(3)
    let struck: Awaited<ReturnType<typeof rounds>> = []
    const { peak } = await growth(target, async () => {
      struck = await rounds(5)
    })
    const times = struck.map(({ ms }) => ms)
    const codes = struck.map(({ code }) => code)
    ledger.note(`${bomb.name}: memory at the highest`, peak, limit / 1e6 + 8, 'MB')
    ledger.note(`${bomb.name}: to the Close, median of 5`, percentile(times, 0.5), 20, 'ms')
    ledger.must(
      `${bomb.name}: closed with ${codes.join(', ')}`,
      codes.every((code) => code === 1009),
    )
  })
}

async function oneFrame(ledger: Ledger): Promise<void> {
  const bomb = await zeros(400 * mebibyte)
  await explode(ledger, { name: 'one frame', beginning: [], last: frame(binary, bomb, { rsv1: true }) })
}

async function manyFrames(ledger: Ledger): Promise<void> {
  const bomb = await zeros(400 * mebibyte)
  const fragment = (at: number, payload: Buffer): Buffer =>
    frame(at === 0 ? binary : continuation, payload, { fin: false, rsv1: at === 0 })
  const bytes = Array.from(bomb.subarray(0, -1), (_, at) => fragment(at, bomb.subarray(at, at + 1)))
  await explode(ledger, {
    name: 'fragments of a byte',
    beginning: [Buffer.concat(bytes)],
    last: frame(continuation, bomb.subarray(-1)),
  })
  const small = await zeros(64 * 1024)
  const whole = Buffer.concat([small, Buffer.from([0, 0, 0xff, 0xff])])
  const blown = Array.from({ length: 10_000 }, (_, at) => fragment(at, whole))
  await explode(ledger, {
    name: '10,000 fragments of 64 KiB',
    beginning: [Buffer.concat(blown)],
    last: frame(continuation, small),
  })
}

const oddOffers: readonly string[] = [
  ...['7', '16', '08', '""', '"16"', '-1', '1e1', '99999999999999999999'].flatMap((value) => [
    `server_max_window_bits=${value}`,
    `client_max_window_bits=${value}`,
  ]),
  'server_max_window_bits',
  'foo',
  'server_no_context_takeover; server_no_context_takeover',
  'server_no_context_takeover=1',
].map((parameters) => `permessage-deflate; ${parameters}`)

async function offers(ledger: Ledger): Promise<void> {
  const crowd = Array.from({ length: 700 }, () => 'permessage-deflate').join(', ')
  await besiege(ledger, 'odd offers', { compression: true }, async (target) => {
    const times: number[] = []
    const wrong: string[] = []
    for (const each of [...oddOffers, ...oddOffers, crowd, crowd]) {
      const before = performance.now()
      const { head } = await target.attacker(each)
      times.push(performance.now() - before)
      const answered = head.includes('Sec-WebSocket-Extensions')
      const declined = head.startsWith('HTTP/1.1 101') ? answered === (each === crowd) : !answered
      if (!declined || !/^HTTP\/1\.1 (101|400|431)/.test(head)) wrong.push(each)
    }
    const thousand = await target.attacker(`${crowd}, ${crowd}`)
    ledger.must('1,400 offers: refused for their size', thousand.head.startsWith('HTTP/1.1 431'))
    ledger.note('a handshake, median', percentile(times, 0.5), 5, 'ms')
    ledger.must(`declined or 400, each of them ${wrong.join(' ')}`, wrong.length === 0)
  })
}

/** RSV1 where it has no meaning: in two bytes each, so that nothing of a payload is waited for. */
async function strayRsv1(ledger: Ledger): Promise<void> {
  const kinds: [name: string, offer: string, before: Buffer, bytes: readonly number[]][] = [
    ['on a Ping', offer, Buffer.alloc(0), [0xc9, 0x80]],
    ['on a Close', offer, Buffer.alloc(0), [0xc8, 0x80]],
    ['on a continuation', offer, frame(text, 'a', { fin: false }), [0xc0, 0x80]],
    ['on text without negotiation', '', Buffer.alloc(0), [0xc1, 0x80]],
    ['on a Ping without negotiation', '', Buffer.alloc(0), [0xc9, 0x80]],
  ]
  await besiege(ledger, 'RSV1', { compression: true }, async (target) => {
    for (const [name, offered, before, bytes] of kinds) {
      const attacker = await target.attacker(offered)
      await attacker.write(Buffer.concat([before, Buffer.from(bytes)]))
      const code = await attacker.refused()
      ledger.must(`${name}: ${code}`, code === 1002)
    }
  })
}

async function idle(ledger: Ledger): Promise<void> {
  const kinds: [name: string, offer: string, windowBits: number][] = [
    ['without compression', '', 0],
    ['windows of 32 KiB', 'permessage-deflate', 15],
    ['client_max_window_bits=12', 'permessage-deflate; client_max_window_bits=12', 12],
  ]
  for (const [name, offered, windowBits] of kinds) {
    await besiege(ledger, name, { compression: true, keepalive: false }, async (target) => {
      const enter = async (name: string): Promise<void> => {
        const attacker = await target.attacker(offered)
        // More than a window of each side.
        for (let each = 0; each < 15; each++) {
          const message = Buffer.from(textOf(3500, `${name} ${each}`))
          const payload = windowBits === 0 ? message : compress(message, undefined, { windowBits, level: 1 })
          await attacker.write(frame(text, payload, { rsv1: windowBits !== 0 }))
        }
        await attacker.until(() => attacker.frames.length === 15)
      }
      // Twenty at a time: the last are to have come before the first have been silent for ten seconds.
      const thousand = async (): Promise<void> => {
        for (let at = 0; at < 1000; at += 20)
          await Promise.all(Array.from({ length: 20 }, (_, each) => enter(`${at} ${each}`)))
      }
      // V8 leaves up to 64 MiB outside its heap before it first collects, and malloc keeps the holes.
      await thousand()
      target.dismiss()
      await settled(target)
      const { used, held } = await growth(target, thousand)
      // 1,000 connections, so MB in all are KB of each.
      ledger.note(`1,000 idle connections, ${name}, each: in use`, used, 70, 'KB')
      ledger.note(`1,000 idle connections, ${name}, each: resident`, held, 70, 'KB')
    })
  }
}

/** The chunks that Node reads into grow to 50 MB before they are collected, also where they are thrown away at once. */
async function readBefore(target: Target): Promise<void> {
  const block = Buffer.concat(Array.from({ length: 15 }, () => frame(binary, Buffer.alloc(60_000))))
  for (let round = 0; round < 2; round++) {
    const visitors = await target.attackers(200)
    await Promise.all(
      visitors.map(async (visitor) => {
        await visitor.write(block)
        await visitor.flush()
      }),
    )
    target.dismiss()
    await settled(target)
  }
}

async function hoard(ledger: Ledger): Promise<void> {
  const bomb = await zeros(60 * mebibyte)
  const big = compress(noise(900_000))
  const kinds: { name: string; count: number; payload: Buffer; fin: boolean; maxMessageSize?: number }[] = [
    { name: '8 unfinished bombs of 60 MiB', count: 8, payload: bomb, fin: false },
    { name: '200 unfinished bombs of 60 MiB', count: 200, payload: bomb, fin: false },
    {
      name: '200 unfinished messages of 0.9 MB',
      count: 200,
      payload: big,
      fin: false,
      maxMessageSize: limit,
    },
    { name: '200 finished bombs of 60 MiB', count: 200, payload: bomb, fin: true },
  ]
  for (const { name, count, payload, fin, maxMessageSize = 16 * mebibyte } of kinds) {
    // The attackers answer no Pings, and their turn to be decompressed may be long in coming.
    await besiege(ledger, name, { compression: true, keepalive: false, maxMessageSize }, async (target) => {
      await readBefore(target)
      const attackers = await target.attackers(count, offer)
      const { used, peak } = await growth(target, async () => {
        await Promise.all(
          attackers.map(async (attacker) => {
            await attacker.write(frame(binary, payload, { rsv1: true, fin }))
            await (fin ? attacker.refused() : Promise.race([attacker.flush(), attacker.refused()]))
          }),
        )
      })
      const codes = new Set(attackers.map(({ closeCode }) => closeCode))
      const budget = 1.1 * 64 * (mebibyte / 1e6)
      ledger.note(`${name}: in use`, used, budget, 'MB')
      // Of those that are finished two are decompressed at a time, and V8 leaves up to 64 MiB of what was let go of.
      const decompressed = fin ? (2 * 16 + 64) * (mebibyte / 1e6) : 0
      ledger.note(`${name}: resident`, peak, budget + decompressed, 'MB')
      const told = [...codes].map((code) => code ?? 'open').join(', ')
      if (payload === big)
        ledger.must(`${name}: the newest are shed: ${told}`, codes.has(1013) && codes.has(undefined))
      if (fin)
        ledger.must(
          `${name}: closed with ${told}`,
          [...codes].every((code) => code === 1009 || code === 1013),
        )
    })
  }
}

/** Waits for as long as a second brings the server on: how long that takes in all is for the machine to say. */
async function workedOff(target: Target): Promise<void> {
  for (let before = -1; ;) {
    const { connections, messages } = await target.report()
    if (connections === 0 || messages === before) return
    before = messages
    await sleep(1000)
  }
}

async function cpu(ledger: Ledger): Promise<void> {
  const finalBlock = Buffer.from([1, 0, 0, 0xff, 0xff])
  const kinds: [name: string, payload: Buffer][] = [
    ['1 MiB', await zeros(mebibyte)],
    ['128 KiB', await zeros(128 * 1024)],
    ['1 KiB', await zeros(1024)],
    ['nothing', Buffer.from([0])],
    ['63 final blocks', Buffer.concat([...Array.from({ length: 63 }, () => finalBlock), Buffer.from([0])])],
  ]
  for (const [name, payload] of kinds) {
    await besiege(ledger, name, { compression: true }, async (target) => {
      const one = frame(binary, payload, { rsv1: true })
      const burst = Buffer.concat(Array.from({ length: Math.ceil((64 * 1024) / one.length) }, () => one))
      const attackers = await target.attackers(50, offer)
      let over = false
      const attacks = attackers.map(async (attacker) => {
        while (!over) {
          await attacker.write(burst)
          await sleep(1)
        }
      })
      await sleep(500)
      const start = await target.report()
      await sleep(4000)
      const report = await target.report()
      over = true
      // With a reset, so that only what has come to the server already is still worked off.
      for (const attacker of attackers) attacker.reset()
      await Promise.all(attacks)
      await workedOff(target)
      ledger.note(`${name}: delay of the event loop, p99`, report.delay99, 50, 'ms')
      const messages = report.messages - start.messages
      ledger.must(`${name}: they all progress: ${messages} messages in 4 s`, messages > 0)
    })
  }
}

export const deflateRows: readonly Row[] = [
  { id: 'Z1', attack: '400 KiB that are 400 MiB, in one frame', run: oneFrame },
  { id: 'Z2', attack: 'the same in fragments of a byte; 10,000 fragments of 64 KiB each', run: manyFrames },
  {
    id: 'Z3',
    attack: 'empty payload, only 00, final blocks, several blocks, tail missing or twice',
    async run(ledger) {
      await prove(ledger, 'lib/deflate/inflater', /Z3|7692-7\.2\.(1|2|3)/)
      await prove(ledger, 'wire/deflate-vectors', /./)
    },
  },
  {
    id: 'Z4',
    attack: '10,000 seeded corrupt streams',
    run: (ledger) => prove(ledger, 'lib/deflate/inflater', /Z4/),
  },
  {
    id: 'Z5',
    attack: 'RSV1 on control frames, continuations, without negotiation',
    cheap: true,
    run: strayRsv1,
  },
  {
    id: 'Z6',
    attack: 'offers: odd, duplicate and unknown parameters, 1,400 offers',
    cheap: true,
    run: offers,
  },
  {
    id: 'Z7',
    attack: 'destroy, terminate and close at every step of zlib',
    async run(ledger) {
      for (const file of ['inflater', 'inflation', 'deflater', 'connection'])
        await prove(ledger, `lib/deflate/${file}`, /Z7/, { FAREWELL_LOOPS: '10000', TAP_TIMEOUT: '600' })
    },
  },
  { id: 'Z8', attack: '1,000 idle connections with context takeover', run: idle },
  { id: 'Z9', attack: '8 and 200 connections that hold unfinished bombs', run: hoard },
  { id: 'Z10', attack: '50 peers that send what is dear to decompress, back to back', run: cpu },
]
