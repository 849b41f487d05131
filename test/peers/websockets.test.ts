/** websockets of Python. */
import t from 'tap'
import { meetForeign } from './foreign.ts'
import type { Kind } from './process-peer.ts'
import { pythonCommand } from './python.ts'

const kind: Kind = {
  transports: ['TCP', 'TLS'],
  abilities: ['ping', 'fragment', 'terminate'],
  deflate: 'both ways',
  closesWithAnyCode: true,
  answer: (close) => close,
}

await meetForeign(t, {
  title: 'websockets',
  command: () => pythonCommand('websockets'),
  client: kind,
  server: kind,
})
