import t from 'tap'
import { Buffer } from 'node:buffer'
import * as fc from 'fast-check'
import { decodeUtf8, Utf8Checker, utf8Text } from '../../frames/utf8.ts'
import { anyText, testProperty } from './property.ts'

/** The grammar of RFC 3629 section 4, one row a form: the range of each byte. */
const grammar: [low: number, high: number][][] = [
  [[0x00, 0x7f]],
  [[0xc2, 0xdf], tail()],
  [[0xe0, 0xe0], [0xa0, 0xbf], tail()],
  [[0xe1, 0xec], tail(), tail()],
  [[0xed, 0xed], [0x80, 0x9f], tail()],
  [[0xee, 0xef], tail(), tail()],
  [[0xf0, 0xf0], [0x90, 0xbf], tail(), tail()],
  [[0xf1, 0xf3], tail(), tail(), tail()],
  [[0xf4, 0xf4], [0x80, 0x8f], tail(), tail()],
]

function tail(): [number, number] {
  return [0x80, 0xbf]
}

/** Where the first byte is that no text by the grammar can have there: -1 for none; and whether it may end here. */
function judge(bytes: Uint8Array): { bad: number; complete: boolean } {
  let at = 0
  while (at < bytes.length) {
    let forms = grammar
    let index = 0
    do {
      if (at === bytes.length) return { bad: -1, complete: false }
      const byte = bytes[at]!
      forms = forms.filter((form) => form[index]![0] <= byte && byte <= form[index]![1])
      if (forms.length === 0) return { bad: at, complete: false }
      at++
      index++
    } while (forms[0]!.length > index)
  }
  return { bad: -1, complete: true }
}

/** What the checker makes of the bytes in pieces: which piece it fails at, -1 for none. */
function check(pieces: Uint8Array[]): { failed: number; complete: boolean } {
  const checker = new Utf8Checker()
  const failed = pieces.findIndex((piece) => {
    // Other bytes around it, which the checker must not look at.
    const chunk = Buffer.concat([Buffer.from([0xff, 0xe2]), piece, Buffer.from([0xbf, 0xff])])
    return !checker.push(chunk, 2, 2 + piece.length)
  })
  return { failed, complete: failed < 0 && checker.complete }
}

function byteByByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte))
}

/** Compares checker and decoder with the grammar and, for whole texts, with the platform's own decoder. */
function agree(bytes: Uint8Array): boolean {
  const { bad, complete } = judge(bytes)
  const whole = check([bytes])
  const pieces = check(byteByByte(bytes))
  return (
    whole.failed === (bad < 0 ? -1 : 0) &&
    whole.complete === complete &&
    pieces.failed === bad &&
    pieces.complete === complete &&
    decodeUtf8(Buffer.from(bytes), 0, bytes.length) === platformText(bytes)
  )
}

const platform = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function platformText(bytes: Uint8Array): string | undefined {
  try {
    return platform.decode(bytes)
  } catch {
    return undefined
  }
}

/** Both sides of every border in the grammar, and some bytes well inside. */
const borders = [
  0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xa8, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
  0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfe, 0xff,
]
const everyByte = Array.from({ length: 256 }, (_, byte) => byte)

await t.test('3629-4-syntax: every byte, and every lead byte with every second one', async (t) => {
  const wrong = everyByte.filter((byte) => !agree(Uint8Array.of(byte)))
  for (const first of everyByte) {
    for (const second of first < 0xc0 ? borders : everyByte)
      if (!agree(Uint8Array.of(first, second))) wrong.push((first << 8) | second)
  }
  t.same(wrong, [])
})

await t.test('3629-4-syntax: every lead byte, border by border behind it', async (t) => {
  const wrong: number[] = []
  for (const first of everyByte.filter((byte) => byte >= 0xc0)) {
    for (const second of borders) {
      for (const third of [0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xc2, 0xf4, 0xff]) {
        if (!agree(Uint8Array.of(first, second, third))) wrong.push((first << 16) | (second << 8) | third)
      }
    }
  }
  t.same(wrong, [])
})

