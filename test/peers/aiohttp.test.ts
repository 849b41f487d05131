/** aiohttp of Python. */
import t from 'tap'
import { meetForeign } from './foreign.ts'
import type { Kind } from './process-peer.ts'
import { pythonCommand } from './python.ts'

const kind: Kind = {
  transports: ['TCP', 'TLS'],
  abilities: ['ping', 'terminate'],
  deflate: 'both ways',
  closesWithAnyCode: true,
  answer: () => ({ code: 1000, reason: '' }),
  tells: (record, end) => (end === 'theirs' || end === 'both' ? { ...record, reason: '' } : record),
  differences: [{ tests: /they close with an empty Close/, why: 'cannot send a Close without a code' }],
  notes: ['answers each Close with 1000', 'does not tell the reason of our answer to its Close'],
}

await meetForeign(t, {
  title: 'aiohttp',
  command: () => pythonCommand('aiohttp'),
  client: kind,
  server: kind,
})
