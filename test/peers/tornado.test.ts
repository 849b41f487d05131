/** tornado of Python. */
import t from 'tap'
import { meetForeign } from './foreign.ts'
import type { Kind } from './process-peer.ts'
import { pythonCommand } from './python.ts'

const kind: Kind = {
  transports: ['TCP', 'TLS'],
  abilities: ['ping', 'terminate'],
  deflate: 'both ways',
  closesWithAnyCode: true,
  answer: ({ code }) => ({ code, reason: '' }),
  tells: (record) => (record.code === 1005 ? { code: 1006, reason: '', wasClean: false } : record),
  notes: [
    'answers with our code and no reason',
    'tells nobody whether there was a Close without a code or none',
  ],
}

const client: Kind = {
  ...kind,
  differences: [
    {
      tests: /7692.*clientNoContextTakeover/,
      why: 'loses parameters without a value from our answer, and so compresses with a context that was agreed not to be',
    },
  ],
}

const server: Kind = {
  ...kind,
  differences: [
    {
      tests: /7692.*serverNoContextTakeover/,
      why: 'loses parameters without a value from our offer, and so accepts one without the server_no_context_takeover that the answer must repeat (RFC 7692 section 7.1.1.1)',
    },
  ],
}

await meetForeign(t, {
  title: 'tornado',
  command: () => pythonCommand('tornado'),
  client: client,
  server,
})
