/**
 * The Close payload, RFC 6455 section 5.5.1, both ways: any bytes against the slow judge of `reference.ts`, and any
 * code with any reason to bytes and back.
 *
 *     byte 0   bit 0: 0 decode · 1 encode
 *     the rest the payload; or the code in two bytes, and the reason in UTF-16
 */
import { Buffer } from 'node:buffer'
import { decodeClosePayload, encodeClosePayload } from '../../frames/close-payload.ts'
import { mutate } from './mutate.ts'
import type { Random } from './random.ts'
import { judgeClose } from './reference.ts'
import type { Target } from './target.ts'

export interface ClosePayloads {
  readonly decode: typeof decodeClosePayload
  readonly encode: typeof encodeClosePayload
}

/** The target, around the real functions or, to test the fuzzer itself, around broken ones. */
export function closePayloadTarget(
  subject: ClosePayloads = { decode: decodeClosePayload, encode: encodeClosePayload },
): Target {
  return {
    name: 'close-payload',
    corpus: 'close-payload',
    generate(random, corpus) {
      const known = corpus[random.below(corpus.length)]
      if (known !== undefined && random.once(8)) return mutate(random, known)
      const encode = random.once(3)
      const payload = Buffer.concat([codeOf(random), encode ? utf16(random) : utf8(random)])
      const input = Buffer.concat([Uint8Array.of(encode ? 1 : 0), payload])
      return random.once(2) ? mutate(random, input) : input
    },
    check(input) {
      const payload = Buffer.from(input.subarray(1))
      return ((input[0] ?? 0) & 1) === 0 ? decodes(payload, subject) : encodes(payload, subject)
    },
  }
}

/** What a payload says, as `judgeClose` tells it. */
function told(payload: Buffer, { decode }: ClosePayloads): string {
  const said = decode(payload)
  if ('name' in said) return `fail ${said.closeCode} ${said.name}`
  return `close ${said.code ?? 1005} ${JSON.stringify(said.reason)}`
}

function decodes(payload: Buffer, subject: ClosePayloads): string | undefined {
  const wanted = judgeClose(payload)
  const found = told(payload, subject)
  if (found !== wanted) return `wanted ${wanted}\n  found  ${found}`
  const said = subject.decode(payload)
  if ('name' in said || payload.length > 125) return undefined
  const again = subject.encode(said.code, said.reason)
  return again.equals(payload) ? undefined : `encoded again it is ${again.toString('hex')}`
}

function encodes(bytes: Buffer, subject: ClosePayloads): string | undefined {
  const code = bytes.length < 2 ? 0 : bytes.readUInt16BE(0)
  const reason = bytes.toString('utf16le', 2)
  // What UTF-8 makes of lone surrogates.
  const whole = Buffer.from(reason)
  const sayable = judgeClose(Buffer.from([code >> 8, code & 0xff])).startsWith('close') && whole.length <= 123
  let payload: Buffer
  try {
    payload = subject.encode(code, reason)
  } catch (error) {
    return error instanceof RangeError && !sayable ? undefined : `threw ${String(error)}`
  }
  if (!sayable) return `encoded what must not be sent: ${payload.toString('hex')}`
  const wanted = `close ${code} ${JSON.stringify(whole.toString())}`
  const found = told(payload, subject)
  return found === wanted ? undefined : `wanted ${wanted}\n  found  ${found}`
}

const codes = [
  0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1011, 1014, 1015, 1016, 2999, 3000, 4999, 5000, 65535,
] as const

function codeOf(random: Random): Uint8Array {
  const code = random.once(4) ? random.below(0x10000) : random.pick(codes)
  return Uint8Array.of(code >> 8, code)
}

const characters = [
  'a',
  '\0',
  '\x7f',
  'é',
  '\u07ff',
  '\u0800',
  '\ufeff',
  '\ufffd',
  '\u{10000}',
  '\u{10ffff}',
] as const

function utf8(random: Random): Uint8Array {
  return Buffer.from(text(random)).subarray(0, random.once(4) ? random.below(130) : 123)
}

/** Now and then half of a pair, which no UTF-8 can say. */
function utf16(random: Random): Uint8Array {
  const half = random.pick(['', '', '\ud800', '\udc00'])
  return Buffer.from(`${text(random)}${half}${text(random)}`, 'utf16le')
}

function text(random: Random): string {
  const length = random.once(3) ? random.below(130) : random.below(6)
  return Array.from({ length }, () => random.pick(characters)).join('')
}
