/** Rows F: frames that break a rule, claim too much, or come without end. */
import { Buffer } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { Connection } from '../../lib/connection.ts'
import { turns } from '../help/loop.ts'
import { memoryPair } from '../help/memory-pair.ts'
import { RawPeer } from '../wire/raw-peer.ts'
import { type Attacker, frame, header } from './attacker.ts'
import type { Ledger } from './ledger.ts'
import { prove, type Row } from './row.ts'
import { besiege, growth, usualGrowth, limit } from './siege.ts'

const { text, binary, continuation, ping, pong } = Opcode

/** What is sent, and the code that must come although nothing else is. */
type Case = readonly [name: string, bytes: Buffer, code: number]

/** Each case on a connection of its own; no message may come of it. */
async function judge(ledger: Ledger, cases: readonly Case[]): Promise<void> {
  await besiege(ledger, 'all', {}, async (target) => {
    const before = await target.report()
    const wrong: string[] = []
    for (const [name, bytes, expected] of cases) {
      const attacker = await target.attacker()
      await attacker.write(bytes)
      const code = await attacker.refused()
      if (code !== expected) wrong.push(`${name}: ${code}`)
    }
    const { messages } = await target.report()
    ledger.must(`${cases.length} cases have their code ${wrong.join('; ')}`, wrong.length === 0)
    ledger.must('no handler is called', messages === before.messages)
  })
}

const opcodes = Array.from({ length: 16 }, (_, opcode) => opcode)

/** Two bytes that no third can mend; the length is that of 8 bytes. */
const atSecondByte: readonly Case[] = [
  ...opcodes
    .filter((opcode) => (opcode & 7) > 2)
    .map((opcode): Case => [`opcode ${opcode}`, Buffer.from([0x80 | opcode, 0xff]), 1002]),
  ...[0x90, 0xa0, 0xb0, 0xc0].flatMap((bits) =>
    [text, ping].map((opcode): Case => [`RSV ${bits} ${opcode}`, Buffer.from([bits | opcode, 0xff]), 1002]),
  ),
  ...[8, 9, 10].flatMap((opcode): Case[] => [
    [`control ${opcode} without FIN`, Buffer.from([opcode, 0x80]), 1002],
    [`control ${opcode} of 126`, Buffer.from([0x80 | opcode, 0xfe]), 1002],
    [`control ${opcode} of 1 GiB`, Buffer.from([0x80 | opcode, 0xff]), 1002],
  ]),
]

async function hugeLengths(ledger: Ledger): Promise<void> {
  const lengths: [length: bigint, code: number][] = [
    [BigInt(limit) + 1n, 1009],
    [90n * 2n ** 20n, 1009],
    ...[31n, 32n, 53n, 62n].map((power): [bigint, number] => [2n ** power, 1009]),
    [2n ** 53n - 1n, 1009],
    [2n ** 53n + 1n, 1009],
    [2n ** 63n, 1002],
    [2n ** 64n - 1n, 1002],
  ]
  const strikes = lengths.map(([length, code]) => ({
    code,
    bytes: Buffer.concat([header(0x82, length), Buffer.alloc(100)]),
  }))
  await besiege(ledger, 'lengths', {}, async (target) => {
    const storm = async (attackers: readonly Attacker[]): Promise<number> => {
      let wrong = 0
      await Promise.all(
        attackers.map(async (attacker, at) => {
          const { bytes, code } = strikes[at % strikes.length] ?? { bytes: Buffer.alloc(0), code: 0 }
          await attacker.write(bytes)
          if ((await attacker.refused()) !== code) wrong++
        }),
      )
      return wrong
    }
    let wrong = 0
    if (ledger.quick) {
      wrong = await storm(await target.attackers(100))
    } else {
      const cpu = target.cpu
      const { held } = await usualGrowth(
        target,
        () => target.attackers(100),
        async (attackers) => {
          wrong += await storm(attackers)
        },
      )
      ledger.note('100 connections: memory', held, 1, 'MB')
      ledger.note('from the connect to the Close, each', (target.cpu - cpu) / 700, 10, 'ms CPU')
    }
    ledger.must('all closed with 1009, those with the top bit with 1002', wrong === 0)
  })
}

