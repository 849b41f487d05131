import t from 'tap'
import { type CloseInfo, type CloseTrigger, describeClose } from '../../lib/close-info.ts'

const lost: CloseInfo = {
  code: 1006,
  reason: '',
  wasClean: false,
  initiator: 'none',
  sent: null,
  received: null,
  trigger: 'socket-error',
}
const bye = { code: 1000, reason: 'bye' }
const empty = { code: undefined, reason: '' }

t.test('the frames in the order they crossed, then how it went', (t) => {
  const shapes: [told: Partial<CloseInfo>, line: string][] = [
    [
      { initiator: 'local', sent: bye, received: bye, wasClean: true, trigger: 'local-close' },
      'sent 1000 "bye"; then received 1000 "bye"; clean',
    ],
    [
      {
        initiator: 'remote',
        sent: bye,
        received: { code: 1001, reason: '' },
        wasClean: true,
        trigger: 'peer-close',
      },
      'received 1001; then sent 1000 "bye"; clean',
    ],
    [
      { initiator: 'local', sent: empty, received: empty, wasClean: true, trigger: 'local-close' },
      'sent an empty Close; then received an empty Close; clean',
    ],
    [
      { initiator: 'local', sent: bye, trigger: 'peer-fin-before-close' },
      'sent 1000 "bye"; received no Close; not clean: the peer ended TCP instead of answering our Close',
    ],
    [
      { initiator: 'remote', received: bye, trigger: 'terminate' },
      'received 1000 "bye"; sent no Close; not clean: terminated here',
    ],
    [{}, 'sent no Close; received no Close; not clean: the connection was lost'],
    [
      { error: new Error('read ECONNRESET') },
      'sent no Close; received no Close; not clean: the connection was lost (read ECONNRESET)',
    ],
  ]
  for (const [told, line] of shapes) t.equal(describeClose({ ...lost, ...told }), line)
  t.end()
})

t.test('a reason stays on its line', (t) => {
  const sent = { code: 4000, reason: 'a "quoted"\n\0\x1b[31m\x7f\x9b\u2028line, tschüß' }
  const line = describeClose({ ...lost, initiator: 'local', sent })
  t.match(line, String.raw`sent 4000 "a \"quoted\"\n\u0000\u001b[31m\u007f\u009b\u2028line, tschüß"; `)
  t.notMatch(line, /[\p{Cc}\p{Zl}]/u)
  t.end()
})

t.test('so does what an error repeats of a message', (t) => {
  const line = describeClose({ ...lost, error: new Error('Unexpected token, "x\n\x1b[31m"... is not JSON') })
  t.match(line, String.raw`(Unexpected token, "x\u000a\u001b[31m"... is not JSON)`)
  t.notMatch(line, /[\p{Cc}\p{Zl}]/u)
  t.end()
})

t.test('RFC 6455 7.1.4: both Close frames are there and ours never left', (t) => {
  const told: CloseInfo = { ...lost, initiator: 'remote', trigger: 'peer-close', sent: bye, received: bye }
  const frame = '1000 "bye"'
  t.equal(
    describeClose(told),
    `received ${frame}; then sent ${frame}; not clean: our Close did not leave in time`,
  )
  t.end()
})

t.test('6455-7.1.7-fail-logged: every trigger has its words, unless the end was clean', (t) => {
  const causes: Record<CloseTrigger, string> = {
    'local-close': 'closed here',
    'peer-close': 'closed by the peer',
    'protocol-error': 'the peer broke the protocol',
    'peer-fin': 'the peer ended TCP without a Close',
    'peer-fin-before-close': 'the peer ended TCP instead of answering our Close',
    'socket-error': 'the connection was lost',
    'close-timeout': 'the closing handshake took too long',
    'keepalive-timeout': 'the peer stopped answering pings',
    terminate: 'terminated here',
    limit: 'a limit was reached',
    'handler-error': 'a handler failed',
    'handshake-failed': 'the opening handshake failed',
    'aborted-before-open': 'aborted before it was open',
  }
  const isTrigger = (name: string): name is CloseTrigger => name in causes
  for (const trigger of Object.keys(causes).filter(isTrigger)) {
    const told = { ...lost, trigger }
    t.equal(describeClose(told), `sent no Close; received no Close; not clean: ${causes[trigger]}`)
    t.match(describeClose({ ...told, sent: bye, received: bye, wasClean: true }), /; clean$/)
  }
  t.end()
})
