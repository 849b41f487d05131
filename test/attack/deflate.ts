/**
 * What compression costs a server whose peers mean harm, measured from outside of its process; exit code 1 when a
 * figure misses its bound. `npm run attack`
 */
import { Buffer } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import { constants, createDeflateRaw, deflateRawSync } from 'node:zlib'
import { Opcode } from '../../frames/opcode.ts'
import { noise, textOf } from '../lib/deflate/samples.ts'
import { Attacker, frame, Target } from './target.ts'

const mebibyte = 1024 * 1024
const { binary, text, continuation } = Opcode

interface Row {
  readonly what: string
  readonly measured: number
  readonly bound: number
  readonly unit: 'MB' | 'KB' | 'ms' | ''
}
const rows: Row[] = []

/** Must be below the bound. */
function note(what: string, measured: number, bound: number, unit: Row['unit']): void {
  rows.push({ what, measured, bound, unit })
}

function must(what: string, holds: boolean): void {
  note(what, holds ? 0 : 1, 0.5, '')
}

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

function compress(message: Uint8Array | string, windowBits = 15): Buffer {
  return deflateRawSync(message, { windowBits, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
}

/** The highest memory above what it was before, in MB, while that is done. */
async function growth(target: Target, act: () => Promise<void>): Promise<number> {
  await target.report()
  const before = target.memory.now
  target.forgetPeak()
  await act()
  return (target.memory.peak - before) / 1e6
}

/** Sends the beginning, and when the server has read it the end; the time to its Close, and the code. */
async function strike(
  target: Target,
  beginning: readonly Buffer[],
  last: Buffer,
): Promise<{ ms: number; code: number }> {
  const attacker = await Attacker.open(target.port)
  for (const each of beginning) await attacker.write(each)
  if (beginning.length > 0) await attacker.flush()
  const before = performance.now()
  await attacker.write(last)
  await attacker.until(() => attacker.closeCode !== undefined)
  const ms = performance.now() - before
  const code = attacker.closeCode ?? 0
  attacker.leave()
  return { ms, code }
}

async function bombs(): Promise<void> {
  const target = await Target.start({ compression: true, maxMessageSize: mebibyte })
  const bomb = await zeros(400 * mebibyte)
  const one = frame(binary, bomb, { rsv1: true })
  const many = Array.from(bomb.subarray(0, -1), (_, at) =>
    frame(at === 0 ? binary : continuation, bomb.subarray(at, at + 1), { fin: false, rsv1: at === 0 }),
  )
  const small = await zeros(64 * 1024)
  const blown = (at: number): Buffer =>
    frame(at === 0 ? binary : continuation, Buffer.concat([small, Buffer.from([0, 0, 0xff, 0xff])]), {
      fin: false,
      rsv1: at === 0,
    })
  const kinds: [name: string, beginning: Buffer[], last: Buffer][] = [
    ['Z1 400 KiB that are 400 MiB, one frame', [], one],
    ['Z2 the same in fragments of a byte', [Buffer.concat(many)], frame(continuation, bomb.subarray(-1))],
    [
      'Z2 10,000 fragments of 64 KiB each',
      [Buffer.concat(Array.from({ length: 10_000 }, (_, at) => blown(at)))],
      frame(continuation, small),
    ],
  ]
  // The first of each kind warms up what is compiled and allocated once for all.
  for (const [, beginning, last] of kinds) await strike(target, beginning, last)
  for (const [name, beginning, last] of kinds) {
    const times: number[] = []
    let code = 0
    const grown = await growth(target, async () => {
      for (let round = 0; round < 5; round++) {
        const struck = await strike(target, beginning, last)
        times.push(struck.ms)
        code = struck.code
      }
    })
    note(`${name}: memory`, grown, mebibyte / 1e6 + 8, 'MB')
    note(`${name}: to the Close, median of 5`, percentile(times, 0.5), 20, 'ms')
    must(`${name}: closed with ${code}`, code === 1009)
  }
  must('Z1, Z2 nothing escaped', (await target.report()).escaped === 0)
  await target.stop()
}

async function offers(): Promise<void> {
  const target = await Target.start({ compression: true })
  const bits = ['7', '16', '08', '""', '"16"', '-1', '1e1', '99999999999999999999']
  const odd = [
    ...bits.flatMap((value) => [`server_max_window_bits=${value}`, `client_max_window_bits=${value}`]),
    'server_max_window_bits',
    'foo',
    'server_no_context_takeover; server_no_context_takeover',
    'server_no_context_takeover=1',
  ].map((parameters) => `permessage-deflate; ${parameters}`)
  const crowd = Array.from({ length: 700 }, () => 'permessage-deflate').join(', ')
  const times: number[] = []
  let wrong = 0
  for (const offer of [...odd, ...odd, crowd, crowd]) {
    const before = performance.now()
    const attacker = await Attacker.open(target.port, offer)
    times.push(performance.now() - before)
    const answered = attacker.head.includes('Sec-WebSocket-Extensions')
    const status = attacker.head.slice(9, 12)
    if (!(status === '101' ? answered === (offer === crowd) : status === '400' || status === '431')) wrong++
    attacker.leave()
  }
  const thousand = await Attacker.open(target.port, `${crowd}, ${crowd}`)
  must('Z6 1,400 offers: refused for their size', thousand.head.startsWith('HTTP/1.1 431'))
  thousand.leave()
  note('Z6 odd offers: a handshake, median', percentile(times, 0.5), 5, 'ms')
  must('Z6 declined or 400, each of them', wrong === 0)
  must('Z6 nothing escaped', (await target.report()).escaped === 0)
  await target.stop()
}

async function idle(): Promise<void> {
  const kinds: [name: string, offer: string][] = [
    ['without compression', ''],
    ['with windows of 32 KiB', 'permessage-deflate'],
    ['with client_max_window_bits=12', 'permessage-deflate; client_max_window_bits=12'],
  ]
  let plain = 0
  for (const [name, offer] of kinds) {
    const target = await Target.start({ compression: true })
    const attackers: Attacker[] = []
    const enter = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at++) {
        const attacker = await Attacker.open(target.port, offer)
        // More than a window of each side.
        const messages = Array.from({ length: 15 }, (_, each) => Buffer.from(textOf(3500, `${at} ${each}`)))
        for (const message of messages) {
          const payload = offer === '' ? message : compress(message, offer.includes('12') ? 12 : 15)
          await attacker.write(frame(text, payload, { rsv1: offer !== '' }))
        }
        await attacker.until(() => attacker.frames.length === 15)
        attackers.push(attacker)
      }
    }
    // What grows once for all, such as the space for young objects.
    await enter(300)
    await target.report()
    const before = target.memory.now
    await enter(1000)
    await target.report()
    const each = (target.memory.now - before) / 1000 / 1000
    if (offer === '') plain = each
    const added = offer === '' ? '' : `, ${plain.toFixed(1)} KB of it without compression`
    note(`Z8 1,000 idle connections ${name}, each${added}`, each, offer === '' ? 70 : plain + 70, 'KB')
    for (const attacker of attackers) attacker.leave()
    await target.stop()
  }
}

