import t from 'tap'
import { Buffer } from 'node:buffer'
import {
  finBit,
  headerSize,
  maskBit,
  maxControlPayload,
  maxHeaderSize,
  rsv1Bit,
  writeHeader,
} from '../../frames/header.ts'

/** The shortest header as section 5.2 draws it, written out for each form. */
const forms: [title: string, length: number, bytes: string][] = [
  ['6455-5.2-len7', 0, '00'],
  ['6455-5.2-len7', 1, '01'],
  ['6455-5.2-len7', 125, '7d'],
  ['6455-5.2-len16', 126, '7e007e'],
  ['6455-5.2-len16', 127, '7e007f'],
  ['6455-5.2-len-network-order', 256, '7e0100'],
  ['6455-5.2-len16', 65535, '7effff'],
  ['6455-5.2-len64', 65536, '7f0000000000010000'],
  ['6455-5.2-len-network-order', 0x01020304, '7f0000000001020304'],
  ['6455-5.2-len64', 0x7fffffff, '7f000000007fffffff'],
  ['6455-5.2-len64', 0x80000000, '7f0000000080000000'],
  ['6455-5.2-len64', 0xffffffff, '7f00000000ffffffff'],
  ['6455-5.2-len64', 0x100000000, '7f0000000100000000'],
  ['6455-5.2-len64', 0x1_2345_6789_abcd, '7f000123456789abcd'],
  ['6455-5.2-len64-beyond-2-53', Number.MAX_SAFE_INTEGER, '7f001fffffffffffff'],
]

for (const [title, length, bytes] of forms) {
  await t.test(`${title}, 6455-5.2-len-minimal-sent: the header of ${length} bytes`, async (t) => {
    const room = Buffer.alloc(20, 0xee)
    const size = 1 + bytes.length / 2
    t.equal(headerSize(length, false), size)
    t.equal(writeHeader(room, 3, 0x82, length, undefined), 3 + size)
    t.equal(room.toString('hex'), 'eeeeee82' + bytes + 'ee'.repeat(17 - size), 'and nothing around it')
  })
  await t.test(
    `6455-5.2-mask-bit-means-key, 6455-5.2-length-excludes-key: the masked header of ${length} bytes`,
    async (t) => {
      const room = Buffer.alloc(20, 0xee)
      const size = 1 + bytes.length / 2 + 4
      const masked =
        (0x80 | Number.parseInt(bytes.slice(0, 2), 16)).toString(16).padStart(2, '0') + bytes.slice(2)
      t.equal(headerSize(length, true), size)
      t.equal(writeHeader(room, 3, 0x82, length, 0xfedcba98), 3 + size)
      t.equal(room.toString('hex'), 'eeeeee82' + masked + 'fedcba98' + 'ee'.repeat(17 - size))
    },
  )
}

await t.test('6455-5.3-mask-algorithm: a key is written as it is given, signed or not, 0 too', async (t) => {
  const written = [0, 1, -1, 0xffffffff, 0x80000000, -0x80000000].map((key) => {
    const room = Buffer.alloc(6)
    writeHeader(room, 0, 0x89, 0, key)
    return room.toString('hex')
  })
  t.same(written, [
    '898000000000',
    '898000000001',
    '8980ffffffff',
    '8980ffffffff',
    '898080000000',
    '898080000000',
  ])
})

await t.test('RFC 6455 5.2: the first byte is written as it is given', async (t) => {
  const bytes = Array.from({ length: 256 }, (_, first) => first)
  const written = bytes.map((first) => {
    const room = Buffer.alloc(2)
    writeHeader(room, 0, first, 5, undefined)
    return [...room]
  })
  t.same(
    written,
    bytes.map((first) => [first, 5]),
  )
})

await t.test('RFC 6455 5.2, 5.5: bits and sizes', async (t) => {
  t.same([finBit, rsv1Bit, maskBit, maxControlPayload], [0x80, 0x40, 0x80, 125])
  t.equal(maxHeaderSize, headerSize(Number.MAX_SAFE_INTEGER, true))
})
