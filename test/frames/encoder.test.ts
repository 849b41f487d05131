import t from 'tap'
import { Buffer } from 'node:buffer'
import { encodeFrame, payloadSize, writeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { expand, vectors } from '../vectors/vectors.ts'

for (const { id, req, opcode, fin, rsv1, mask, data, bytes } of vectors.encode) {
  await t.test(`${req.join(', ')}: ${id}`, async (t) => {
    const maskKey = mask === null ? undefined : Buffer.from(mask, 'hex').readUInt32BE()
    const payload = expand(data)
    const frame = encodeFrame({ opcode, payload, fin, rsv1, maskKey })
    t.ok(frame.equals(expand(bytes)), frame.subarray(0, 40).toString('hex'))
    t.ok(payload.equals(expand(data)), '6455-5.3-caller-buffer-untouched')
  })
}

await t.test(
  '6455-6.1-fin-on-last, 6455-5.2-rsv-zero-sent: FIN is the default, RSV1 and a key are not',
  async (t) => {
    t.equal(encodeFrame({ opcode: Opcode.binary, payload: Buffer.from('a') }).toString('hex'), '820161')
    t.equal(
      encodeFrame({ opcode: Opcode.binary, payload: Buffer.from('a'), maskKey: undefined }).toString('hex'),
      '820161',
    )
    t.equal(encodeFrame({ opcode: Opcode.text, payload: 'a', fin: false }).toString('hex'), '010161')
    t.equal(encodeFrame({ opcode: Opcode.text, payload: 'a', rsv1: true }).toString('hex'), 'c10161')
    t.equal(encodeFrame({ opcode: Opcode.continuation, payload: '' }).toString('hex'), '8000')
  },
)

await t.test('6455-5.6-text-utf8-sent: a string travels as UTF-8, a lone surrogate as U+FFFD', async (t) => {
  t.equal(encodeFrame({ opcode: Opcode.text, payload: 'é€𐍈' }).toString('hex'), '8109c3a9e282acf0908d88')
  t.equal(encodeFrame({ opcode: Opcode.text, payload: '\ud800' }).toString('hex'), '8103efbfbd')
  t.equal(encodeFrame({ opcode: Opcode.text, payload: 'a\udc00b' }).toString('hex'), '810561efbfbd62')
})

await t.test('6455-5.1-client-masks: a string is masked like its bytes, with key 0 too', async (t) => {
  const text = 'Hello €'.repeat(40)
  for (const maskKey of [0, 0x37fa213d, 0xffffffff, -5]) {
    const fromText = encodeFrame({ opcode: Opcode.text, payload: text, maskKey })
    const fromBytes = encodeFrame({ opcode: Opcode.text, payload: Buffer.from(text), maskKey })
    t.ok(fromText.equals(fromBytes))
    t.equal(fromText[1], 0x80 | 126)
    t.equal(fromText.readInt32BE(4), maskKey | 0)
  }
})

await t.test('6455-5.3-caller-buffer-untouched: any view may be sent, and keeps its bytes', async (t) => {
  const memory = new Uint8Array(300).map((_, index) => index)
  for (const [start, end] of [
    [0, 300],
    [1, 8],
    [3, 203],
    [7, 7],
  ] as const) {
    const view = memory.subarray(start, end)
    const before = Buffer.from(view)
    const frame = encodeFrame({ opcode: Opcode.binary, payload: view, maskKey: 0x01020304 })
    t.ok(Buffer.from(view).equals(before))
    t.not(frame.buffer, memory.buffer)
  }
})

await t.test('6455-5.5-control-not-fragmented: cannot be sent', async (t) => {
  for (const opcode of [Opcode.close, Opcode.ping, Opcode.pong]) {
    t.throws(
      () => encodeFrame({ opcode, payload: '', fin: false }),
      new RangeError('a control frame cannot be fragmented (RFC 6455 5.5)'),
    )
  }
})

await t.test('6455-5.5-send-control-limit: 125 bytes can be sent, 126 not', async (t) => {
  for (const opcode of [Opcode.close, Opcode.ping, Opcode.pong]) {
    t.equal(encodeFrame({ opcode, payload: Buffer.alloc(125) }).length, 127)
    t.throws(
      () => encodeFrame({ opcode, payload: Buffer.alloc(126) }),
      new RangeError('a control frame holds at most 125 bytes, not 126 (RFC 6455 5.5)'),
    )
    t.throws(
      () => encodeFrame({ opcode, payload: '€'.repeat(42) }),
      RangeError,
      'bytes count, not characters',
    )
  }
})

await t.test('6455-5.2-len-minimal-sent: the size of a payload is that of its bytes', async (t) => {
  t.equal(payloadSize(''), 0)
  t.equal(payloadSize('a€𐍈\ud800'), 1 + 3 + 4 + 3)
  t.equal(payloadSize(new Uint8Array(7)), 7)
  t.equal(payloadSize(new Uint8Array(7).subarray(2, 5)), 3)
})

await t.test('RFC 6455 5.2: a frame can be written anywhere, and nothing around it is touched', async (t) => {
  const room = Buffer.alloc(200, 0xee)
  for (const payload of ['Hello', Buffer.from('Hello')]) {
    for (const maskKey of [undefined, 0x37fa213d]) {
      room.fill(0xee)
      const end = writeFrame(room, 9, 0x81, payload, 5, maskKey)
      const alone = encodeFrame({ opcode: Opcode.text, payload, maskKey })
      t.equal(end, 9 + alone.length)
      t.ok(room.subarray(9, end).equals(alone))
      t.ok(room.subarray(0, 9).every((byte) => byte === 0xee))
      t.ok(room.subarray(end).every((byte) => byte === 0xee))
    }
  }
})

await t.test('6455-5.7-examples: a frame ends where the next one begins', async (t) => {
  const room = Buffer.alloc(13)
  const next = writeFrame(room, 0, 0x01, 'Hel', 3, undefined)
  const end = writeFrame(room, next, 0x80, 'lo', 2, 0x37fa213d)
  t.equal(end, 13)
  t.equal(room.toString('hex'), '010348656c808237fa213d5b95')
})

await t.test('what is neither a string nor a Uint8Array is a TypeError', async (t) => {
  const { buffer } = Uint8Array.of(1, 2, 3, 4)
  for (const payload of [buffer, new Uint16Array(buffer), new DataView(buffer), [1], 5, null, undefined]) {
    t.throws(() => Reflect.apply(encodeFrame, undefined, [{ opcode: Opcode.binary, payload }]), {
      name: 'TypeError',
      message: 'the payload of a frame must be a string or a Uint8Array',
    })
  }
})

await t.test('6455-5.2-reserved-data-opcode: what is no opcode is not sent', async (t) => {
  for (const opcode of [3, 7, 0xb, 0x41, -1, 1.5]) {
    // From JavaScript any number can come.
    t.throws(() => Reflect.apply(encodeFrame, undefined, [{ opcode, payload: '' }]), {
      message: /opcode .* does not exist/,
    })
  }
})
