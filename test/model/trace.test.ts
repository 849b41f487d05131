import t from 'tap'
import { judgeTrace } from './trace.ts'

t.test('a path of the machine passes', (t) => {
  const closed = judgeTrace(
    [
      { event: 'opened', state: 'open' },
      { event: 'local-close', state: 'close-sent' },
      { event: 'close-flushed', state: 'close-sent' },
      { event: 'close-received', state: 'close-done' },
      { event: 'local-close', state: 'close-done' },
      { event: 'peer-fin', state: 'close-done' },
      { event: 'socket-closed', state: 'closed' },
    ],
    'client',
  )
  t.equal(closed, undefined)
  const answered = judgeTrace(
    [
      { event: 'opened', state: 'open' },
      { event: 'close-received', state: 'close-received' },
      { event: 'deadline', state: 'failing' },
      { event: 'socket-closed', state: 'closed' },
    ],
    'server',
    true,
  )
  t.equal(answered, undefined)
  t.end()
})

t.test('a state that the machine would not have been in', (t) => {
  const trace = [
    { event: 'opened', state: 'open' },
    { event: 'close-received', state: 'close-received' },
  ] as const
  t.equal(judgeTrace(trace, 'server', true), undefined)
  t.equal(judgeTrace(trace, 'server'), '1: close-received in open leads to close-done, not to close-received')
  t.end()
})

t.test('events that nothing has prepared', (t) => {
  const opened = { event: 'opened', state: 'open' } as const
  const closing = { event: 'local-close', state: 'close-sent' } as const
  const halfClosing = { ...closing, patient: true } as const
  const deadline = { event: 'deadline', state: 'failing' } as const
  t.equal(judgeTrace([opened, closing, deadline], 'client'), undefined)
  t.equal(judgeTrace([opened, halfClosing, deadline], 'client'), '2: deadline in close-sent cannot happen')
  t.equal(
    judgeTrace([opened, { event: 'close-flushed', state: 'open' }], 'client'),
    '1: close-flushed in open cannot happen',
  )
  t.equal(
    judgeTrace([opened, { event: 'linger', state: 'open' }], 'client'),
    '1: linger in open cannot happen',
  )
  t.end()
})
