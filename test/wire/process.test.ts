/** Processes that end, are killed or stopped, and processes that do not end. */
import t, { type Test } from 'tap'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectNet } from 'node:net'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { connect, type Connection } from '../../lib/index.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns } from '../help/loop.ts'
import { matchEach } from '../help/match-each.ts'
import { serve } from '../help/serve.ts'
import { storyOf } from './closing-case.ts'
import { RawPeer } from './raw-peer.ts'
import { watchProcess } from './watch.ts'

const watch = watchProcess()
const lingerTimeout = 2_000

/** A child process, and the lines that it says. */
class Child {
  readonly process: ChildProcessByStdio<null, Readable, null>
  /** Exit code and signal. */
  readonly ended: Promise<unknown[]>
  #said = ''

  constructor(t: Test, ...what: string[]) {
    const program = fileURLToPath(new URL('child.js', import.meta.url))
    // tap's own preloads would keep their handles in the child.
    const env = { ...process.env, NODE_OPTIONS: '' }
    this.process = spawn(process.execPath, [program, ...what], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    this.ended = once(this.process, 'close')
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => (this.#said += text))
    t.teardown(async () => {
      this.process.kill('SIGKILL')
      await this.ended
    })
  }

  get lines(): string[] {
    return this.#said.split('\n').slice(0, -1)
  }

  /** Waits for a line that begins so, and gives what follows. */
  async says(beginning: string): Promise<string> {
    for (;;) {
      const line = this.lines.find((line) => line.startsWith(beginning))
      if (line !== undefined) return line.slice(beginning.length).trim()
      const more = once(this.process.stdout, 'data')
      const over = this.ended.then(() => {
        throw new Error(`ended without saying ${beginning}: ${this.#said}`)
      })
      await Promise.race([more, over])
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal)
  }

  /** Stops it, and waits until the kernel says that it is stopped. */
  async stop(): Promise<void> {
    this.kill('SIGSTOP')
    const state = (): string | undefined =>
      /\) (\S)/.exec(readFileSync(`/proc/${this.process.pid}/stat`, 'utf8'))?.[1]
    while (state() !== 'T') await turns(1)
  }
}

/** Options of a test, an object of its own each time: tap writes into it. */
const linux = (): { skip?: string } =>
  process.platform === 'linux' ? {} : { skip: 'the state of a process is read from /proc' }

/** A server here, and a client in a process of its own. */
async function withClient(t: Test): Promise<{ child: Child; connection: Connection; timers: FakeTimers }> {
  const timers = new FakeTimers()
  const { server, url } = await serve(t, { timers })
  const opened = once(server, 'connection')
  const child = new Child(t, 'client', url)
  const [connection] = await opened
  await child.says('open')
  return { child, connection, timers }
}

await t.test(
  '6455-7.4.1-1001-going-away, B3: SIGTERM to a server with clients, some of them silent',
  async (t) => {
    const child = new Child(t, 'server')
    const port = Number(await child.says('port'))
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(`ws://127.0.0.1:${port}/`)))
    for (const client of clients) client.send('hello')
    for (const client of clients) t.equal(await client.receive(), 'hello')
    // One connection that says nothing, one that says half a request.
    const silent = [connectNet(port, '127.0.0.1'), connectNet(port, '127.0.0.1')]
    for (const socket of silent) {
      socket.on('error', () => {}).resume()
      await once(socket, 'connect')
    }
    const gone = silent.map((socket) => new Promise((resolve) => socket.on('close', resolve)))
    silent[1]?.write('GET / HTTP/1.1\r\nHost: loc')
    child.kill('SIGTERM')
    const infos = await Promise.all(clients.map((client) => client.closed))
    t.ok(infos.every(({ code, wasClean, initiator }) => code === 1001 && wasClean && initiator === 'remote'))
    t.strictSame(await child.ended, [0, null], 'it ends by itself')
    t.strictSame(child.lines.slice(1), ['closed 20 0 0', 'left: '], 'nothing is left in its event loop')
    await Promise.all(gone)
  },
)

