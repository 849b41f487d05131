import t from 'tap'
import { Buffer } from 'node:buffer'
import { Opcode } from '../../frames/opcode.ts'
import { bufferOf, type Data, opcodeOf, payloadOf } from '../../lib/payload.ts'

const bytes = [1, 2, 3, 4, 5, 6, 7, 8]
const { buffer } = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, ...bytes])

await t.test('6455-5.6-binary-any: every kind of bytes, without a copy', async (t) => {
  const given: Data[] = [
    new Uint8Array(buffer, 8),
    new Float64Array(buffer, 8),
    new DataView(buffer, 8),
    new BigInt64Array(buffer, 8),
    Buffer.from(buffer, 8),
  ]
  for (const data of given) {
    const payload = payloadOf(data)
    if (typeof payload === 'string') throw new TypeError('bytes become no string')
    t.strictSame([...payload], bytes, data.constructor.name)
    t.equal(payload.buffer, buffer)
    t.equal(opcodeOf(data), Opcode.binary)
    t.strictSame(bufferOf(payload), Buffer.from(bytes))
    t.equal(bufferOf(payload).buffer, buffer)
  }
  t.strictSame(payloadOf(buffer), new Uint8Array(buffer))
})

await t.test('6455-5.6-text-utf8: a string stays one until it is framed', async (t) => {
  t.equal(payloadOf('grüß dich'), 'grüß dich')
  t.equal(opcodeOf('grüß dich'), Opcode.text)
  t.strictSame(bufferOf('grüß dich'), Buffer.from('grüß dich'))
})

await t.test('D3: anything else is refused with a TypeError', async (t) => {
  const others: unknown[] = [undefined, null, 1, true, {}, [1], new Blob(['a'])]
  for (const other of others)
    t.throws(() => payloadOf(other as Data), { name: 'TypeError', message: /^data must be/ })
})
