/** gorilla/websocket, with Debian's Go and its source packages. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import t from 'tap'
import { packageVersion } from './debian.ts'
import { meetForeign } from './foreign.ts'
import { sourceOf } from './packages.ts'
import type { Difference } from './peer.ts'
import type { Command, Kind } from './process-peer.ts'

const debianPackage = 'golang-github-gorilla-websocket-dev'

const bad1014: Difference = {
  tests: /close with 1014/,
  why: 'takes 1014, registered with IANA after RFC 6455, for a bad code: fails the connection with 1002',
}

const kind: Kind = {
  transports: ['TCP', 'TLS'],
  abilities: ['ping', 'terminate'],
  deflate: 'both ways',
  closesWithAnyCode: true,
  answer: ({ code }) => ({ code, reason: '' }),
  notes: ['answers with our code and no reason'],
  differences: [bad1014],
}

const server: Kind = {
  ...kind,
  differences: [
    bad1014,
    {
      tests: /7692.*serverMaxWindowBits/,
      why: 'accepts an offer with server_max_window_bits and does not repeat it, as RFC 7692 section 7.1.2.1 asks',
    },
  ],
}

function build(folder: string): Command | string {
  if (!existsSync('/usr/share/gocode/src/github.com/gorilla/websocket'))
    return `apt-get install golang-go ${debianPackage}`
  const program = join(folder, 'gorilla')
  const { status, error, stderr } = spawnSync('go', ['build', '-o', program, sourceOf('gorilla.go')], {
    env: { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: join(folder, 'cache') },
    encoding: 'utf8',
  })
  if (error !== undefined) return 'apt-get install golang-go'
  if (status !== 0) throw new Error(stderr)
  return { program, args: [], env: { GORILLA_VERSION: packageVersion(debianPackage) } }
}

await meetForeign(t, { title: 'gorilla', command: build, client: kind, server })
