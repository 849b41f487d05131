/**
 * Compressed messages, RFC 7692 section 7.2.2: what the inflater makes of any bytes against the strict inflater of
 * test/help, and then what a whole connection makes of them.
 *
 *     byte 0   bit 0: no context takeover · bits 1 and 2: the window, 8, 9, 12 or 15 · bits 3 and 4: the longest message
 *     byte 1   bit 0: through a whole connection too · bit 1: its role · the rest: how the bytes are cut
 *     the rest messages: two bytes of length, of which bit 15 says text, and the payload
 */
import { Buffer } from 'node:buffer'
import { constants, deflateRawSync } from 'node:zlib'
import { decodeUtf8 } from '../../frames/utf8.ts'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { Connection } from '../../lib/connection.ts'
import { Allowance } from '../../lib/deflate/allowance.ts'
import { type Inflated, Inflater } from '../../lib/deflate/inflater.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { watchProcess } from '../help/loop.ts'
import { memoryPair } from '../help/memory-pair.ts'
import { StrictInflater } from '../help/strict-inflater.ts'
import { cutRandomly, ended } from './ended.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import type { Target } from './target.ts'

const windows = [8, 9, 12, 15] as const
const limits = [64 * 1024, 4096, 100, 1] as const
/** Final blocks from so many on are refused; the inflater adds one of its own. */
const manyFinals = 64
/**
 * The inflater has an end mark of three bytes behind each message. One that is cut short takes them for its own: two
 * bits at least for each copy of at most 258 bytes.
 */
const mostOfEndMark = (24 / 2) * 258

interface Message {
  readonly text: boolean
  readonly payload: Buffer
}

interface Input {
  readonly takeover: boolean
  readonly windowBits: number
  readonly maxSize: number
  readonly connected: boolean
  readonly role: 'client' | 'server'
  readonly cuts: Random
  readonly messages: readonly Message[]
}

function parse(input: Uint8Array): Input {
  const [settings = 0, play = 0] = input
  const messages: Message[] = []
  for (let at = 2; at + 2 <= input.length;) {
    const head = (input[at]! << 8) | input[at + 1]!
    const end = Math.min(input.length, at + 2 + (head & 0x7fff))
    messages.push({ text: (head & 0x8000) !== 0, payload: Buffer.from(input.subarray(at + 2, end)) })
    at = end
  }
  return {
    takeover: (settings & 1) === 0,
    windowBits: windows[(settings >> 1) & 3]!,
    maxSize: limits[(settings >> 3) & 3]!,
    connected: (play & 1) !== 0,
    role: (play & 2) === 0 ? 'server' : 'client',
    cuts: new Random('cuts', play),
    messages,
  }
}

/** Makes an inflater. */
export type Make = (
  windowBits: number,
  noContextTakeover: boolean,
  maxSize: number,
) => Pick<Inflater, 'inflate'>

const allowance = new Allowance(() => 0)

/** The target, around the real inflater or, to test the fuzzer itself, around a broken one. */
export function deflateTarget(
  make: Make = (windowBits, noContextTakeover, maxSize) =>
    new Inflater(windowBits, noContextTakeover, maxSize, allowance),
): Target {
  return {
    name: 'deflate',
    corpus: 'deflate',
    generate,
    async check(bytes) {
      const input = parse(bytes)
      const outcomes: Inflated[] = []
      const { windowBits, takeover, maxSize } = input
      const inflater = make(windowBits, !takeover, maxSize)
      const strict = new StrictInflater(windowBits, takeover, { from: 'others', limit: 4 * maxSize + 4096 })
      for (const [index, { payload }] of input.messages.entries()) {
        const found = await inflater.inflate(
          cutRandomly(payload, input.cuts).map((piece) => Buffer.from(piece)),
        )
        outcomes.push(found)
        const wanted = judge(payload, strict, input)
        if (!wanted.some((each) => same(each, found)))
          return `message ${index}: wanted ${wanted.map(shown).join(' or ')}\n  found  ${shown(found)}`
        if (typeof found === 'string' || wanted.length > 1) break
      }
      if (!input.connected) return undefined
      // What comes behind a message that may be anything may be anything too.
      const known = typeof outcomes.at(-1) === 'string' ? undefined : outcomes.length
      return playConnected({ ...input, messages: input.messages.slice(0, known) }, outcomes)
    },
  }
}

/** What may come of a message: more than one thing where zlib and the strict inflater need not agree. */
function judge(
  payload: Buffer,
  strict: StrictInflater,
  { windowBits, maxSize }: Input,
): ('any' | Inflated)[] {
  let message: Inflated
  try {
    message = strict.inflate(payload)
  } catch {
    // zlib looks no further than the beginning of its output.
    if (strict.farthest > 2 ** windowBits) return ['any', 'corrupt']
    // Both what comes out and what is wrong with it are too much: zlib meets the one or the other first.
    const size = strict.size + (strict.exhausted ? mostOfEndMark : 0)
    return size > maxSize ? ['too-big', 'corrupt'] : ['corrupt']
  }
  if (strict.finals >= manyFinals)
    return ['corrupt', ...(message.length > maxSize ? (['too-big'] as const) : [])]
  return [message.length > maxSize ? 'too-big' : message]
}

function same(wanted: 'any' | Inflated, found: Inflated): boolean {
  if (wanted === 'any') return true
  return typeof wanted === 'string' || typeof found === 'string' ? wanted === found : wanted.equals(found)
}

function shown(message: string | Buffer): string {
  return typeof message === 'string' ? message : `${message.length} bytes ${message.toString('hex', 0, 100)}`
}

