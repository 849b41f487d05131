/** The examples as programs: started, used and stopped the way people do. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { startDemo } from '../../examples/server.ts'
import { connect } from '../../lib/index.ts'

class Program {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly ended: Promise<unknown[]>
  out = ''
  err = ''
  #look = () => {}

  constructor(name: string, args: string[] = [], env: Record<string, string> = {}) {
    const file = fileURLToPath(new URL(`../../examples/${name}.js`, import.meta.url))
    this.child = spawn(process.execPath, [file, ...args], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.ended = once(this.child, 'close')
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.out += text
      this.#look()
    })
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.err += text
      this.#look()
    })
  }

  /** Resolves with the match as soon as the program has said this, on either of its outputs. */
  says(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        const match = pattern.exec(this.out) ?? pattern.exec(this.err)
        if (match) resolve(match)
      }
      this.#look()
      void this.ended.then(() =>
        reject(new Error(`ended without saying ${pattern}:\n${this.out}${this.err}`)),
      )
    })
  }
}

/** A port that was free a moment ago. */
async function freePort(): Promise<string> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? String(address.port) : ''
}

async function startServer(t: Test): Promise<{ server: Program; url: string }> {
  const server = new Program('server', ['0'])
  t.teardown(() => server.child.kill('SIGKILL'))
  const [, url = ''] = await server.says(/(ws:\S+)/)
  return { server, url }
}

t.test('server: one signal says goodbye, and the process ends by itself', async (t) => {
  const { server, url } = await startServer(t)
  const client = await connect(url)
  server.child.kill('SIGINT')
  t.match(await client.closed, { code: 1001, reason: 'Server is shutting down', wasClean: true })
  t.strictSame(await server.ended, [0, null])
  t.match(server.out, 'Stopped: 1 closed cleanly, 0 uncleanly, 0 terminated')
})

t.test('server: a second signal waits for nobody', async (t) => {
  const { server, url } = await startServer(t)
  const client = await connect(url, { closeReply: 'manual' })
  server.child.kill('SIGTERM')
  await server.says(/starting the close handshake/)
  server.child.kill('SIGTERM')
  t.strictSame(await server.ended, [0, null])
  client.terminate()
})

t.test('client: lines are messages, and the end of the input is a goodbye', async (t) => {
  const { url } = await startDemo({ port: 0, log: () => {} }).then((demo) => {
    t.teardown(() => demo.close())
    return demo
  })
  const client = new Program('client', [url.replace(/^http/, 'ws')])
  client.child.stdin.end('one\ntwo\nthree')
  t.strictSame(await client.ended, [0, null])
  t.equal(client.out, 'one\ntwo\nthree\n')
  t.match(client.err, 'state: close-sent\nstate: close-done\nstate: closed\n')
  t.match(client.err, 'Closed: sent 1000 "Closing"; then received 1000 "Closing"; clean\n')
})

t.test("client: the server's goodbye ends it, though the input goes on", async (t) => {
  const demo = await startDemo({ port: 0, log: () => {} })
  t.teardown(() => demo.close())
  const client = new Program('client', [demo.url.replace(/^http/, 'ws')])
  client.child.stdin.write('Hello\n')
  await client.says(/Hello/)
  await demo.close()
  t.strictSame(await client.ended, [0, null])
  t.match(client.err, 'Acknowledging Close frame received from server')
  t.match(client.err, 'Closed: received 1001 "Server is shutting down"; then sent 1001')
})

t.test('client: a signal is a goodbye too', async (t) => {
  const { url } = await startServer(t)
  const client = new Program('client', [url])
  client.child.stdin.write('Hello\n')
  await client.says(/Hello/)
  client.child.kill('SIGINT')
  t.strictSame(await client.ended, [0, null])
  t.match(client.err, 'clean')
})

t.test('client: no server', async (t) => {
  const client = new Program('client', [`ws://127.0.0.1:${await freePort()}/`])
  t.strictSame(await client.ended, [1, null])
  t.match(client.err, 'Failed: the connection could not be opened')
})

t.test('echo', async (t) => {
  const echo = new Program('echo', [], { PORT: await freePort() })
  t.strictSame(await echo.ended, [0, null])
  t.match(echo.out, /^one\ntwo\nthree\n/)
  t.match(echo.out, 'wasClean: true')
})

t.test('wait-for-reply', async (t) => {
  const program = new Program('wait-for-reply', [], { PORT: await freePort() })
  t.strictSame(await program.ended, [0, null])
  t.equal(
    program.out,
    'no answer within 50 ms, and the connection lives on\n' +
      'late, not lost: 1 slow question, answered\n2 quick question, answered\n',
  )
})

t.test(
  'behind-balancer: SIGTERM takes readiness away first, then the clients, then the process',
  async (t) => {
    const program = new Program('behind-balancer', ['0', '600000'])
    t.teardown(() => program.child.kill('SIGKILL'))
    const [, port = ''] = await program.says(/listening on (\d+)/)
    const statusOf = async (path: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}${path}`)).status
    t.equal(await statusOf('/ready'), 200)
    const early = await connect(`ws://127.0.0.1:${port}/`)

    program.child.kill('SIGTERM')
    await program.says(/draining 1 connections/)
    t.equal(await statusOf('/ready'), 503)
    t.equal(await statusOf('/alive'), 200)
    t.equal(await statusOf('/'), 404)
    const late = await connect(`ws://127.0.0.1:${port}/`)
    early.send('still served')
    t.equal(await early.receive(), 'still served')

    program.child.kill('SIGTERM')
    for (const client of [early, late]) {
      t.match(await client.closed, { code: 1012, reason: 'restarting', wasClean: true })
    }
    t.strictSame(await program.ended, [0, null])
    t.match(program.out, 'left: {"clean":2,"unclean":0,"terminated":0}')
    t.match(program.out, 'sent 1012 "restarting"; then received 1012 "restarting"; clean')
  },
)

t.test('H12: token: lets in who has the token, and nobody who has a part of it', async (t) => {
  const server = new Program('token', ['0'], { TOKEN: 'open sesame' })
  t.teardown(() => server.child.kill('SIGKILL'))
  const [, port] = await server.says(/listening on (\d+)/)
  const url = `ws://localhost:${port}/`
  for (const wrong of [
    '',
    'open sesame',
    'Bearer ',
    'Bearer open sesam',
    'Bearer open sesame!',
    'bearer open sesame',
  ]) {
    const refused = await connect(url, { headers: { Authorization: wrong } }).catch((error: unknown) => error)
    t.match(refused, { status: 401, headers: { 'www-authenticate': 'Bearer' } }, wrong)
  }
  t.match(await connect(url).catch((error: unknown) => error), { status: 401 })
  const connection = await connect(url, { headers: { Authorization: 'Bearer open sesame' } })
  t.equal(await connection.receive(), 'welcome')
  server.child.kill('SIGTERM')
  t.match(await connection.closed, { code: 1001, wasClean: true })
  t.strictSame(await server.ended, [0, null])
})