await t.test('a client process that closes ends by itself', async (t) => {
  const { server, url } = await serve(t)
  server.on('connection', (connection) => connection.on('message', (message) => connection.send(message)))
  const opened = once(server, 'connection')
  const child = new Child(t, 'visitor', url)
  const [connection] = await opened
  t.match(await connection.closed, { code: 1000, wasClean: true })
  t.strictSame(await child.ended, [0, null])
  t.strictSame(child.lines, ['got hello'])
})

await t.test('6455-7.1.5-lost-1006: SIGKILL to the client', async (t) => {
  const { child, connection, timers } = await withClient(t)
  child.kill('SIGKILL')
  t.match(storyOf(await connection.closed), { code: 1006, wasClean: false, trigger: 'peer-fin', sent: null })
  t.equal(timers.now(), 0)
})

await t.test('6455-7.1.5-lost-1006: SIGKILL to the server', async (t) => {
  const child = new Child(t, 'server')
  const port = await child.says('port')
  const timers = new FakeTimers()
  const client = await connect(`ws://127.0.0.1:${port}/`, { timers })
  client.send('hello')
  t.equal(await client.receive(), 'hello')
  const waiting = client.receive()
  child.kill('SIGKILL')
  const info = await client.closed
  t.match(storyOf(info), { code: 1006, wasClean: false, trigger: 'peer-fin', sent: null })
  await t.rejects(waiting, { name: 'ConnectionClosedError', info })
  t.equal(timers.now(), 0)
})

await t.test('R2: SIGSTOP to the client: the keepalive notices', linux(), async (t) => {
  const { child, connection, timers } = await withClient(t)
  await child.stop()
  timers.advance(44_000)
  await turns(5)
  t.equal(connection.state, 'open')
  timers.advance(1_000)
  t.equal(connection.state, 'failing')
  await turns(5) // The Close is with the kernel, and the linger time has begun.
  timers.advance(lingerTimeout)
  t.match(storyOf(await connection.closed), { code: 1006, wasClean: false, trigger: 'keepalive-timeout' })
  child.kill('SIGCONT')
  t.match(await child.says('closed'), /^1011/, 'when it wakes up it reads why')
})

await t.test('K1: SIGSTOP to the client: our Close is not answered', linux(), async (t) => {
  const { child, connection, timers } = await withClient(t)
  await child.stop()
  const closed = connection.close(1000)
  await turns(5)
  timers.advance(9_999)
  await turns(5)
  t.equal(connection.state, 'close-sent')
  timers.advance(1)
  t.match(storyOf(await closed), { code: 1006, wasClean: false, trigger: 'close-timeout' })
})

await t.test('E1: a bad frame to a server that listens to nothing: the process lives', async (t) => {
  const child = new Child(t, 'deaf server')
  const port = Number(await child.says('port'))
  const url = `ws://127.0.0.1:${port}/`
  const client = await connect(url)
  for (const bad of ['f180 00000000', '8380 00000000', '8104 61626364', '8181 00000000 ff', '88']) {
    const socket = connectNet({ port, host: '127.0.0.1', allowHalfOpen: true })
    const peer = new RawPeer(socket, 'client', () => socket.resetAndDestroy(), true)
    await once(socket, 'connect')
    await peer.open()
    peer.hex(bad)
    if (bad === '88') peer.reset()
    else await peer.untilEnd()
    peer.fin()
    await peer.until(() => peer.closed)
    if (bad !== '88') matchEach(t, peer.wire, [/^close 100[27]/])
  }
  t.ok((await client.ping()) >= 0, 'it still answers')
  t.equal(child.process.exitCode, null)
  const end = client.closed
  child.kill('SIGKILL')
  await end
})

await t.test('nothing escaped, nothing is left', (t) => watch.check(t))
