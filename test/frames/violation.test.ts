import t from 'tap'
import { isWireCloseCode } from '../../frames/close-code.ts'
import { isLimit, violation, type ViolationName } from '../../frames/violation.ts'

/** What answers each violation. Names are part of the API: one that changes breaks somebody's log filter. */
const expected: Record<ViolationName, [closeCode: number, requirement: string, section: string]> = {
  'reserved-bit': [1002, '6455-5.2-rsv-rejected', 'RFC 6455 5.2'],
  'reserved-opcode': [1002, '6455-5.2-reserved-data-opcode', 'RFC 6455 5.2'],
  'missing-mask': [1002, '6455-5.1-server-unmasked-1002', 'RFC 6455 5.1'],
  'unexpected-mask': [1002, '6455-5.1-client-rejects-masked', 'RFC 6455 5.1'],
  'length-not-minimal': [1002, '6455-5.2-len-minimal', 'RFC 6455 5.2'],
  'length-top-bit': [1002, '6455-5.2-len64-msb', 'RFC 6455 5.2'],
  'orphan-continuation': [1002, '6455-5.4-orphan-continuation', 'RFC 6455 5.4'],
  'nested-message': [1002, '6455-5.4-no-new-message-inside', 'RFC 6455 5.4'],
  'fragmented-control': [1002, '6455-5.5-control-not-fragmented', 'RFC 6455 5.5'],
  'long-control': [1002, '6455-5.5-control-len-125', 'RFC 6455 5.5'],
  'short-close': [1002, '6455-5.5.1-close-body-two-bytes', 'RFC 6455 5.5.1'],
  'bad-close-code': [1002, '6455-7.4.1-1002-protocol-error', 'RFC 6455 7.4'],
  'bad-close-reason': [1007, '6455-8.1-close-reason-utf8', 'RFC 6455 5.5.1'],
  'bad-utf8': [1007, '6455-7.4.1-1007-bad-data', 'RFC 6455 8.1'],
  'bad-deflate': [1007, '7692-7.2.2-corrupt-fails', 'RFC 7692 7.2.2'],
  'message-too-big': [1009, '6455-7.4.1-1009-too-big', 'RFC 6455 10.4'],
  'empty-fragments': [1008, '6455-10.4-fragment-count', 'RFC 6455 10.4'],
  'no-progress': [1008, '6455-7.4.1-1008-policy', 'RFC 6455 10.4'],
  'send-buffer-full': [1008, '6455-7.4.1-1008-policy', 'RFC 6455 10.4'],
  'rate-limit': [1008, '6455-7.4.1-1008-policy', 'RFC 6455 10.4'],
  'process-budget': [1013, 'RFC 6455 10.4', 'RFC 6455 10.4'],
}

for (const name of Object.keys(expected).filter(isName)) {
  const [closeCode, requirement, section] = expected[name]
  await t.test(`${requirement}: ${name} is answered with ${closeCode}`, async (t) => {
    const found = violation(name)
    t.match(found, { name, closeCode, section })
    t.equal(isWireCloseCode(found.closeCode), true)
    t.equal(isLimit(found), closeCode > 1007, 'the limits are ours')
    t.equal(isLimit({ ...found, section: 'RFC 6455 10.4' }), isLimit(found), 'whatever section it names')
    t.ok(found.message.length > 20, 'has a sentence for the log')
    t.same(violation(name), found)
  })
}

await t.test('each violation has a sentence of its own', async (t) => {
  const names = Object.keys(expected).filter(isName)
  t.equal(new Set(names.map((name) => violation(name).message)).size, names.length)
})

function isName(name: string): name is ViolationName {
  return Object.hasOwn(expected, name)
}