await t.test(
  '3629-4-syntax: long texts, all ASCII or all but one character, wherever it stands',
  async (t) => {
    const wrong: string[] = []
    for (const size of [4095, 4096, 4097, 70_000]) {
      const ascii = Buffer.from(Array.from({ length: size }, (_, at) => at & 0x7f))
      for (const at of [-1, 0, 1, 2047, size - 3, size - 2, size - 1]) {
        for (const character of ['é', '€', '\uFEFF', '\uFFFD', [0xff], [0xe2, 0x82], [0x80]].map((each) =>
          Buffer.from(each),
        )) {
          const bytes = Buffer.from(ascii)
          if (at >= 0) bytes.set(character.subarray(0, size - at), at)
          // Other bytes around it, which do not count.
          const chunk = Buffer.concat([Buffer.from([0xe2]), bytes, Buffer.from([0xbf])])
          const text = decodeUtf8(chunk, 1, 1 + size)
          if (text !== platformText(bytes)) wrong.push(`${character.toString('hex')} at ${at} of ${size}`)
          else if (text !== undefined && utf8Text(chunk, 1, 1 + size) !== text) wrong.push(`text of ${size}`)
        }
      }
    }
    t.strictSame(wrong, [])
  },
)

await t.test('3629-3-max-10ffff, 3629-3-no-overlong: four bytes, border by border', async (t) => {
  const wrong: string[] = []
  for (const first of borders.filter((byte) => byte >= 0xed)) {
    for (const second of borders) {
      for (const third of [0x7f, 0x80, 0xbf, 0xc0]) {
        for (const fourth of [0x7f, 0x80, 0xbf, 0xc0]) {
          const bytes = Uint8Array.of(first, second, third, fourth)
          if (!agree(bytes)) wrong.push(Buffer.from(bytes).toString('hex'))
        }
      }
    }
  }
  t.same(wrong, [])
})

await t.test('3629-4-noncharacters-valid: all 1,112,064 characters', async (t) => {
  let wrong = 0
  for (let block = 0; block < 0x110000; block += 0x400) {
    if (block >= 0xd800 && block < 0xe000) continue
    const text = String.fromCodePoint(...Array.from({ length: 0x400 }, (_, index) => block + index))
    const bytes = Buffer.from(text)
    const checker = new Utf8Checker()
    const good = checker.push(bytes, 0, bytes.length) && checker.complete
    if (!good || decodeUtf8(bytes, 0, bytes.length) !== text) wrong++
  }
  t.equal(wrong, 0)
})

await t.test('6455-5.6-text-utf8: long texts, all ASCII, nearly, and not valid', async (t) => {
  for (const length of [4095, 4096, 4097, 70_000]) {
    for (const end of ['', 'é', '\uFFFD', '😀', '\u007F', '\u0080']) {
      const text = 'a'.repeat(length - Buffer.byteLength(end)) + end
      const bytes = Buffer.from(`é${text}é`)
      const label = `${length} ${JSON.stringify(end)}`
      t.equal(decodeUtf8(bytes, 2, bytes.length - 2), text, label)
      bytes[bytes.length - 3] = 0xff
      t.equal(decodeUtf8(bytes, 2, bytes.length - 2), undefined, `${label} and a bad byte`)
    }
  }
})

await t.test('3629-3-no-surrogates: all 2,048 surrogates', async (t) => {
  let wrong = 0
  for (let code = 0xd800; code < 0xe000; code++) {
    const bytes = Uint8Array.of(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f))
    if (check(byteByByte(bytes)).failed !== 1 || decodeUtf8(Buffer.from(bytes), 0, 3) !== undefined) wrong++
  }
  t.equal(wrong, 0)
})

await t.test('6455-5.6-partial-utf8-in-frame: a text passes however it is cut in two or three', async (t) => {
  const bytes = Buffer.from('aé€𐍈\u0000\u07ff\u0800\ud7ff\ue000\ufffd\u{10000}\u{10ffff}z')
  let wrong = 0
  for (let first = 0; first <= bytes.length; first++) {
    for (let second = first; second <= bytes.length; second++) {
      const pieces = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]
      const { failed, complete } = check(pieces)
      if (failed >= 0 || !complete) wrong++
    }
  }
  t.equal(wrong, 0)
})

