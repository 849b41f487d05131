/**
 * Heads of HTTP messages for the targets `request-head` and `response-head`: read once strictly, after the grammar of
 * RFC 9112, and once as loosely as any parser might; and written well or badly.
 */
import { Buffer } from 'node:buffer'
import { mutate } from './mutate.ts'
import type { Random } from './random.ts'

export interface HttpHead {
  /** The first line. */
  readonly start: string
  /** Names and values in turn, as `http.IncomingMessage` has them. */
  readonly rawHeaders: readonly string[]
}

/** Node takes no head that is longer, in bytes. */
const longest = 16_000
const line =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[\t ]*$/

/** The head that the bytes begin with; undefined where it is not written as the grammar has it. */
export function readStrictly(bytes: Uint8Array): HttpHead | undefined {
  const text = Buffer.from(bytes).toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  if (end < 0 || end > longest) return undefined
  const [start = '', ...lines] = text.slice(0, end).split('\r\n')
  const fields = lines.map((each) => line.exec(each))
  const rawHeaders = fields.flatMap((field) => (field === null ? [] : [field[1]!, field[2]!]))
  return fields.includes(null) ? undefined : { start, rawHeaders }
}

/** What might pass for a head: lines end as they like, names and values are what stands around the first colon. */
export function readLoosely(bytes: Uint8Array): HttpHead {
  const text = Buffer.from(bytes)
    .toString('latin1')
    .replace(/^[\r\n]+/, '')
  const [head = ''] = text.split(/\r?\n\r?\n/, 1)
  const [start = '', ...lines] = head.replaceAll(/\r?\n[\t ]+/g, ' ').split(/\r?\n|\r/)
  const rawHeaders = lines.flatMap((each) => {
    const colon = each.indexOf(':')
    return colon < 0 ? [] : [each.slice(0, colon).trim(), trim(each.slice(colon + 1))]
  })
  return { start, rawHeaders }
}

/** What Node's parser refuses where the grammar allows it: a second Content-Length, and a tab in what it looks into itself. */
export function isOdd(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes).toString('latin1')
  return /^(?:connection|content-length):.*\t|^content-length:[^]*^content-length:/im.test(text)
}

/** All values of a field, in any case of its name. */
export function valuesOf({ rawHeaders }: Pick<HttpHead, 'rawHeaders'>, name: string): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)
}

/** Whether a list field holds that word, in any case. */
export function hasWord(head: Pick<HttpHead, 'rawHeaders'>, name: string, word: string): boolean {
  const elements = valuesOf(head, name).join(',').split(',')
  return elements.some((element) => trim(element).toLowerCase() === word)
}

function trim(text: string): string {
  return text.replaceAll(/^[\t ]+|[\t ]+$/g, '')
}

/** What the fields of a head are made from. */
export interface Fields {
  /** Those that a good head has, in any order. */
  readonly usual: readonly string[]
  /** Those that it may have too, or that spoil it. */
  readonly others: readonly [string, ...string[]]
}

/** A head that is good, or nearly. */
export function headOf(random: Random, start: string, { usual, others }: Fields): Buffer {
  const fields = [...usual]
  for (let count = random.once(2) ? random.below(4) : 0; count > 0; count--) fields.push(random.pick(others))
  if (random.once(6)) fields.splice(random.below(fields.length), 1)
  if (random.once(6)) fields.push(fields[random.below(fields.length)] ?? '')
  if (random.once(3)) fields.push(fields.shift() ?? '')
  const end = random.once(30) ? '\n' : '\r\n'
  const lines = fields.map((field) => (random.once(8) ? styled(random, field) : field))
  return Buffer.from([start, ...lines, '', ''].join(end), 'latin1')
}

/** The same field, written otherwise. */
function styled(random: Random, field: string): string {
  const [name = '', ...value] = field.split(':')
  switch (random.below(5)) {
    case 0:
      return field.toUpperCase()
    case 1:
      return field.toLowerCase()
    case 2:
      return `${name}:\t ${value.join(':').trim()} \t`
    case 3:
      return `${name}:${value.join(':').trim()}`
    default:
      return `${name}: ${value.join(':').trim()},`
  }
}

/** Bytes that matter in a head. */
const delimiters = [
  0x0d, 0x0a, 0x20, 0x09, 0x3a, 0x2c, 0x3b, 0x22, 0x00, 0x7f, 0x80, 0xff, 0x41, 0x31,
] as const

/** An input: a byte of settings and what `make` makes of a head, or one that is in the corpus; spoilt, or not. */
export function headInput(
  random: Random,
  corpus: readonly Uint8Array[],
  make: (random: Random) => Uint8Array,
): Uint8Array {
  const known = corpus[random.below(corpus.length)]
  if (known !== undefined && random.once(8)) return spoil(random, known)
  return Buffer.concat([random.bytes(1), spoil(random, make(random))])
}

/** The head with a few changes, or none. */
function spoil(random: Random, head: Uint8Array): Uint8Array {
  let bytes = head
  for (let mutations = random.once(2) ? 1 + random.below(3) : 0; mutations > 0; mutations--) {
    bytes = mutate(random, bytes, delimiters)
  }
  return bytes
}
