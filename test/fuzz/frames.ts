/**
 * The targets for the frame codec. Their inputs begin with two bytes of settings, so that chunk removal shrinks those
 * too:
 *
 *     byte 0   bit 0: frames from a server · bit 1: RSV1 allowed · bits 2 and 3: which limit
 *     byte 1   how the bytes are cut
 *     the rest what comes from the network; for `round-trip`, what to encode
 */
import { Buffer } from 'node:buffer'
import { encodeClosePayload } from '../../frames/close-payload.ts'
import type { DecoderOptions } from '../../frames/decoder.ts'
import { encodeFrame, payloadSize, writeFrame } from '../../frames/encoder.ts'
import { headerSize } from '../../frames/header.ts'
import { Opcode } from '../../frames/opcode.ts'
import { Endpoint } from '../frames/endpoint.ts'
import { interesting, mutate } from './mutate.ts'
import { Random } from './random.ts'
import { reference, type ReferenceOptions, type Result } from './reference.ts'
import type { Target } from './target.ts'

const limits = [Number.MAX_SAFE_INTEGER, 4096, 125, 5] as const

interface Input {
  readonly options: ReferenceOptions
  readonly cuts: Random
  readonly wire: Uint8Array
}

function parse(input: Uint8Array): Input {
  const [settings = 0, cuts = 0] = input
  return {
    options: {
      from: (settings & 1) === 0 ? 'client' : 'server',
      rsv1Allowed: (settings & 2) !== 0,
      maxMessageSize: limits[(settings >> 2) & 3]!,
    },
    cuts: new Random('cuts', cuts),
    wire: input.subarray(2),
  }
}

/** How chunks reach the decoder. */
export type Mode =
  | 'push'
  | 'hold at each event'
  | 'push the next from each event'
  | 'hold, push the next and resume in each event'

/** Feeds the chunks to a decoder and tells what came of it. */
export type Play = (chunks: readonly Uint8Array[], options: DecoderOptions, mode: Mode) => Result

export const play: Play = (chunks, options, mode) => {
  const endpoint = new Endpoint(options)
  const { decoder } = endpoint
  const queue = chunks.map((chunk) => Buffer.from(chunk))
  const pushNext = (): void => {
    const chunk = queue.shift()
    if (chunk !== undefined) decoder.push(chunk)
  }
  let held = false
  if (mode === 'hold at each event') {
    endpoint.hook = () => {
      decoder.hold()
      held = true
    }
  } else if (mode === 'push the next from each event') {
    endpoint.hook = pushNext
  } else if (mode === 'hold, push the next and resume in each event') {
    endpoint.hook = () => {
      decoder.hold()
      pushNext()
      decoder.resume()
    }
  }
  while (queue.length > 0) {
    pushNext()
    // Every other chunk comes while the decoder is held.
    if (held && queue.length % 2 === 0) pushNext()
    while (held) {
      held = false
      decoder.resume()
    }
  }
  const { events, over, partial } = endpoint
  return { events, over, frames: decoder.frames, unfinished: decoder.unfinished, partial }
}

/** What two results must agree in. What is left of a connection that is over does not count. */
function line({ events, over, frames, unfinished, partial }: Result): string {
  const left = over ? 'over' : `${frames} frames${unfinished ? `, unfinished ${partial}` : ''}`
  return [...events, left].join(' | ')
}

function cutAt(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const cuts = [0, ...places.toSorted((a, b) => a - b), bytes.length]
  return cuts.slice(1).map((cut, index) => bytes.subarray(cuts[index], cut))
}

function cutRandomly(bytes: Uint8Array, cuts: Random): Uint8Array[] {
  const count = cuts.below(Math.min(bytes.length, 8)) + 1
  return cutAt(
    bytes,
    Array.from({ length: count }, () => cuts.below(bytes.length + 1)),
  )
}

const modes = [
  'push',
  'hold at each event',
  'push the next from each event',
  'hold, push the next and resume in each event',
] as const

/** Plays bytes in so many cuts and modes and compares each with what is wanted. */
function compare(
  wanted: string,
  { wire, options, cuts }: Input,
  play: Play,
  rounds: number,
): string | undefined {
  const differs = (chunks: Uint8Array[], mode: Mode): string | undefined => {
    const found = line(play(chunks, options, mode))
    if (found === wanted) return undefined
    return `cut into ${chunks.map((chunk) => chunk.length).join('+')}, ${mode}:\n  wanted ${wanted}\n  found  ${found}`
  }
  let problem = differs([wire], 'push')
  if (wire.length <= 300 && cuts.once(4)) problem ??= differs(cutAt(wire, [...wire.keys()]), 'push')
  const first = cuts.below(modes.length)
  for (let round = 0; round < rounds; round++) {
    problem ??= differs(cutRandomly(wire, cuts), modes[(first + round) % modes.length]!)
  }
  return problem
}