async function hoard(): Promise<void> {
  const bomb = await zeros(60 * mebibyte)
  const big = compress(noise(900_000))
  const kinds: [name: string, count: number, payload: Buffer, fin: boolean][] = [
    ['8 unfinished bombs of 60 MiB', 8, bomb, false],
    ['200 unfinished bombs of 60 MiB', 200, bomb, false],
    ['200 unfinished messages of 0.9 MB', 200, big, false],
    ['200 finished bombs of 60 MiB at once', 200, bomb, true],
  ]
  for (const [name, count, payload, fin] of kinds) {
    const target = await Target.start({
      compression: true,
      maxMessageSize: name.includes('0.9') ? mebibyte : 16 * mebibyte,
    })
    const attackers = await Promise.all(Array.from({ length: count }, () => Attacker.open(target.port)))
    await target.report()
    const before = target.memory.now
    const grown = await growth(target, async () => {
      await Promise.all(
        attackers.map(async (attacker) => {
          await attacker.write(frame(binary, payload, { rsv1: true, fin }))
          if (!fin)
            await Promise.race([attacker.flush(), attacker.until(() => attacker.closeCode !== undefined)])
          else await attacker.until(() => attacker.closeCode !== undefined)
        }),
      )
      await sleep(100)
    })
    await target.report()
    const held = (target.memory.now - before) / 1e6
    const budget = 1.1 * 64 * (mebibyte / 1e6)
    note(`Z9 ${name}: held`, held, budget, 'MB')
    // Two are decompressed at a time, and V8 leaves up to 64 MiB of what was let go of.
    note(
      `Z9 … at the highest, with what is not collected`,
      grown,
      budget + (2 * 16 + 64) * (mebibyte / 1e6),
      'MB',
    )
    const codes = new Set(attackers.map(({ closeCode }) => closeCode))
    if (payload === big) must('Z9 … the newest are shed with 1013', codes.has(1013) && codes.has(undefined))
    if (fin)
      must(
        `Z9 … closed with ${[...codes].join(', ')}`,
        [...codes].every((code) => code === 1009 || code === 1013),
      )
    for (const attacker of attackers) attacker.leave()
    must('Z9 … nothing escaped', (await target.report()).escaped === 0)
    await target.stop()
  }
}

