import t from 'tap'
import { Refusal, refuse, refuseFor } from '../../lib/refusal.ts'

await t.test('a refusal holds status, headers and body', async (t) => {
  const refusal = refuse(401, { headers: { 'WWW-Authenticate': 'Basic' }, body: 'who are you?' })
  t.type(refusal, Refusal)
  t.match(refusal, { status: 401, headers: { 'WWW-Authenticate': 'Basic' }, body: 'who are you?' })
  t.strictSame(refuse(403, { body: Uint8Array.of(1) }).body, Uint8Array.of(1))
})

await t.test('a refusal has a reason: verify, or one of ours', async (t) => {
  t.equal(refuse(401).reason, 'verify')
  const body = 'elsewhere\n'
  t.match(refuseFor('path', 404, { body }), { reason: 'path', status: 404, headers: {}, body })
  t.match(refuseFor('closing', 503), { reason: 'closing', body: 'Service Unavailable\n' })
})

await t.test('the body is the name of the status where none is given', async (t) => {
  t.equal(refuse(404).body, 'Not Found\n')
  t.equal(refuse(499).body, 'Refused\n')
  t.strictSame(refuse(404).headers, {})
  t.equal(refuse(404, { body: '' }).body, '')
})

await t.test('statuses from 300 to 599', async (t) => {
  for (const status of [300, 302, 426, 599]) t.equal(refuse(status).status, status)
  for (const status of [0, 101, 200, 299, 600, 404.5, NaN, '404' as unknown as number]) {
    t.throws(() => refuse(status), { name: 'RangeError', message: `300 to 599, not ${status}` })
  }
})

await t.test('9110-5.5-no-crlf-nul: what must not be written is a TypeError', async (t) => {
  const refuseWith = (headers: unknown): unknown =>
    refuse(400, { headers: headers as Record<string, string> })
  t.throws(() => refuseWith({ a: 'b\r\nSet-Cookie: c' }), { name: 'TypeError', message: /"headers"/ })
  for (const name of ['Connection', 'content-length', 'Transfer-Encoding']) {
    t.throws(() => refuseWith({ [name]: 'x' }), { name: 'TypeError', message: `must not hold "${name}"` })
  }
  for (const body of [5, null, ['x']]) {
    t.throws(() => refuse(400, { body: body as unknown as string }), { name: 'TypeError', message: /"body"/ })
  }
})

await t.test('9110-5.5-no-crlf-nul: a refusal made by hand is checked as well', async (t) => {
  t.throws(() => new Refusal('verify', 101), { name: 'RangeError' })
  t.throws(() => new Refusal('verify', 400, { headers: { a: 'b\r\nSet-Cookie: c' } }), { name: 'TypeError' })
})
