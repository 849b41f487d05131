import t from 'tap'
import {
  checkHeaders,
  formatExtensions,
  type Headers,
  isFieldValue,
  isToken,
  lowerAscii,
  parseExtensions,
  parseTokens,
  trim,
} from '../../lib/header-list.ts'
import { vectors } from '../vectors/vectors.ts'

/** Every character of one byte. */
const latin1 = Array.from({ length: 256 }, (_, code) => String.fromCodePoint(code))

await t.test('9110-5.6.2-token-chars: exactly the tchar set', async (t) => {
  const allowed = latin1.filter((char) => isToken(char)).join('')
  t.equal(allowed, "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~")
  t.notOk(isToken(''))
  t.notOk(isToken('a\n'), 'the end of a line does not pass for the end')
  t.notOk(isToken('é'))
})

await t.test(
  '9110-5.5-no-crlf-nul: a value holds visible bytes, spaces and tabs, nothing else',
  async (t) => {
    const refused = latin1.filter((char) => !isFieldValue(char)).map((char) => char.codePointAt(0))
    const controls = Array.from({ length: 32 }, (_, code) => code).filter((code) => code !== 9)
    t.strictSame(refused, [...controls, 127])
    t.ok(isFieldValue(''))
    t.notOk(isFieldValue('a\n'))
    t.notOk(isFieldValue('Ā'), 'one byte a character')
  },
)

await t.test('6455-2-case-insensitive-ascii: only A to Z are folded', async (t) => {
  t.equal(lowerAscii('WebSocket'), 'websocket')
  t.equal(lowerAscii('\u212aİſÄ'), '\u212aİſÄ', 'neither the Kelvin sign nor the long s')
  t.equal(lowerAscii('ÄBÄCD'), 'ÄbÄcd')
})

await t.test('white space in a header is space and tab', async (t) => {
  t.equal(trim(' \t a b\t '), 'a b')
  t.equal(trim('\u00a0a\u00a0'), '\u00a0a\u00a0')
  t.equal(trim(' \t '), '')
})

await t.test('6455-4.3-protocol-client-list: tokens between commas', async (t) => {
  t.strictSame(parseTokens('a,b , c'), ['a', 'b', 'c'])
  t.strictSame(parseTokens(',, a,\t,'), ['a'], '9110-5.6.1-empty-list-elements')
  t.strictSame(parseTokens(' , '), [])
  for (const malformed of ['a b', 'a;b', 'a/b', '"a"', 'é', 'a\u00a0']) {
    t.equal(parseTokens(malformed), undefined, malformed)
  }
})

await t.test('6455-4.3-extension-list: extensionHeader[]', async (t) => {
  for (const { header, result } of vectors.extensionHeader) {
    const expected = result?.map(([name, parameters]) => ({ name, parameters }))
    t.strictSame(parseExtensions(header), expected, JSON.stringify(header))
  }
})

await t.test('the grammar of extensions, row by row', async (t) => {
  const rows: readonly (readonly [string, string, string | undefined])[] = [
    ['6455-4.3-param-optional-value', 'a; b; c=1', 'a; b; c=1'],
    ['6455-4.3-quoted-value-is-token', 'a; b="c"', 'a; b=c'],
    ['6455-4.3-quoted-value-is-token', 'a; b="c d"', undefined],
    ['6455-4.3-quoted-value-is-token', 'a; b=""', undefined],
    ['6455-4.3-quoted-escape', 'a; b="\\1\\0"', 'a; b=10'],
    ['6455-4.3-quoted-escape', 'a; b="\\', undefined],
    ['6455-4.3-list-whitespace', 'foo ; a = 1 , bar', 'foo; a=1, bar'],
    ['6455-4.3-list-not-empty', '', undefined],
    ['6455-4.3-list-not-empty', ',', undefined],
    ['9110-5.6.4-quoted-string', 'a; b="x,y"', undefined],
    ['9110-5.6.4-quoted-string', 'a; b="x;y"', undefined],
    ['9110-5.6.4-quoted-string', 'a; b="x\\"', undefined],
    ['9110-5.6.4-quoted-string', 'a; b="x;c"', undefined],
    ['9110-5.6.4-quoted-string', 'a; b="\\",c; d="e"', undefined],
    ['9110-5.6.4-quoted-string', 'a; b=","; c=";"', undefined],
    ['6455-4.2.1-extensions-malformed', 'permessage-deflate;;', undefined],
    ['6455-4.2.1-extensions-malformed', 'a="', undefined],
    ['6455-4.2.1-extensions-malformed', 'a; b="', undefined],
    ['6455-4.1-extension-malformed', ';', undefined],
    ['6455-4.1-extension-malformed', 'a=b', undefined],
    ['repeated names stay', 'a; b=1; b=2, a', 'a; b=1; b=2, a'],
  ]
  for (const [id, header, expected] of rows) {
    const parsed = parseExtensions(header)
    t.equal(parsed && formatExtensions(parsed), expected, `${id}: ${JSON.stringify(header)}`)
  }
})

