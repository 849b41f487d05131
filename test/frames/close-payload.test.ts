import t from 'tap'
import { Buffer } from 'node:buffer'
import * as fc from 'fast-check'
import { decodeClosePayload, encodeClosePayload } from '../../frames/close-payload.ts'
import { anyText, testProperty } from './property.ts'

/** What decoding says, in one line. */
function decode(payload: Buffer): string {
  const said = decodeClosePayload(payload)
  return 'name' in said ? `${said.closeCode} ${said.name}` : `${said.code} ${JSON.stringify(said.reason)}`
}

await t.test('6455-5.5.1-close-body-optional: an empty payload has no code', async (t) => {
  t.same(decodeClosePayload(Buffer.alloc(0)), { code: undefined, reason: '' })
  t.equal(encodeClosePayload().length, 0)
  t.equal(encodeClosePayload(undefined, '').length, 0)
})

await t.test('6455-5.5.1-close-body-two-bytes: one byte is refused, whatever it is', async (t) => {
  for (const byte of [0x00, 0x03, 0xe8, 0xff]) t.equal(decode(Buffer.of(byte)), '1002 short-close')
})

await t.test(
  '6455-5.5.1-close-body-two-bytes-sent: the code in network order, then the reason',
  async (t) => {
    t.equal(encodeClosePayload(1000).toString('hex'), '03e8')
    t.equal(encodeClosePayload(4999).toString('hex'), '1387')
    t.equal(encodeClosePayload(4000, 'bye €').toString('hex'), '0fa062796520e282ac')
  },
)

await t.test('6455-5.5.1-close-reason: a reason of up to 123 bytes', async (t) => {
  t.equal(decode(Buffer.from('03e8', 'hex')), '1000 ""')
  t.equal(decode(Buffer.from('0fa062796520e282ac', 'hex')), '4000 "bye €"')
  t.equal(decode(Buffer.from('03e8efbbbf61', 'hex')), '1000 "\ufeffa"')
  t.equal(
    decode(Buffer.concat([Buffer.from('03e8', 'hex'), Buffer.alloc(123, 'x')])),
    `1000 "${'x'.repeat(123)}"`,
  )
})

await t.test(
  '6455-7.4.1-reserved-1005 and the like: a bad code is refused, with a bad reason too',
  async (t) => {
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]) {
      const payload = Buffer.alloc(3, 0xff)
      payload.writeUInt16BE(code)
      t.equal(decode(payload.subarray(0, 2)), '1002 bad-close-code', `${code}`)
      t.equal(decode(payload), '1002 bad-close-code', `${code} with a bad reason`)
    }
  },
)

await t.test('6455-8.1-close-reason-utf8: a reason that is no UTF-8 is refused', async (t) => {
  for (const hex of ['ff', 'c3', '61c328', 'e282', 'eda080', 'f4908080']) {
    t.equal(decode(Buffer.from('03e8' + hex, 'hex')), '1007 bad-close-reason', hex)
  }
})

await t.test('6455-5.5.1-close-reason-sent-limit: 123 bytes of UTF-8 can be sent, 124 not', async (t) => {
  t.equal(encodeClosePayload(1000, 'x'.repeat(123)).length, 125)
  t.equal(encodeClosePayload(1000, '€'.repeat(41)).length, 125)
  t.throws(
    () => encodeClosePayload(1000, 'x'.repeat(124)),
    new RangeError('the close reason is 124 bytes of UTF-8; 123 fit (RFC 6455 5.5.1)'),
  )
  t.throws(() => encodeClosePayload(1000, '€'.repeat(42)), RangeError)
})

await t.test('6455-7.4.1-reserved-1004 and the like: a bad code cannot be sent', async (t) => {
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 1000.5, -1, Number.NaN, Infinity]) {
    t.throws(
      () => encodeClosePayload(code),
      new RangeError(`close code ${code} must not be sent (RFC 6455 7.4)`),
    )
  }
})

await t.test('RFC 6455 5.5.1: a reason needs a code', async (t) => {
  t.throws(
    () => encodeClosePayload(undefined, 'why'),
    new TypeError('a close reason needs a close code (RFC 6455 5.5.1)'),
  )
})

await t.test('arguments of the wrong type, as JavaScript may pass them', async (t) => {
  // Called as from JavaScript: the type says what is allowed, this is about the rest.
  const call = (...args: unknown[]): unknown => Reflect.apply(encodeClosePayload, undefined, args)
  t.throws(() => call('1000'), new TypeError('the close code must be a number'))
  t.throws(() => call(null), new TypeError('the close code must be a number'))
  t.throws(() => call(1000n), TypeError)
  t.throws(() => call(1000, null), new TypeError('the close reason must be a string'))
  t.throws(() => call(1000, Buffer.from('x')), TypeError)
  t.throws(() => call(undefined, 5), TypeError)
})

await t.test('6455-5.6-text-utf8-sent: a lone surrogate in a reason becomes U+FFFD', async (t) => {
  t.equal(encodeClosePayload(1000, '\ud800').toString('hex'), '03e8efbfbd')
})

await testProperty(
  t,
  '6455-5.5.1-close-reason: what is encoded is decoded again',
  fc.property(
    fc.oneof(
      fc.integer({ min: 1000, max: 1003 }),
      fc.integer({ min: 1007, max: 1014 }),
      fc.integer({ min: 3000, max: 4999 }),
    ),
    anyText(123).filter((reason) => Buffer.byteLength(reason) <= 123),
    (code, reason) => {
      const said = decodeClosePayload(encodeClosePayload(code, reason))
      return !('name' in said) && said.code === code && said.reason === reason
    },
  ),
)
