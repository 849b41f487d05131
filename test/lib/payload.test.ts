import t from 'tap'
import { Buffer } from 'node:buffer'
import { runInNewContext } from 'node:vm'
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

await t.test(
  '6455-5.6-binary-any: an ArrayBuffer of another realm, as in a test runner’s sandbox',
  async (t) => {
    const foreign: ArrayBuffer = runInNewContext('Uint8Array.of(1, 2, 3).buffer')
    t.notOk(foreign instanceof ArrayBuffer)
    t.strictSame(payloadOf(foreign), Uint8Array.of(1, 2, 3))
  },
)

await t.test('6455-5.6-text-utf8: a string stays one until it is framed', async (t) => {
  t.equal(payloadOf('grüß dich'), 'grüß dich')
  t.equal(opcodeOf('grüß dich'), Opcode.text)
  t.strictSame(bufferOf('grüß dich'), Buffer.from('grüß dich'))
})

await t.test('C9, whatwg-send-view-section: any view gives exactly its bytes', async (t) => {
  const memory = new ArrayBuffer(64)
  new Uint8Array(memory).forEach((_, at, bytes) => (bytes[at] = at))
  const shared = new SharedArrayBuffer(64)
  new Uint8Array(shared).forEach((_, at, bytes) => (bytes[at] = at))
  for (const buffer of [memory, shared]) {
    const views = [
      new Int8Array(buffer, 8, 24),
      new Uint8Array(buffer, 8, 24),
      new Uint8ClampedArray(buffer, 8, 24),
      new Int16Array(buffer, 8, 12),
      new Uint16Array(buffer, 8, 12),
      new Int32Array(buffer, 8, 6),
      new Uint32Array(buffer, 8, 6),
      new Float32Array(buffer, 8, 6),
      new Float64Array(buffer, 8, 3),
      new BigInt64Array(buffer, 8, 3),
      new BigUint64Array(buffer, 8, 3),
      new DataView(buffer, 8, 24),
      Buffer.from(buffer, 8, 24),
    ]
    for (const view of views) {
      t.strictSame(Buffer.from(payloadOf(view)), Buffer.from(Array.from({ length: 24 }, (_, at) => at + 8)))
      t.equal(opcodeOf(view), Opcode.binary)
    }
  }
  t.strictSame(Buffer.from(payloadOf(memory)), Buffer.from(Array.from({ length: 64 }, (_, at) => at)))
  t.equal(payloadOf('text'), 'text')
  t.equal(opcodeOf('text'), Opcode.text)
})

await t.test('C9: anything else is a TypeError', async (t) => {
  const others: unknown[] = [
    1,
    0,
    null,
    undefined,
    true,
    {},
    [],
    [1, 2],
    Symbol('s'),
    1n,
    () => {},
    new Blob(['b']),
  ]
  for (const other of others) {
    t.throws(
      () => payloadOf(other as never),
      new TypeError('data must be a string, an ArrayBuffer, a typed array, a DataView or a Buffer'),
    )
  }
})
