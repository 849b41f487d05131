import t from 'tap'
import { Buffer } from 'node:buffer'
import { violation } from '../../frames/violation.ts'
import type { CloseInfo } from '../../lib/close-info.ts'
import {
  asError,
  clientLeft,
  ConnectionClosedError,
  HandshakeError,
  ProtocolError,
} from '../../lib/errors.ts'

await t.test('a ProtocolError tells rule, close code and section', async (t) => {
  const fault = violation('reserved-bit')
  const error = new ProtocolError(fault)
  t.type(error, Error)
  t.match(error, {
    name: 'ProtocolError',
    message: `${fault.message} (${fault.section})`,
    code: 'reserved-bit',
    closeCode: 1002,
    section: 'RFC 6455 5.2',
  })
})

await t.test('a ConnectionClosedError tells the story', async (t) => {
  const info: CloseInfo = {
    code: 1000,
    reason: 'bye',
    wasClean: true,
    initiator: 'remote',
    sent: { code: 1000, reason: 'bye' },
    received: { code: 1000, reason: 'bye' },
    trigger: 'peer-close',
  }
  const error = new ConnectionClosedError(info)
  t.equal(error.name, 'ConnectionClosedError')
  t.equal(error.info, info)
  t.equal(error.message, 'the connection is closed: received 1000 "bye"; then sent 1000 "bye"; clean')
})

await t.test('a HandshakeError holds the answer, if there was one', async (t) => {
  const cause = new Error('why')
  const bare = new HandshakeError('no', {}, { cause })
  t.match(bare, { name: 'HandshakeError', message: 'no', status: undefined, headers: {}, cause })
  t.strictSame(bare.body, Buffer.alloc(0))
  const full = new HandshakeError('no', { status: 403, headers: { a: 'b' }, body: Buffer.from('x') })
  t.match(full, { status: 403, headers: { a: 'b' }, body: Buffer.from('x') })
  t.notOk('cause' in full)
  t.match(clientLeft(), { name: 'HandshakeError', status: undefined, message: /client left/ })
})

await t.test('what was thrown as an Error', async (t) => {
  const error = new RangeError('x')
  t.equal(asError(error), error)
  t.equal(asError('x').message, "a handler threw 'x'")
  t.equal(asError(undefined).message, 'a handler threw undefined')
  t.equal(asError(Object.create(null)).message, 'a handler threw [Object: null prototype] {}')
})