await t.test(
  '6455-8.1-fail-fast: fails in the piece with the first wrong byte, however the text is cut',
  async (t) => {
    const texts = [
      '610080',
      'c3a9c328',
      'e282c0',
      'e0809f',
      'f09f98c1',
      'f4908080',
      'edbfbf',
      '61f87f',
      'e2ff',
      'f0809f80',
    ]
    const wrong: string[] = []
    for (const hex of texts) {
      const bytes = Buffer.concat([
        Buffer.from('é and then: '),
        Buffer.from(hex, 'hex'),
        Buffer.from(' more'),
      ])
      const { bad } = judge(bytes)
      for (let cut = 0; cut <= bytes.length; cut++) {
        const { failed } = check([bytes.subarray(0, cut), bytes.subarray(cut)])
        if (failed !== (bad < cut ? 0 : 1)) wrong.push(`${hex} cut at ${cut}`)
      }
      if (check(byteByByte(bytes)).failed !== bad) wrong.push(`${hex} byte by byte`)
    }
    t.same(wrong, [])
  },
)

await t.test('6455-8.1-utf8-fail: a text may not end inside a character', async (t) => {
  for (const hex of ['c3', 'e2', 'e282', 'f0', 'f09f', 'f09f98']) {
    const bytes = Buffer.from(hex, 'hex')
    t.same(check([bytes]), { failed: -1, complete: false }, hex)
    t.same(check(byteByByte(bytes)), { failed: -1, complete: false }, `${hex} byte by byte`)
    t.equal(decodeUtf8(bytes, 0, bytes.length), undefined)
  }
})

await t.test('6455-5.4-empty-fragments: empty pieces change nothing', async (t) => {
  const checker = new Utf8Checker()
  const bytes = Buffer.from('€')
  t.equal(checker.complete, true)
  for (let at = 0; at < bytes.length; at++) {
    t.equal(checker.push(bytes, at, at), true)
    t.equal(checker.push(bytes, at, at + 1), true)
    t.equal(checker.complete, at === bytes.length - 1)
  }
})

await t.test('3629-6-bom-is-data: a byte order mark stays', async (t) => {
  const bytes = Buffer.from('efbbbf68', 'hex')
  t.equal(decodeUtf8(bytes, 0, 4), '\ufeffh')
  t.equal(decodeUtf8(bytes, 0, 3), '\ufeff')
})

await t.test(
  '6455-8.1-no-replacement: U+FFFD that was sent is text, U+FFFD for bad bytes is not',
  async (t) => {
    const bytes = Buffer.from('61efbfbd62ff', 'hex')
    t.equal(decodeUtf8(bytes, 0, 5), 'a\ufffdb')
    t.equal(decodeUtf8(bytes, 0, 6), undefined)
    t.equal(decodeUtf8(bytes, 4, 5), 'b', 'only the range counts')
    t.equal(decodeUtf8(bytes, 6, 6), '')
  },
)

const roughText = fc
  .array(
    fc.oneof(
      anyText(60).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 4 }),
    ),
    { maxLength: 6 },
  )
  .map((parts) => Buffer.concat(parts))

await testProperty(
  t,
  '3629-4-syntax: any bytes are judged as the grammar judges them',
  fc.property(roughText, agree),
  2000,
)

await testProperty(
  t,
  '6455-5.6-partial-utf8-in-frame: pieces are judged as the whole is',
  fc.property(roughText, fc.array(fc.nat(100), { maxLength: 6 }), (bytes, places) => {
    const cuts = [
      0,
      ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b),
      bytes.length,
    ]
    const pieces = cuts.slice(1).map((cut, index) => bytes.subarray(cuts[index], cut))
    const { bad, complete } = judge(bytes)
    const result = check(pieces)
    const owner = cuts.slice(1).findIndex((cut) => bad < cut)
    return result.complete === complete && result.failed === (bad < 0 ? -1 : owner)
  }),
  2000,
)