/** 1,023 fragments of 1 KiB, which leave 1 KiB to the limit. */
function nearlyFull(): Buffer {
  const payload = Buffer.alloc(1024, 0x61)
  return Buffer.concat(
    Array.from({ length: 1023 }, (_, at) => frame(at === 0 ? text : continuation, payload, { fin: false })),
  )
}

async function fragmentsOverLimit(ledger: Ledger): Promise<void> {
  const beginning = nearlyFull()
  await besiege(ledger, 'fragments', {}, async (target) => {
    const hold = async (): Promise<Attacker[]> => {
      const attackers = await target.attackers(20)
      for (const attacker of attackers) {
        await attacker.write(beginning)
        await attacker.flush()
      }
      return attackers
    }
    const warm = await hold()
    for (const attacker of warm) attacker.leave()
    let attackers: Attacker[] = []
    const { held } = await growth(target, async () => {
      attackers = await hold()
    })
    if (!ledger.quick)
      ledger.note('held of a message that is at the limit', held / 20, (2 * limit) / 1e6, 'MB')
    // The header alone, over the limit by one.
    for (const attacker of attackers) await attacker.write(header(continuation, 1025))
    const codes = await Promise.all(attackers.map((attacker) => attacker.refused()))
    ledger.must(
      'closed with 1009 at the header that crosses',
      codes.every((code) => code === 1009),
    )
  })
}

async function tinyFragments(ledger: Ledger): Promise<void> {
  const count = 16_300
  const bytes = Buffer.concat(
    Array.from({ length: count }, (_, at) => frame(at === 0 ? text : continuation, 'a', { fin: false })),
  )
  await besiege(ledger, 'fragments', {}, async (target) => {
    const { held } = await usualGrowth(
      target,
      () => target.attackers(20),
      async (attackers) => {
        for (const attacker of attackers) {
          await attacker.write(bytes)
          await attacker.flush()
        }
      },
    )
    ledger.note('16,300 fragments of a byte on 20 connections, each', held / 20, 0.15, 'MB')
  })
}

async function emptyFragments(ledger: Ledger): Promise<void> {
  const kinds: [name: string, offer: string, rsv1: boolean][] = [
    ['plain', '', false],
    ['compressed', 'permessage-deflate', true],
  ]
  for (const [name, offer, rsv1] of kinds) {
    const borne = Buffer.concat(
      Array.from({ length: 1024 }, (_, at) =>
        frame(at === 0 ? text : continuation, '', { fin: false, rsv1: rsv1 && at === 0 }),
      ),
    )
    const last = frame(continuation, '', { fin: false })
    await besiege(ledger, name, { compression: true }, async (target) => {
      const count = ledger.quick ? 2 : 200
      const storm = async (attackers: readonly Attacker[]): Promise<void> => {
        for (const attacker of attackers) {
          await attacker.write(borne)
          await attacker.flush()
        }
      }
      await storm(await target.attackers(count, offer))
      target.dismiss()
      const attackers = await target.attackers(count, offer)
      const cpu = target.cpu
      const { held } = await growth(target, () => storm(attackers))
      const each = ((target.cpu - cpu) * 1000) / (count * 1024)
      const open = attackers.every(({ closeCode }) => closeCode === undefined)
      for (const attacker of attackers) await attacker.write(last)
      const codes = await Promise.all(attackers.map((attacker) => attacker.refused()))
      ledger.must(`${name}: 1,024 are borne, one more is 1008`, open && codes.every((code) => code === 1008))
      if (ledger.quick) return
      ledger.note(`${name}: 1,024 on ${count} connections, memory of each`, (held * 1000) / count, 64, 'KB')
      ledger.note(`${name}: each of them`, each, 1, 'µs CPU')
    })
  }
}

async function silence(ledger: Ledger): Promise<void> {
  await prove(ledger, 'lib/peer-watch', /F7/)
  await prove(ledger, 'lib/connection', /F7/)
  const half = frame(text, 'a message of which half a frame comes').subarray(0, 20)
  await besiege(ledger, 'by the clock', {}, async (target) => {
    const began = performance.now()
    const silent = await target.attacker()
    await silent.write(half)
    const slow = await target.attacker()
    await slow.write(half)
    const drip = setInterval(() => void slow.write(Buffer.from('a')), 20_000)
    const codes = await Promise.all([silent.refused(), slow.refused()])
    clearInterval(drip)
    ledger.must(
      `half a frame, then silence, or a byte each 20 s: ${codes.join(', ')}`,
      codes.every((code) => code === 1008),
    )
    ledger.note('to the Close', (performance.now() - began) / 1000, 31, 's')
  })
}

