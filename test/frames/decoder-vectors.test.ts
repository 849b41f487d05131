/** Every vector without compression against the codec alone: as given, as one chunk and byte by byte. */
import t from 'tap'
import { Buffer } from 'node:buffer'
import { inputOf, type Vector, type VectorEvent, expand, vectors } from '../vectors/vectors.ts'
import { Endpoint } from './endpoint.ts'

function play(vector: Vector, chunks: Iterable<Uint8Array>): string[] {
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

function* byteByByte(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1)
}

const plain = vectors.vectors.filter((vector) => vector.options?.deflate === undefined)

for (const vector of plain) {
  const chunks = inputOf(vector)
  const whole = Buffer.concat(chunks)
  const expected = vector.expect.map(line)
  const found: Record<string, string[]> = {
    'as given': play(vector, chunks),
    'as one chunk': play(vector, [whole]),
    'byte by byte': play(vector, byteByByte(whole)),
  }
  const wanted: Record<string, string[]> = {
    'as given': expected,
    'as one chunk': expected,
    'byte by byte': expected,
  }

  const { failAt } = vector
  if (failAt !== undefined) {
    found['to failAt'] = play(vector, [whole.subarray(0, failAt)])
    found['to failAt, byte by byte'] = play(vector, byteByByte(whole.subarray(0, failAt)))
    found['short of failAt'] = play({ ...vector, eof: false }, [whole.subarray(0, failAt - 1)])
    wanted['to failAt'] = expected
    wanted['to failAt, byte by byte'] = expected
    wanted['short of failAt'] = expected.slice(0, -1)
  }
  t.same(found, wanted, `${vector.req.join(', ')}: ${vector.id}`)
}

await t.test('6455-6.2-stream-parsing: no vector without compression was left out', async (t) => {
  t.equal(plain.length, 531)
  t.equal(
    plain.filter((vector) => vector.failAt !== undefined).length,
    vectors.vectors.filter((vector) => vector.failAt !== undefined).length,
  )
})
