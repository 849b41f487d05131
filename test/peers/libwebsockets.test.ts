/** libwebsockets, of Debian. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { meetForeign } from './foreign.ts'
import { sourceOf } from './packages.ts'
import type { Command, Kind } from './process-peer.ts'

const kind: Kind = {
  transports: ['TCP', 'TLS'],
  abilities: ['ping', 'fragment', 'terminate'],
  deflate: 'both ways',
  closesWithAnyCode: true,
  answer: (close) => close,
  differences: [
    { tests: /they close with an empty Close/, why: 'cannot send a Close without a code' },
    { tests: /we close with 1014/, why: 'answers 1014, registered with IANA after RFC 6455, with 1002' },
    {
      tests: /simultaneous-close|closeReply: manual/,
      why: 'does not tell its application of the answer to its Close',
    },
    {
      tests: /the shortest messages/,
      why: 'fails an assertion when it compresses a second empty message: zlib has nothing to flush, and the end that it cuts off is not there',
    },
  ],
}

const client: Kind = {
  ...kind,
  differences: [
    ...(kind.differences ?? []),
    {
      tests: /compressed fragments|we sent compressed before/,
      why: 'where compression was agreed on, its client delivers what is not compressed, a Pong too, over and over: the loop over what the extension leaves forgets the case that there was nothing for it to do',
    },
  ],
}

const server: Kind = {
  ...kind,
  differences: [
    ...(kind.differences ?? []),
    {
      tests: /7692.*serverMaxWindowBits/,
      why: 'accepts an offer with server_max_window_bits and does not repeat it, as RFC 7692 section 7.1.2.1 asks',
    },
    {
      tests: /7692.*: serverNoContextTakeover(, clientMaxWindowBits 9)?$/,
      why: 'where only its own side gives up its context, drops the one for what it receives too: then it fails with "invalid distance too far back"',
    },
    { tests: /their Pings are answered/, why: 'its server tells nothing of the Pong to an empty Ping' },
  ],
}

function build(folder: string): Command | string {
  if (!existsSync('/usr/include/libwebsockets.h')) return 'apt-get install gcc libc6-dev libwebsockets-dev'
  const program = join(folder, 'libwebsockets')
  const args = ['-Wall', '-Wextra', '-O1', '-o', program, sourceOf('libwebsockets.c'), '-lwebsockets']
  const { status, error, stderr } = spawnSync('gcc', args, { encoding: 'utf8' })
  if (error !== undefined) return 'apt-get install gcc libc6-dev'
  if (status !== 0) throw new Error(stderr)
  return { program, args: [] }
}

await meetForeign(t, { title: 'libwebsockets', command: build, client, server })