async function maskDuty(ledger: Ledger): Promise<void> {
  await judge(ledger, [
    ['a text', encodeFrame({ opcode: text, payload: 'hello' }), 1002],
    ['nothing', Buffer.from([0x81, 0]), 1002],
    ['a Ping', encodeFrame({ opcode: ping, payload: 'hello' }), 1002],
    ['its header', Buffer.from([0x82, 0x7f]), 1002],
  ])
  // Masked frames of a server, which a client refuses.
  const [ours, theirs] = memoryPair()
  const connection = new Connection(ours, { role: 'client' })
  const peer = new RawPeer(theirs, 'server', () => theirs.reset())
  let messages = 0
  connection.on('message', () => void messages++)
  peer.write(frame(text, 'hello'))
  await turns(8)
  ledger.must(`masked by the server: ${peer.wire.join()}`, peer.wire.join().startsWith('close 1002'))
  ledger.must('no handler is called', messages === 0)
  connection.terminate()
}

async function pingFlood(ledger: Ledger): Promise<void> {
  await besiege(ledger, 'a peer that does not read', {}, async (target) => {
    const burst = Buffer.concat(Array.from({ length: 1000 }, () => frame(ping, Buffer.alloc(125))))
    const flood = async (attacker: Attacker): Promise<void> => {
      attacker.socket.pause()
      // 26 MB, or as much as the server reads.
      for (let round = 0; round < ledger.times(200); round++)
        await Promise.race([attacker.write(burst), sleep(2000)])
      await Promise.race([attacker.write(frame(ping, 'last')), sleep(2000)])
    }
    if (!ledger.quick) {
      const { held, peak } = await usualGrowth(
        target,
        () => target.attackers(1),
        async ([attacker]) => {
          if (attacker !== undefined) await flood(attacker)
          await target.idle()
        },
      )
      ledger.note('26 MB of Pings from a peer that does not read: held', held * 1000, 256, 'KB')
      ledger.note('the same, with what is not collected', peak, 26, 'MB')
    }
    const attacker = await target.attacker()
    await flood(attacker)
    attacker.socket.resume()
    await attacker.until(() => attacker.frames.at(-1)?.payload.toString() === 'last' || attacker.closed)
    ledger.must('when it reads, the last one is answered', !attacker.closed)
  })
  await besiege(ledger, 'a peer that reads', {}, async (target) => {
    const attacker = await target.attacker()
    const bursts = ledger.times(100)
    for (let round = 1; round <= bursts && !attacker.closed; round++) {
      const pings = Array.from({ length: 1000 }, (_, at) => frame(ping, `${round} ${at}`))
      await attacker.write(Buffer.concat(pings))
      await attacker.until(
        () => attacker.closed || attacker.frames.at(-1)?.payload.toString() === `${round} 999`,
      )
    }
    ledger.must(
      `${bursts * 1000} Pings in bursts of 1,000: not closed, the last one answered`,
      attacker.closeCode === undefined,
    )
  })
}

async function pongFlood(ledger: Ledger): Promise<void> {
  const burst = Buffer.concat(Array.from({ length: 1000 }, (_, at) => frame(pong, Buffer.alloc(at % 126))))
  await besiege(ledger, 'pongs', {}, async (target) => {
    const flood = async (attacker: Attacker, bursts: number): Promise<void> => {
      for (let round = 0; round < bursts; round++) await attacker.write(burst)
      await attacker.flush()
    }
    const attacker = await target.attacker()
    await flood(attacker, ledger.times(200))
    const { held } = await growth(target, () => flood(attacker, ledger.times(1000)))
    ledger.must('they are ignored', attacker.closeCode === undefined && attacker.frames.length === 2)
    if (!ledger.quick) ledger.note('a million of them: held', held * 1000, 64, 'KB')
  })
}