await t.test('6455-9.1-no-prototype-keys: names of Object.prototype are ordinary tokens', async (t) => {
  const before = Object.getOwnPropertyNames(Object.prototype)
  const header = '__proto__; __proto__=1, constructor; hasOwnProperty, toString'
  t.equal(formatExtensions(parseExtensions(header) ?? []), header)
  t.strictSame(Object.getOwnPropertyNames(Object.prototype), before)
})

await t.test('H7: the work grows with the length, not with its square', async (t) => {
  // In CPU time of this process, so that what else the machine does has no part in it.
  const hostile = [',', ' ', 'a,', 'a;', 'a;b,', '"', '\\', '"\\c', 'a;b="\\c\\c",', ';="']
  for (const pattern of hostile) {
    const lengths = [1024, 16 * 1024]
    const [small = 0, big = 0] = lengths.map((length) => {
      const header = pattern.repeat(length / pattern.length)
      const start = process.cpuUsage()
      for (let round = 0; round < 20; round++) {
        parseExtensions(header)
        parseTokens(header)
      }
      const { user, system } = process.cpuUsage(start)
      return user + system
    })
    // Sixteen times as long: quadratic work is 256 times as much. The floor keeps the clock's grain out of it.
    t.ok(big < 100 * Math.max(small, 2000), `${JSON.stringify(pattern)}: ${small} and ${big} µs`)
  }
})

await t.test('checkHeaders', async (t) => {
  const check = (headers: unknown): void => checkHeaders('headers', headers as Headers, new Set(['upgrade']))
  for (const good of [{}, { Cookie: 'a=b; c="é"' }, { 'X-Many': ['1', '2'] }, { __proto__: null, a: '' }])
    t.doesNotThrow(() => check(good))
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [null, /"headers" must be an object/],
    ['a: b', /"headers" must be an object/],
    [['a'], /"headers" must be an object/],
    [{ '': 'x' }, /"headers" holds the name "", which is no token/],
    [{ 'a b': 'x' }, /the name "a b"/],
    [{ 'a:': 'x' }, /the name "a:"/],
    [{ 'a\r\nb': 'x' }, /the name "a\\r\\nb"/],
    [{ UpGrade: 'x' }, /must not hold "UpGrade": the handshake writes it/],
    [{ a: 'x\r\nY: z' }, /a value for "a" that no header may hold/],
    [{ a: 'x\n' }, /a value for "a"/],
    [{ a: 'x\0' }, /a value for "a"/],
    [{ a: 'Ā' }, /a value for "a"/],
    [{ a: ['x', 'y\r'] }, /a value for "a"/],
    [{ a: 1 }, /a value for "a"/],
    [{ a: undefined }, /a value for "a"/],
    [{ a: [['x']] }, /a value for "a"/],
  ]
  for (const [headers, message] of bad) t.throws(() => check(headers), { name: 'TypeError', message })
})
