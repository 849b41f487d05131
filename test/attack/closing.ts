/** Rows K: peers that make the end of a connection hard. */
import { prove, type Row } from './row.ts'

/** Those scenarios of the closing promise, in both roles and over every transport. */
const scenarios = (titles: RegExp): [file: string, titles: RegExp[]] => ['wire/closing', [/./, titles]]

export const closingRows: readonly Row[] = [
  {
    id: 'K1',
    attack: 'our Close is never answered, or never read',
    async run(ledger) {
      await prove(ledger, ...scenarios(/K1/))
      await prove(ledger, 'wire/process', /K1/)
      await prove(ledger, 'lib/closing', /D10/)
    },
  },
  {
    id: 'K2',
    attack: 'the peer sends on behind our Close, and behind its own',
    run: (ledger) => prove(ledger, ...scenarios(/K2|discard-after-close/)),
  },
  {
    id: 'K3',
    attack: 'both have closed, and the peer never ends TCP; or it ends TCP and nothing else',
    async run(ledger) {
      await prove(ledger, ...scenarios(/K3|FIN without a Close|FIN instead of an answer|server-first/))
      await prove(ledger, 'lib/closing', /7\.1\.1|linger/)
    },
  },
  {
    id: 'K4',
    attack: 'both close at once, or twice, or inside a fragmented message',
    run: (ledger) => prove(ledger, ...scenarios(/K4|two of ours, started by both/)),
  },
  {
    id: 'K5',
    attack: 'the end comes with messages unread, queues full, and the connection paused',
    async run(ledger) {
      await prove(ledger, ...scenarios(/K5/))
      for (const file of ['lib/connection', 'lib/reader']) await prove(ledger, file, /K5/)
    },
  },
  {
    id: 'K6',
    attack: 'sends race close and terminate in every order',
    async run(ledger) {
      for (const file of ['wire/races', 'lib/connection']) await prove(ledger, file, /K6/)
    },
  },
  {
    id: 'K7',
    attack: 'codes that must not be sent, payloads of a byte, reasons of 124',
    async run(ledger) {
      await prove(ledger, ...scenarios(/K7/))
      await prove(ledger, 'lib/connection', /K7/)
      for (const file of ['frames/close-code', 'frames/close-payload']) await prove(ledger, file, /./)
    },
  },
]
