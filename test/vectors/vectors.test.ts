import t from 'tap'
import { Buffer } from 'node:buffer'
import { expand, inputOf, vectors } from './vectors.ts'

await t.test('the notation of bytes', async (t) => {
  t.equal(expand('').length, 0)
  t.equal(expand('0a').toString('hex'), '0a')
  t.equal(expand('61*3 0d0a  ff*1').toString('hex'), '6161610d0aff')
  t.equal(expand('6162*2').toString('hex'), '61626162')
})

await t.test('the file has the shape that its type says', async (t) => {
  t.equal(vectors.format, 1)
  t.equal(vectors.vectors.length, 654)
  t.equal(vectors.vectors.filter((vector) => vector.options?.deflate === undefined).length, 531)
  t.equal(new Set(vectors.vectors.map((vector) => vector.id)).size, 654, 'every id is unique')
  const kinds = new Set(vectors.vectors.flatMap((vector) => vector.expect.map((event) => event.event)))
  t.same([...kinds].toSorted(), ['close', 'fail', 'lost', 'message', 'ping', 'pong'])
  t.equal(vectors.encode.length, 20)
  t.equal(vectors.accept.length, 5)
  t.equal(vectors.keys.length, 8)
  t.equal(vectors.extensionHeader.length, 26)
  t.equal(vectors.deflateOffers.length, 29)
  t.equal(vectors.deflateResponses.length, 27)
  t.equal(vectors.closeCodes.length, 20)
})

await t.test('all bytes are hex, and ids agree with roles', async (t) => {
  const hex = /^(?:(?:[0-9a-f]{2})+(?:\*[1-9][0-9]*)?(?: |$))*$/
  const data = vectors.vectors.flatMap((vector) =>
    vector.expect.flatMap((event) => ('data' in event ? [event.data] : [])),
  )
  const chunks = vectors.vectors.flatMap((vector) => vector.chunks)
  t.strictSame(
    [...data, ...chunks].filter((bytes) => !hex.test(bytes)),
    [],
  )
  t.strictSame(
    vectors.vectors.filter(({ id, role }) => !id.endsWith(role === 'server' ? '-s' : '-c')),
    [],
  )
})

await t.test('the input is cut anew where a vector says so', async (t) => {
  let cut = 0
  const wrong: string[] = []
  for (const vector of vectors.vectors) {
    const input = inputOf(vector)
    const whole = expand(vector.chunks.join(' '))
    if (!Buffer.concat(input).equals(whole)) wrong.push(`${vector.id}: the pieces are not the whole`)
    const { split } = vector
    if (split === undefined) continue
    cut++
    if (input.length !== Math.ceil(whole.length / split)) wrong.push(`${vector.id}: wrong pieces`)
  }
  t.strictSame(wrong, [])
  t.not(cut, 0)
})