/** As it is cut, in frames and in writes; the payload that is announced never comes to its end. */
async function badText(ledger: Ledger): Promise<void> {
  const sequences = ['80', 'c0', 'c080', 'e08080', 'eda080', 'f08080', 'f4908080', 'f5', 'ff', 'e282ff']
  const good = Buffer.from('κόσμε €𝄞')
  const cases = sequences.flatMap((hex): Case[] => {
    const bytes = Buffer.concat([good, Buffer.from(hex, 'hex')])
    const announced = Buffer.concat([bytes, Buffer.alloc(1000)])
    const whole = frame(text, announced)
    const fragments = [...bytes].map((byte, at) =>
      frame(at === 0 ? text : continuation, Buffer.from([byte]), { fin: false }),
    )
    return [
      [`${hex} in a frame`, whole.subarray(0, -1000), 1007],
      [`${hex} in fragments`, Buffer.concat(fragments), 1007],
      [`${hex} in a reason`, frame(Opcode.close, Buffer.concat([Buffer.from([3, 232]), bytes])), 1007],
    ]
  })
  await judge(ledger, cases)
}

const outOfOrder: readonly Case[] = [
  ['a continuation without a start', frame(continuation, 'a'), 1002],
  ['the same, not final', frame(continuation, 'a', { fin: false }), 1002],
  ['its two bytes', Buffer.from([0x80, 0xff]), 1002],
  ['text in text', Buffer.concat([frame(text, 'a', { fin: false }), frame(text, 'b')]), 1002],
  ['binary in text', Buffer.concat([frame(text, 'a', { fin: false }), Buffer.from([0x82, 0xff])]), 1002],
  [
    'text between a Ping and a continuation',
    Buffer.concat([frame(binary, 'a', { fin: false }), frame(ping, ''), frame(text, 'b', { fin: false })]),
    1002,
  ],
  ['a continuation behind a Ping', Buffer.concat([frame(ping, 'a'), frame(continuation, 'b')]), 1002],
]

/** The header up to the last byte of the length. */
const notMinimal: readonly Case[] = [
  ['5 in 2 bytes', Buffer.from('81fe0005', 'hex'), 1002],
  ['125 in 2 bytes', Buffer.from('82fe007d', 'hex'), 1002],
  ['5 in 8 bytes', Buffer.from('81ff0000000000000005', 'hex'), 1002],
  ['200 in 8 bytes', Buffer.from('82ff00000000000000c8', 'hex'), 1002],
  ['65,535 in 8 bytes', Buffer.from('82ff000000000000ffff', 'hex'), 1002],
]

export const frameRows: readonly Row[] = [
  {
    id: 'F1',
    attack: 'a conversation cut at every byte and every pair of bytes',
    run: (ledger) => prove(ledger, 'frames/decoder', /every pair of bytes|byte by byte/),
  },
  {
    id: 'F2',
    attack: 'reserved opcodes and bits, broken control frames: decided at the second byte',
    cheap: true,
    run: (ledger) => judge(ledger, atSecondByte),
  },
  { id: 'F3', attack: 'lengths up to 2^64 - 1, 100 bytes of them sent', cheap: true, run: hugeLengths },
  { id: 'F4', attack: 'fragments that come to more than the limit', cheap: true, run: fragmentsOverLimit },
  { id: 'F5', attack: '16,300 fragments of a byte that do not end', run: tinyFragments },
  { id: 'F6', attack: 'empty fragments without end', cheap: true, run: emptyFragments },
  { id: 'F7', attack: 'half a frame, then silence, or a byte now and then', run: silence },
  { id: 'F8', attack: 'unmasked frames of a client, masked ones of a server', cheap: true, run: maskDuty },
  {
    id: 'F9',
    attack: 'a flood of Pings from a peer that reads, and one that does not',
    cheap: true,
    run: pingFlood,
  },
  { id: 'F10', attack: 'a million Pongs that nobody asked for', cheap: true, run: pongFlood },
  {
    id: 'F11',
    attack: 'bad UTF-8 in text and reason: at the first bad byte',
    cheap: true,
    run: badText,
  },
  {
    id: 'F12',
    attack: 'continuations without a start, messages inside messages',
    cheap: true,
    run: (ledger) => judge(ledger, outOfOrder),
  },
  {
    id: 'F13',
    attack: 'lengths in a longer form than needed',
    cheap: true,
    run: (ledger) => judge(ledger, notMinimal),
  },
]
