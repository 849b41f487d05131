/** Bun's WebSocket and server. */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { meetForeign } from './foreign.ts'
import { machine, programOf } from './packages.ts'
import type { Kind } from './process-peer.ts'

const script = fileURLToPath(new URL('programs/script.js', import.meta.url))

const kind: Kind = {
  transports: ['TCP', 'TLS'],
  abilities: ['ping', 'terminate'],
  deflate: 'both ways',
  closesWithAnyCode: true,
  answer: (close) => close,
}

const server: Kind = {
  ...kind,
  differences: [
    { tests: /they close with an empty Close/, why: 'cannot send a Close without a code' },
    {
      tests: /simultaneous-close|closeReply: manual|we do not answer their Close/,
      why: 'tells its own Close for the end, and does not wait for the answer',
    },
    {
      tests: /7692.*serverMaxWindowBits/,
      why: 'declines compression where server_max_window_bits is asked for',
    },
  ],
}

await meetForeign(t, {
  title: 'Bun',
  command() {
    const bun = programOf(`@oven/bun-${machine.replace('arm64', 'aarch64')}/bin/bun`)
    return bun === undefined
      ? `there is no npm package of it for ${machine}`
      : { program: bun, args: [script, 'bun'] }
  },
  client: kind,
  server,
})
