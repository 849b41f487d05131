/**
 * Sec-WebSocket-Extensions: any value through the parser, to an answer and to the judge of that answer, each against
 * `extension-reference.ts`.
 *
 *     byte 0   our policy. bits 0 and 1: no context takeover of the server, of the client
 *              bits 2 to 4, 5 to 7: the window of the server, of the client, 8 to 15
 *     the rest the value, in Latin-1
 */
import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import { accept, judgeAnswer, offer } from '../../lib/deflate/parameters.ts'
import { formatExtensions, parseExtensions } from '../../lib/header-list.ts'
import { agreeTo, readExtensions, takeAnswer, type Terms } from './extension-reference.ts'
import { mutate } from './mutate.ts'
import type { Random } from './random.ts'
import type { Target } from './target.ts'

export interface Extensions {
  readonly parse: typeof parseExtensions
  readonly accept: typeof accept
  readonly judgeAnswer: typeof judgeAnswer
}

/** The target, around the real functions or, to test the fuzzer itself, around broken ones. */
export function extensionHeaderTarget(
  subject: Extensions = { parse: parseExtensions, accept, judgeAnswer },
): Target {
  return {
    name: 'extension-header',
    corpus: 'extension-header',
    generate(random, corpus) {
      const known = corpus[random.below(corpus.length)]
      let input: Uint8Array =
        known !== undefined && random.once(8)
          ? known
          : Buffer.from(`${String.fromCharCode(random.below(256))}${headerValue(random)}`, 'latin1')
      for (let mutations = random.below(3); mutations > 0; mutations--) {
        input = mutate(random, input, delimiters)
      }
      return input
    },
    check(input) {
      const policy = policyOf(input[0] ?? 0)
      return problemIn(Buffer.from(input.subarray(1)).toString('latin1'), policy, subject)
    },
  }
}

function policyOf(byte: number): Terms {
  return {
    serverNoContextTakeover: (byte & 1) !== 0,
    clientNoContextTakeover: (byte & 2) !== 0,
    serverMaxWindowBits: 8 + ((byte >> 2) & 7),
    clientMaxWindowBits: 8 + (byte >> 5),
  }
}

function problemIn(value: string, policy: Terms, subject: Extensions): string | undefined {
  const wanted = readExtensions(value)
  const parsed = subject.parse(value)
  const shown = JSON.stringify(value)
  if (!isDeepStrictEqual(parsed, wanted)) return `${shown}: ${differ(wanted, parsed)}`
  if (parsed === undefined) return undefined
  const written = formatExtensions(parsed)
  if (!isDeepStrictEqual(subject.parse(written), parsed)) return `${shown}: written again it is ${written}`

  // As a server.
  const accepted = subject.accept(parsed, policy)
  const agreement = agreeTo(parsed, policy)
  if (!isDeepStrictEqual(accepted?.agreement, agreement))
    return `accept ${shown}: ${differ(agreement, accepted?.agreement)}`
  if (accepted !== undefined) {
    const understood = parsed.some((each) =>
      isDeepStrictEqual(subject.judgeAnswer(each, accepted.answer), agreement),
    )
    const line = formatExtensions([accepted.answer])
    if (!understood) return `${shown} is answered by ${line}, which the client takes otherwise`
  }

  // As a client.
  for (const answer of parsed) {
    const asked = offer(policy)
    const taken = subject.judgeAnswer(asked, answer)
    const terms = takeAnswer(asked, answer)
    if (!isDeepStrictEqual(taken, terms))
      return `${formatExtensions([asked])} is answered by ${shown}: ${differ(terms, taken)}`
  }
  return undefined
}

function differ(wanted: unknown, found: unknown): string {
  return `wanted ${JSON.stringify(wanted)}\n  found  ${JSON.stringify(found)}`
}

/** Bytes that matter in a list of extensions. */
const delimiters = [
  0x20, 0x09, 0x22, 0x2c, 0x3b, 0x3d, 0x5c, 0x30, 0x31, 0x38, 0x61, 0x00, 0x7f, 0xe9,
] as const

const names = [
  'server_no_context_takeover',
  'client_no_context_takeover',
  'server_max_window_bits',
  'client_max_window_bits',
] as const
const values = [
  '8',
  '9',
  '10',
  '15',
  '7',
  '16',
  '08',
  '1',
  '"10"',
  '"1\\5"',
  '""',
  '"1',
  'x',
  '"a b"',
] as const
const space = ['', '', '', ' ', '\t', '  '] as const

/** A list of extensions, most of them offers or answers of permessage-deflate that make sense. */
export function headerValue(random: Random): string {
  const gap = (): string => random.pick(space)
  const parameter = (): string => {
    const name = random.once(20) ? random.pick(['x', 'Server_Max_Window_Bits', '', 'a"']) : random.pick(names)
    const bare = name.endsWith('takeover') || (name.startsWith('client') && random.once(2))
    if (bare !== random.once(16)) return `${gap()}${name}`
    const value = random.once(4) ? random.pick(values) : `${8 + random.below(8)}`
    return `${gap()}${name}${random.once(16) ? gap() : ''}=${random.once(16) ? gap() : ''}${value}`
  }
  const element = (): string => {
    const name = random.once(8) ? random.pick(['x-other', 'permessage-bzip2', '']) : 'permessage-deflate'
    const parameters = Array.from({ length: random.below(4) }, parameter)
    return [`${gap()}${name}`, ...parameters].join(`${gap()};`)
  }
  return Array.from({ length: 1 + random.below(3) }, element).join(`${gap()},`)
}
