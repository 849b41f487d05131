/** Deno's WebSocket and server. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { meetForeign } from './foreign.ts'
import { machine, programOf } from './packages.ts'
import type { Kind } from './process-peer.ts'

const script = fileURLToPath(new URL('programs/script.js', import.meta.url))

const kind: Kind = {
  transports: ['TCP', 'TLS'],
  abilities: [],
  deflate: 'none',
  closesWithAnyCode: false,
  answer: (close) => close,
  tells: (record) => (record.code === 1006 ? { ...record, code: 0 } : record),
  notes: ['tells code 0 where a connection is lost'],
  differences: [
    {
      tests: /we close with 1014/,
      why: 'takes 1014, registered with IANA after RFC 6455, for a bad code: fails the connection with 1002',
    },
  ],
}

await meetForeign(t, {
  title: 'Deno',
  command(folder) {
    const deno = programOf(`@deno/${machine}-glibc/deno`)
    if (deno === undefined) return `there is no npm package of it for ${machine}`
    const args = [
      'run',
      '--no-config',
      '--no-lock',
      '--allow-all',
      '--unsafely-ignore-certificate-errors',
      script,
      'deno',
    ]
    return {
      program: deno,
      args,
      env: { DENO_CERT: join(folder, 'cert.pem'), DENO_DIR: join(folder, 'deno') },
    }
  },
  client: kind,
  server: kind,
})