/** The same messages to a whole connection, which must make of them what the inflater did. */
async function playConnected(input: Input, outcomes: readonly Inflated[]): Promise<string | undefined> {
  const { role, cuts, takeover, windowBits, maxSize } = input
  const wanted = storyOf(input, outcomes)
  const watch = watchProcess()
  const timers = new FakeTimers()
  const [ours, theirs] = memoryPair()
  const found: string[] = []
  const connection = new Connection(ours, {
    role,
    timers,
    maxMessageSize: maxSize,
    compression: true,
    deflate: {
      serverNoContextTakeover: !takeover,
      clientNoContextTakeover: !takeover,
      serverMaxWindowBits: windowBits,
      clientMaxWindowBits: windowBits,
    },
  })
  connection.on('message', (message) => found.push(line(message)))
  connection.on('close', ({ code, error }) => {
    const name = error !== undefined && 'code' in error ? String(error.code) : ''
    found.push(`end ${name === '' ? code : name}`)
  })
  const maskKey = role === 'server' ? 0x1e2d3c4b : undefined
  const send = (opcode: Opcode, payload: Uint8Array, fin: boolean, rsv1: boolean): void => {
    theirs.write(encodeFrame({ opcode, payload, fin, rsv1, maskKey }))
  }
  for (const { text, payload } of input.messages) {
    const pieces = cutRandomly(payload, cuts)
    for (const [index, piece] of pieces.entries()) {
      const opcode = index > 0 ? Opcode.continuation : text ? Opcode.text : Opcode.binary
      send(opcode, piece, index === pieces.length - 1, index === 0)
    }
  }
  send(Opcode.close, Uint8Array.of(0x0f, 0xa0), true, false) // 4000
  theirs.end()
  theirs.resume()
  const stuck = !(await ended(connection))
  const escaped = await watch.stop()
  theirs.destroy()
  if (stuck) return `the connection does not end; so far ${found.join(' | ')}`
  if (escaped.length > 0) return `escaped: ${escaped.map(String).join(', ')}`
  const [one, other] = [wanted.join(' | '), found.join(' | ')]
  return one === other ? undefined : `as a ${role} wanted ${one}\n  found  ${other}`
}

function storyOf({ messages, maxSize }: Input, outcomes: readonly Inflated[]): string[] {
  const story: string[] = []
  for (const [index, outcome] of outcomes.entries()) {
    const { text, payload } = messages[index]!
    // Too long even for a message that does not compress: refused at a header.
    const tooLong = payload.length > maxSize * (1 + 1 / 1024) + 64
    if (outcome === 'too-big' || tooLong) return [...story, 'end message-too-big']
    if (outcome === 'corrupt') return [...story, 'end bad-deflate']
    const message = text ? decodeUtf8(outcome, 0, outcome.length) : outcome
    if (message === undefined) return [...story, 'end bad-utf8']
    story.push(line(message))
  }
  return [...story, 'end 4000']
}

function line(message: string | Buffer): string {
  return typeof message === 'string' ? JSON.stringify(message) : message.toString('hex')
}

const strategies = [
  constants.Z_DEFAULT_STRATEGY,
  constants.Z_FIXED,
  constants.Z_HUFFMAN_ONLY,
  constants.Z_RLE,
] as const

/** Messages as peers compress them, well or badly; some changed, and some that nobody compressed. */
function generate(random: Random, corpus: readonly Uint8Array[]): Uint8Array {
  const known = corpus[random.below(corpus.length)]
  if (known !== undefined && random.once(6)) return mutate(random, known)
  const settings = random.below(32)
  const parts: Uint8Array[] = [
    Uint8Array.of(settings, random.once(4) ? random.next() | 1 : random.next() & ~1),
  ]
  const windowBits = windows[(settings >> 1) & 3]!
  const maxSize = limits[settings >> 3]!
  let before = Buffer.alloc(0)
  for (let count = 1 + random.below(3); count > 0; count--) {
    const message = messageOf(random, maxSize)
    let payload: Uint8Array = compressed(random, message, before, windowBits)
    if (random.once(3)) payload = mutate(random, payload)
    if (random.once(12)) payload = random.bytes(random.below(30))
    const head = Math.min(payload.length, 0x7fff) | (random.once(2) ? 0x8000 : 0)
    parts.push(Uint8Array.of(head >> 8, head), payload)
    before = Buffer.concat([before, message]).subarray(-(2 ** windowBits))
  }
  return Buffer.concat(parts)
}

function messageOf(random: Random, maxSize: number): Buffer {
  const near = Math.min(maxSize, 4096) + random.below(3) - 1
  const length = random.once(12) ? near : random.once(20) ? random.below(6000) : random.below(200)
  const unit = random.once(2) ? random.bytes(1 + random.below(20)) : Buffer.from('words and é€𐍈 more words, ')
  return random.once(3) ? Buffer.from(random.bytes(length)) : Buffer.alloc(length, unit)
}

function compressed(random: Random, message: Buffer, before: Buffer, windowBits: number): Buffer {
  const final = random.once(6)
  const options = {
    // zlib deflates with no window of 8 bits; a little too wide a one is the case to look at.
    windowBits: Math.max(9, random.once(8) ? 15 : windowBits),
    level: random.once(4) ? 0 : 6,
    strategy: random.pick(strategies),
    ...(before.length > 0 && !random.once(4) ? { dictionary: before } : {}),
  }
  if (final) return Buffer.concat([deflateRawSync(message, options), Uint8Array.of(0)])
  const whole = deflateRawSync(message, { ...options, finishFlush: constants.Z_SYNC_FLUSH })
  return random.once(8) ? whole : whole.subarray(0, -4)
}
