/** nginx and haproxy in front of a server. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { portOf } from '../help/serve.ts'
import { addressOf } from './address.ts'

/** How to run one. */
export interface ProxyKind {
  readonly name: string
  readonly program: string
  readonly versionOption: string
  readonly args: (configuration: string) => string[]
  /** Listens at `front`, and passes on to `upstream`; both are paths of Unix sockets. */
  readonly configuration: (places: { folder: string; front: string; upstream: string }) => string
  /** What it says on stderr when it is ready. */
  readonly ready: RegExp
}

/** How long the path `/impatient` lets a connection be silent, in seconds. */
const patience = 3

export const nginx: ProxyKind = {
  name: 'nginx',
  program: 'nginx',
  versionOption: '-v',
  args: (configuration) => ['-e', 'stderr', '-c', configuration],
  ready: /using the "\w+" event method/,
  configuration: ({ folder, front, upstream }) => `
daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr notice;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((each) => `${each}_temp_path ${folder}/${each};`).join('\n  ')}
  upstream server { server unix:${upstream}; }
  server {
    listen unix:${front};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
    location / { proxy_pass http://server; }
    location /impatient { proxy_pass http://server; proxy_read_timeout ${patience}s; }
    location /plain {
      proxy_pass http://server;
      proxy_set_header Host $http_host;
    }
    location /elsewhere {
      proxy_pass http://server;
      proxy_set_header Host elsewhere.example;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }
  }
}
`,
}

export const haproxy: ProxyKind = {
  name: 'haproxy',
  program: 'haproxy',
  versionOption: '-v',
  args: (configuration) => ['-W', '-f', configuration],
  ready: /Loading success/,
  configuration: ({ front, upstream }) => `
defaults
  mode http
  timeout connect 60s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  retries 0
frontend front
  bind unix@${front}
  use_backend impatient if { path /impatient }
  use_backend plain if { path /plain }
  use_backend elsewhere if { path /elsewhere }
  default_backend server
backend server
  server server unix@${upstream}
backend impatient
  timeout tunnel ${patience}s
  server server unix@${upstream}
backend plain
  http-request del-header Upgrade
  server server unix@${upstream}
backend elsewhere
  http-request set-header Host elsewhere.example
  server server unix@${upstream}
`,
}

export class Proxy {
  readonly name: string
  readonly version: string
  /** Of its own, to reach it directly. */
  readonly socketPath: string
  readonly #port: number
  #target: string | undefined

  private constructor(kind: ProxyKind, version: string, socketPath: string, port: number) {
    this.name = kind.name
    this.version = version
    this.socketPath = socketPath
    this.#port = port
  }

  /** Starts it, until the end of the test; undefined where it is not installed. */
  static async start(t: Test, kind: ProxyKind): Promise<Proxy | undefined> {
    const asked = spawnSync(kind.program, [kind.versionOption], { encoding: 'utf8' })
    if (asked.error !== undefined) return undefined
    const [version = 'unknown'] = /\d+(\.\d+)+/.exec(asked.stdout + asked.stderr) ?? []
    // The path of a Unix socket must be short.
    const folder = mkdtempSync(join(tmpdir(), 'farewell-'))
    const places = { folder, front: join(folder, 'front'), upstream: join(folder, 'upstream') }
    // The proxy has sockets of its own; the port in front of it, and the server behind it, are whatever they are.
    const front = relayTo(() => `ws+unix:${places.front}`).listen(0, '127.0.0.1')
    await once(front, 'listening')
    const proxy = new Proxy(kind, version, places.front, portOf(front))
    const behind = relayTo(() => proxy.#target).listen(places.upstream)
    await once(behind, 'listening')
    const file = join(folder, 'configuration')
    writeFileSync(file, kind.configuration(places))
    const child = spawn(kind.program, kind.args(file), { stdio: ['ignore', 'ignore', 'pipe'] })
    const exited = once(child, 'exit')
    t.teardown(async () => {
      child.kill('SIGTERM')
      await exited
      front.close()
      behind.close()
      rmSync(folder, { recursive: true })
    })
    await ready(child, kind.ready)
    return proxy
  }

  /** The address for a client; the path chooses one of the ways to pass a request on. */
  url(path = '/'): string {
    return `ws://127.0.0.1:${this.#port}${path}`
  }

  /** Leads to the server at this address from now on; nowhere without one. */
  lead(url: string | undefined): void {
    this.#target = url
  }
}

/** Leads each connection to where that says. */
function relayTo(target: () => string | undefined): Server {
  return createServer({ allowHalfOpen: true }, (downstream) => {
    const url = target()
    if (url === undefined) return downstream.destroy()
    const upstream = connect({ ...addressOf(url), allowHalfOpen: true })
    downstream.pipe(upstream).pipe(downstream)
    for (const [from, to] of [
      [downstream, upstream],
      [upstream, downstream],
    ] as const) {
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroySoon())
    }
    return undefined
  })
}

async function ready(child: ChildProcess, sign: RegExp): Promise<void> {
  const { stderr } = child
  if (stderr === null) throw new Error('nothing to read')
  const said: string[] = []
  for await (const line of createInterface({ input: stderr })) {
    said.push(line)
    if (!sign.test(line)) continue
    stderr.resume()
    return
  }
  throw new Error(`the proxy did not start:\n${said.join('\n')}`)
}
