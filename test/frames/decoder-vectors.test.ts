/** Every vector without compression against the codec alone: as given, as one chunk and byte by byte. */
import t from 'tap'
import { Buffer } from 'node:buffer'
import { inputOf, type Vector, type VectorEvent, expand, vectors } from '../vectors/vectors.ts'
import { Endpoint } from './endpoint.ts'

function play(vector: Vector, chunks: readonly Uint8Array[]): string[] {
  const endpoint = new Endpoint({
    from: vector.role === 'server' ? 'client' : 'server',
    maxMessageSize: vector.options?.maxMessage ?? Number.MAX_SAFE_INTEGER,
  })
  endpoint.feed(chunks)
  if (vector.eof === true) endpoint.end()
  // A vector knows the code of a failure, not our name for it.
  return endpoint.events.map((event) => event.replace(/^(fail \d+) .*/, '$1'))
}

function line(event: VectorEvent): string {
  if (event.event === 'close') return `close ${event.code} ${JSON.stringify(event.reason)}`
  if ('code' in event) return `${event.event} ${event.code}`
  const what = event.event === 'message' ? event.kind : event.event
  return `${what} ${expand(event.data).toString('hex')}`.trimEnd()
}

function byteByByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
}

const plain = vectors.vectors.filter((vector) => vector.options?.deflate === undefined)

for (const vector of plain) {
  await t.test(`${vector.req.join(', ')}: ${vector.id}`, async (t) => {
    const chunks = inputOf(vector)
    const whole = Buffer.concat(chunks)
    const expected = vector.expect.map(line)
    t.same(play(vector, chunks), expected, 'as given')
    t.same(play(vector, [whole]), expected, 'as one chunk')
    t.same(play(vector, byteByByte(whole)), expected, 'byte by byte')

    const { failAt } = vector
    if (failAt === undefined) return
    const early: Vector = { ...vector, eof: false }
    t.same(play(early, [whole.subarray(0, failAt)]), expected, `after ${failAt} bytes`)
    t.same(
      play(early, byteByByte(whole.subarray(0, failAt))),
      expected,
      `after ${failAt} bytes, byte by byte`,
    )
    t.same(play(early, [whole.subarray(0, failAt - 1)]), expected.slice(0, -1), `not before`)
  })
}

await t.test('6455-6.2-stream-parsing: no vector without compression was left out', async (t) => {
  t.equal(plain.length, 531)
  t.equal(
    plain.filter((vector) => vector.failAt !== undefined).length,
    vectors.vectors.filter((vector) => vector.failAt !== undefined).length,
  )
})