function settingsOf(random: Random): number[] {
  return [random.below(4) | (random.once(3) ? random.below(4) << 2 : 0), random.below(256)]
}

/** Characters from every form that UTF-8 has. */
const characters = [
  'a',
  '~',
  '\0',
  '\x7f',
  '\x80',
  'é',
  '\u07ff',
  '\u0800',
  '€',
  '\ud7ff',
  '\ue000',
  '\ufffd',
  '\uffff',
  '𐍈',
  '\u{10ffff}',
] as const

/** Valid text of `length` characters; a long one repeats itself, because what it says does not matter. */
function randomText(random: Random, length: number): Uint8Array {
  const start = Array.from({ length: Math.min(length, 50) }, () => random.pick(characters)).join('')
  return Buffer.from(length <= 50 ? start : start.repeat(Math.ceil(length / 50)))
}

function randomData(random: Random, length: number): Uint8Array {
  return length <= 50 ? random.bytes(length) : Buffer.alloc(length, random.bytes(50))
}

function randomSize(random: Random): number {
  if (random.once(400)) return random.pick([65535, 65536, 65537, 70000])
  return random.once(6) ? random.pick([0, 1, 124, 125, 126, 127, 128, 255, 256, 1000]) : random.below(20)
}

/** One frame, written without the encoder that is under test. */
function frame(first: number, payload: Uint8Array, key: Uint8Array | undefined): Uint8Array {
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(payload.length))
  const [field, extended] =
    payload.length > 65535
      ? [127, length]
      : payload.length > 125
        ? [126, length.subarray(6)]
        : [payload.length, []]
  const head = Uint8Array.of(first, field | (key === undefined ? 0 : 0x80), ...extended, ...(key ?? []))
  return Buffer.concat([head, payload.map((byte, index) => byte ^ (key?.[index % 4] ?? 0))])
}

/** Bytes that a well-behaved peer may send: messages in fragments, control frames among them, maybe a Close. */
export function conversation(random: Random, from: 'client' | 'server', rsv1Allowed: boolean): Uint8Array {
  const frames: Uint8Array[] = []
  const add = (first: number, payload: Uint8Array): void => {
    const key = from === 'server' ? undefined : random.once(8) ? Uint8Array.of(0, 0, 0, 0) : random.bytes(4)
    frames.push(frame(first, payload, key))
  }
  const maybeControl = (): void => {
    if (random.once(5)) add(random.pick([0x89, 0x8a]), randomData(random, Math.min(randomSize(random), 125)))
  }
  for (let messages = random.below(6); messages > 0; messages--) {
    const text = random.once(2)
    const size = randomSize(random)
    const payload = text ? randomText(random, size) : randomData(random, size)
    const opcode = (text ? 1 : 2) | (rsv1Allowed && random.once(3) ? 0x40 : 0)
    maybeControl()
    // Fragments end where they will, inside a character too.
    const parts = random.once(2) ? [payload] : cutRandomly(payload, random)
    for (const [index, part] of parts.entries()) {
      add((index === 0 ? opcode : 0) | (index === parts.length - 1 ? 0x80 : 0), part)
      maybeControl()
    }
  }
  if (random.once(3)) {
    const code = Buffer.alloc(2)
    code.writeUInt16BE(random.pick([1000, 1001, 1014, 3000, 4999]))
    add(0x88, random.once(4) ? new Uint8Array() : Buffer.concat([code, randomText(random, random.below(30))]))
  }
  return Buffer.concat(frames)
}

