/**
 * The decoder against itself, as fast as can be: what it makes of bytes that come whole, cut somewhere, and one by
 * one. Events are not kept but folded into a number. Inputs are those of `frames.ts`.
 */
import { Buffer } from 'node:buffer'
import { decodeClosePayload } from '../../frames/close-payload.ts'
import { Decoder, type DecoderOptions, type FrameSink } from '../../frames/decoder.ts'
import { type ControlOpcode, type MessageOpcode, Opcode } from '../../frames/opcode.ts'
import { Utf8Checker } from '../../frames/utf8.ts'
import type { Violation } from '../../frames/violation.ts'
import { interesting, mutate } from './mutate.ts'
import type { Random } from './random.ts'
import type { Target } from './target.ts'

const limits = [Number.MAX_SAFE_INTEGER, 4096, 125, 5] as const
const optionSets: readonly DecoderOptions[] = Array.from({ length: 16 }, (_, settings) => ({
  from: (settings & 1) === 0 ? 'client' : 'server',
  rsv1Allowed: (settings & 2) !== 0,
  maxMessageSize: limits[settings >> 2]!,
}))

/** The chunks of all plays lie in here: the decoder unmasks them in place. */
let room = Buffer.alloc(1024)

/** Folds all that a decoder tells into one number, whatever the pieces. */
class Fingerprint implements FrameSink {
  readonly decoder: Decoder
  value = 0x811c9dc5 | 0
  over = false
  #utf8: Utf8Checker | undefined

  constructor(options: DecoderOptions) {
    this.decoder = new Decoder(this, options)
  }

  data(opcode: MessageOpcode, chunk: Buffer, start: number, end: number, last: boolean, rsv1: boolean): void {
    for (let at = start; at < end; at++) this.#fold(chunk[at]!)
    if (opcode === Opcode.text && !rsv1) {
      this.#utf8 ??= new Utf8Checker()
      if (!this.#utf8.push(chunk, start, end)) return this.#over(0x200)
    }
    if (!last) return
    if (this.#utf8?.complete === false) return this.#over(0x200)
    this.#utf8 = undefined
    this.#fold(0x300 | opcode | (rsv1 ? 0x40 : 0))
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    if (opcode === Opcode.close) {
      const said = decodeClosePayload(payload)
      return this.#over('name' in said ? said.closeCode : (said.code ?? 0x500))
    }
    for (let at = 0; at < payload.length; at++) this.#fold(payload[at]!)
    this.#fold(0x400 | opcode)
  }

  violation({ name }: Violation): void {
    for (let at = 0; at < name.length; at++) this.#fold(name.charCodeAt(at))
    this.over = true
  }

  /** Bytes of a message that a fail-fast check has ended came in other pieces; what counts is that it ended. */
  #over(why: number): void {
    this.decoder.stop()
    this.value = why
    this.over = true
  }

  #fold(number: number): void {
    this.value = Math.imul(this.value ^ number, 0x01000193)
  }
}

/** Plays the input from byte 2 on, cut at `first` and then every `step` bytes. */
function play(input: Uint8Array, options: DecoderOptions, first: number, step: number): number {
  const size = input.length - 2
  if (room.length < size) room = Buffer.alloc(2 * size)
  room.set(input.subarray(2))
  const fingerprint = new Fingerprint(options)
  const { decoder } = fingerprint
  let from = 0
  for (let to = Math.min(first, size); from < size || to === 0; to = Math.min(to + step, size)) {
    decoder.push(room.subarray(from, to))
    from = to
    if (size === 0) break
  }
  // What is left of a connection that is over does not count.
  if (fingerprint.over) return fingerprint.value
  return Math.imul(fingerprint.value ^ decoder.frames, 31) + (decoder.unfinished ? 1 : 0)
}

export const decoderTarget: Target = {
  name: 'decoder',
  corpus: 'frames',
  generate(random, corpus) {
    const known = corpus[random.below(corpus.length)]
    if (known === undefined || random.below(8) > 0) return frames(random)
    return mutate(random, known)
  },
  check(input) {
    if (input.length < 2) return undefined
    const options = optionSets[input[0]! & 15]!
    const size = input.length - 2
    const seed = input[1]!
    const whole = play(input, options, size, 1)
    const cut = seed % (size + 1)
    const inTwo = play(input, options, cut, size)
    if (inTwo !== whole) return `cut at ${cut}: ${inTwo}, whole: ${whole}`
    const step = 1 + (seed >> 5)
    if (seed % 4 !== 0 || size > 200) return undefined
    const inMany = play(input, options, step, step)
    return inMany === whole ? undefined : `every ${step} bytes: ${inMany}, whole: ${whole}`
  },
}

const scratch = new Uint8Array(512)
const dataOpcodes = [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0xc1, 0x41] as const
const controlOpcodes = [0x89, 0x8a, 0x88] as const
/** In UTF-8, one character's bytes after the other's. */
const text = Buffer.from('a\u00e9\u20ac\u{10348}\u07ff\u0800\ufffd\u{10ffff}z')

/** Settings and a few frames, most of them right by themselves; what they are together is chance. */
function frames(random: Random): Uint8Array {
  const settings = random.below(4) | (random.once(3) ? random.below(4) << 2 : 0)
  scratch[0] = settings
  scratch[1] = random.next()
  let end = 2
  for (let count = random.below(5); count >= 0; count--) end = frame(random, settings, end)
  if (random.once(4)) scratch[2 + random.below(end - 2)] = random.pick(interesting)
  if (random.once(8)) end -= random.below(end - 2)
  return scratch.slice(0, end)
}

/** Writes a frame at `at`; returns where the next one goes. */
function frame(random: Random, settings: number, at: number): number {
  let end = at
  const control = random.once(4)
  const length = random.once(32) ? 126 : random.below(14)
  const masked = ((settings & 1) === 0) !== random.once(64)
  scratch[end++] = random.once(32) ? random.next() : random.pick(control ? controlOpcodes : dataOpcodes)
  scratch[end++] = (masked ? 0x80 : 0) | (control ? Math.min(length, 125) : length)
  if (length === 126 && !control) {
    scratch[end++] = 0
    scratch[end++] = random.once(4) ? random.next() : 126
  }
  const key = masked && !random.once(4) ? random.next() : 0
  if (masked) {
    for (let shift = 24; shift >= 0; shift -= 8) scratch[end++] = key >>> shift
  }
  const start = random.below(text.length)
  const good = random.below(4) > 0
  for (let index = 0; index < Math.min(length, 60); index++) {
    const byte = good ? text[(start + index) % text.length]! : random.next()
    scratch[end++] = byte ^ (key >>> (24 - 8 * (index & 3)))
  }
  return end
}