async function cpu(): Promise<void> {
  const bare = await zeros(mebibyte)
  const kinds: [name: string, payload: Buffer][] = [
    ['1 MiB', bare],
    ['128 KiB', await zeros(128 * 1024)],
    ['1 KiB', await zeros(1024)],
    ['nothing', Buffer.from([0])],
    [
      '63 final blocks',
      Buffer.concat([
        ...Array.from({ length: 63 }, () => Buffer.from([1, 0, 0, 0xff, 0xff])),
        Buffer.from([0]),
      ]),
    ],
  ]
  for (const [name, payload] of kinds) {
    const target = await Target.start({ compression: true, maxMessageSize: mebibyte })
    const one = frame(binary, payload, { rsv1: true })
    const burst = Buffer.concat(Array.from({ length: Math.ceil((64 * 1024) / one.length) }, () => one))
    const attackers = await Promise.all(Array.from({ length: 50 }, () => Attacker.open(target.port)))
    const bystander = await Attacker.open(target.port)
    await target.report()
    let over = false
    const attacks = attackers.map(async (attacker) => {
      while (!over) {
        await attacker.write(burst)
        await sleep(1)
      }
    })
    await sleep(500)
    const start = await target.report()
    const echoes: number[] = []
    const until = performance.now() + 4000
    while (performance.now() < until) {
      const before = performance.now()
      const count = bystander.frames.length
      await bystander.write(frame(text, Buffer.from('hello')))
      await bystander.until(() => bystander.frames.length > count)
      echoes.push(performance.now() - before)
      await sleep(10)
    }
    const report = await target.report()
    over = true
    for (const attacker of attackers) attacker.leave()
    await Promise.all(attacks)
    note(`Z10 50 peers with messages of ${name}: delay of the event loop, p99`, report.delay99, 50, 'ms')
    note(`Z10 … echo of another peer, p99 of ${echoes.length}`, percentile(echoes, 0.99), 50, 'ms')
    must(
      `Z10 … they all progress: ${report.messages - start.messages} messages in 4 s`,
      report.messages > start.messages,
    )
    bystander.leave()
    await target.stop()
  }
}

const only = process.argv.slice(2)
for (const [name, run] of Object.entries({ bombs, offers, idle, hoard, cpu })) {
  if (only.length === 0 || only.includes(name)) await run()
}
const figure = (value: number, unit: string): string => (unit === '' ? '' : `${value.toFixed(1)} ${unit}`)
console.log(`${'attack'.padEnd(86)} ${'measured'.padStart(12)} ${'bound'.padStart(10)}`)
for (const { what, measured, bound, unit } of rows) {
  const verdict = measured < bound ? 'holds' : 'MISSES'
  console.log(
    `${what.padEnd(86)} ${figure(measured, unit).padStart(12)} ${figure(bound, unit).padStart(10)}  ${verdict}`,
  )
}
if (rows.some(({ measured, bound }) => !(measured < bound))) process.exitCode = 1
