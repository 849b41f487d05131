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

await meetForeign(t, { title: 'libwebsockets', command: build, client: kind, server: kind })