/** The targets, around the real decoder or, to test the fuzzer itself, around a broken one. */
export function frameTargets(player: Play = play): Target[] {
  const againstReference = (input: Uint8Array): string | undefined => {
    const parsed = parse(input)
    return compare(line(reference(parsed.wire, parsed.options)), parsed, player, 2)
  }

  return [
    {
      name: 'bytes',
      corpus: 'frames',
      generate: (random) => {
        const bytes = random.bytes(random.below(64))
        const some = random.below(4)
        return Uint8Array.of(
          ...settingsOf(random),
          ...bytes.map((byte) => (random.below(4) < some ? random.pick(interesting) : byte)),
        )
      },
      check: againstReference,
    },
    {
      name: 'valid',
      corpus: 'frames',
      generate: (random) => {
        const settings = settingsOf(random).map((byte, index) => (index === 0 ? byte & 3 : byte))
        return Buffer.concat([Uint8Array.from(settings), talk(random, settings)])
      },
      check: againstReference,
    },
    {
      name: 'mutated',
      corpus: 'frames',
      generate: (random, corpus) => {
        const settings = settingsOf(random)
        const known = corpus[random.below(corpus.length)]
        let bytes: Uint8Array =
          known !== undefined && random.once(4)
            ? known
            : Buffer.concat([Uint8Array.from(settings), talk(random, settings)])
        for (let mutations = 1 + random.below(4); mutations > 0; mutations--) bytes = mutate(random, bytes)
        return bytes
      },
      check: againstReference,
    },
    {
      name: 'cuts',
      corpus: 'frames',
      generate: (random) => {
        const settings = settingsOf(random)
        const wire = Buffer.concat([talk(random, settings), talk(random, settings), talk(random, settings)])
        return Buffer.concat([Uint8Array.from(settings), random.once(2) ? mutate(random, wire) : wire])
      },
      // The decoder against itself: however the bytes are cut, the events are those of the whole.
      check: (input) => {
        const parsed = parse(input)
        return compare(line(player([parsed.wire], parsed.options, 'push')), parsed, player, 8)
      },
    },
    {
      name: 'round-trip',
      corpus: 'frames',
      generate: (random) => Uint8Array.of(...settingsOf(random), ...random.bytes(random.below(40))),
      check: (input) => {
        const { options, cuts, wire: script } = parse(input)
        const { wire, wanted } = encodeScript(script, options.from)
        return compare(wanted, { wire, cuts, options: { ...options, maxMessageSize: limits[0] } }, player, 2)
      },
    },
  ]
}

function talk(random: Random, [settings = 0]: number[]): Uint8Array {
  return conversation(random, (settings & 1) === 0 ? 'client' : 'server', (settings & 2) !== 0)
}

/** Encodes what a script of any bytes asks for, and says what must be decoded from it. */
function encodeScript(script: Uint8Array, from: 'client' | 'server'): { wire: Uint8Array; wanted: string } {
  const encoded: Uint8Array[] = []
  const events: string[] = []
  let at = 0
  const take = (): number => script[at++] ?? 0
  const add = (opcode: Opcode, payload: Uint8Array | string, fin: boolean): void => {
    const maskKey = from === 'server' ? undefined : Math.imul(take(), 0x01020407 + at)
    if (at % 2 === 0) {
      encoded.push(encodeFrame({ opcode, payload, fin, maskKey }))
      return
    }
    // The other way to write a frame: into room that somebody else made.
    const length = payloadSize(payload)
    const room = Buffer.alloc(3 + headerSize(length, maskKey !== undefined) + length)
    const end = writeFrame(room, 3, (fin ? 0x80 : 0) | opcode, payload, length, maskKey)
    encoded.push(room.subarray(3, end))
  }
  const takeText = (): string => {
    const code = take()
    const unit = [take(), take(), take()].map((byte) => characters[byte % characters.length]).join('')
    if (code < 240) return unit.repeat(code % 20)
    return unit.repeat(code < 254 ? 40 + (code % 4) : take() < 32 ? 21_846 : 200)
  }

  while (at < script.length) {
    const what = take()
    if (what % 4 === 0) {
      const opcode = what < 128 ? Opcode.ping : Opcode.pong
      const payload = Buffer.from(takeText()).subarray(0, 125)
      add(opcode, payload, true)
      events.push(`${opcode === Opcode.ping ? 'ping' : 'pong'} ${payload.toString('hex')}`.trimEnd())
      continue
    }
    const text = what % 4 === 1
    const parts = Array.from({ length: 1 + (what >> 6) }, takeText)
    for (const [index, part] of parts.entries()) {
      const opcode = index > 0 ? Opcode.continuation : text ? Opcode.text : Opcode.binary
      add(opcode, what % 8 < 4 ? part : Buffer.from(part), index === parts.length - 1)
    }
    events.push(`${text ? 'text' : 'binary'} ${Buffer.from(parts.join('')).toString('hex')}`.trimEnd())
  }
  if (script.length % 2 === 0)
    return { wire: Buffer.concat(encoded), wanted: [...events, `${encoded.length} frames`].join(' | ') }

  const reason = characters[script.length % characters.length]!.repeat(script.length % 30)
  add(Opcode.close, encodeClosePayload(3000 + script.length, reason), true)
  const wanted = [...events, `close ${3000 + script.length} ${JSON.stringify(reason)}`, 'over'].join(' | ')
  return { wire: Buffer.concat(encoded), wanted }
}
