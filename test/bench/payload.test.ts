import { isAscii, isUtf8 } from 'node:buffer'
import t from 'tap'
import { payloadOf } from '../../bench/payload.ts'

t.test('a payload has exactly its size, and is what it says', async (t) => {
  for (const size of [1, 2, 63, 64, 1024, 65_537]) {
    t.equal(payloadOf('binary', size).length, size)
    const ascii = payloadOf('ascii', size)
    t.ok(ascii.length === size && isAscii(ascii), `${size} B of ASCII`)
    const mixed = payloadOf('mixed', size)
    t.ok(mixed.length === size && isUtf8(mixed), `${size} B of several scripts`)
  }
  t.notOk(isAscii(payloadOf('mixed', 64)))
})
