import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Demo, type DemoOptions, startDemo } from '../../examples/server.ts'
import { connect, type Connection, HandshakeError } from '../../lib/index.ts'

interface Scene {
  demo: Demo
  log: string[]
  webSocket: string
  port: number
  /** Resolves as soon as a line with this text has been logged. */
  logged: (text: string) => Promise<void>
}

async function scene(t: Test, options: DemoOptions = {}): Promise<Scene> {
  const log: string[] = []
  let onLine = () => {}
  const demo = await startDemo({
    port: 0,
    host: '127.0.0.1',
    ...options,
    log(line) {
      log.push(line)
      onLine()
    },
  })
  t.teardown(() => {
    demo.terminate()
    return demo.close()
  })
  const logged = (text: string) =>
    new Promise<void>((resolve) => {
      onLine = () => log.some((line) => line.includes(text)) && resolve()
      onLine()
    })
  const { port } = new URL(demo.url)
  return { demo, log, logged, webSocket: demo.url.replace(/^http/, 'ws'), port: Number(port) }
}

/** A client that opens a WebSocket and then neither reads Close frames nor answers them. */
async function openSilently(port: number): Promise<Socket> {
  const socket = connectTcp(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  )
  await once(socket, 'data')
  return socket
}

t.test('echoes each message with its type, and logs each step', async (t) => {
  const { log, logged, webSocket } = await scene(t)
  const client = await connect(webSocket)
  client.send('Hello')
  t.equal(await client.receive(), 'Hello')
  client.send(Uint8Array.of(1, 2, 3))
  t.strictSame(await client.receive(), Buffer.of(1, 2, 3))
  client.send('')
  t.equal(await client.receive(), '')
  await client.close(4000, 'enough')
  await logged('closed')
  t.match(log, [
    'Connection 1: opened from 127.0.0.1',
    'Connection 1: received text (5 bytes)',
    'Connection 1: echoing',
    'Connection 1: received binary (3 bytes)',
    'Connection 1: echoing',
    'Connection 1: received text (0 bytes)',
    'Connection 1: echoing',
    'Connection 1: acknowledging Close frame received from client',
    'Connection 1: closed: received 4000 "enough"; then sent 4000 "enough"; clean',
  ])
})

t.test('tells everyone the time', async (t) => {
  const { webSocket } = await scene(t, { interval: 20 })
  const clients = await Promise.all([connect(webSocket), connect(webSocket)])
  for (const client of clients) {
    const [, time = ''] = /^Server time: (.*)$/.exec(String(await client.receive())) ?? []
    t.equal(new Date(time).toISOString(), time)
  }
  await Promise.all(clients.map((client) => client.close()))
})

t.test('clients reach each other by number', async (t) => {
  const { webSocket } = await scene(t)
  const first = await connect(webSocket)
  const second = await connect(webSocket)
  second.send('/who')
  t.equal(await second.receive(), 'You are 2 of 1, 2')
  second.send('/to 1 psst')
  t.equal(await first.receive(), 'From 2: psst')
  t.equal(await second.receive(), 'Sent to 1')
  second.send('/to 7 psst')
  t.equal(await second.receive(), 'There is no connection 7')
})

t.test('answers plain HTTP', async (t) => {
  const { demo, webSocket, port } = await scene(t)
  const get = (path: string, init?: RequestInit) => fetch(new URL(path, demo.url), init)

  const page = await get('/', { headers: { accept: 'text/html,application/xhtml+xml;q=0.9' } })
  t.equal(page.status, 200)
  t.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
  t.match(await page.text(), /<title>farewell/)
  t.equal((await get('/?from=elsewhere')).status, 200)
  t.equal((await get('/', { headers: { accept: 'x/y' } })).status, 400)
  t.equal((await get('/nowhere')).status, 404)
  const post = await get('/', { method: 'POST', body: 'x' })
  t.equal(post.status, 405)
  t.equal(post.headers.get('allow'), 'GET, HEAD')
  const head = await get('/', { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(await head.text(), '')

  const [bare] = await once(request({ port, host: '127.0.0.1' }).end(), 'response')
  t.equal(bare.resume().statusCode, 200, 'no Accept is any Accept')

  t.strictSame(await (await get('/health')).json(), { status: 'ok', connections: 0 })
  await connect(webSocket)
  t.strictSame(await (await get('/health')).json(), { status: 'ok', connections: 1 })
})

t.test('bad requests do not stop it', async (t) => {
  const { webSocket, port } = await scene(t)
  for (const bytes of [
    'garbage\r\n\r\n',
    '\x00\xff',
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  ]) {
    const socket = connectTcp(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.end(bytes, 'latin1')
    socket.resume()
    await once(socket, 'close')
  }
  connectTcp(port, '127.0.0.1')
    .on('error', () => {})
    .write('GET / HT')
  const client = await connect(webSocket)
  client.send('still there?')
  t.equal(await client.receive(), 'still there?')
})

t.test('a client that vanishes is told apart from one that says goodbye', async (t) => {
  const { webSocket, logged } = await scene(t)
  const client = await connect(webSocket)
  client.terminate()
  await t.resolves(logged('Connection 1: closed: sent no Close; received no Close; not clean'))
})

t.test('stops in order: goodbye to everyone, 503 for who comes late, the port last', async (t) => {
  const { demo, log, logged, webSocket, port } = await scene(t)
  const clients = await Promise.all([connect(webSocket), connect(webSocket)])
  const silent = await openSilently(port)
  await logged('Connection 3: opened')
  const stopped = demo.close()
  t.equal(demo.close(), stopped, 'asking twice is asking once')
  for (const client of clients) {
    const reason = 'Server is shutting down'
    t.match(await client.closed, {
      code: 1001,
      reason,
      wasClean: true,
      initiator: 'remote',
      received: { code: 1001, reason },
    })
  }

  const late = await fetch(demo.url)
  t.equal(late.status, 503)
  t.equal(await late.text(), 'Server is shutting down\n')
  await t.rejects(connect(webSocket), { name: 'HandshakeError', status: 503 })

  demo.terminate()
  await stopped
  silent.destroy()
  for (const id of [1, 2, 3])
    t.ok(log.includes(`Connection ${id}: starting the close handshake`), `closes connection ${id}`)
  t.match(log.at(-1), 'Stopped: 2 closed cleanly')
  const refused = await connect(webSocket).catch((error: unknown) => error)
  t.ok(refused instanceof HandshakeError && refused.status === undefined, 'nobody listens any more')
})

t.test('one deadline for all who do not answer', async (t) => {
  const { demo, log, logged, port } = await scene(t, { patience: 50 })
  const silent = await Promise.all([openSilently(port), openSilently(port), openSilently(port)])
  await logged('Connection 3: opened')
  await demo.close()
  t.match(log.at(-1), /^Stopped: 0 closed cleanly, .*3 terminated$/)
  for (const socket of silent) socket.destroy()
})

t.test('speaks wss when it has a certificate', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'farewell-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const selfSigned =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost'
  const files = ['-addext', 'subjectAltName=DNS:localhost', '-keyout', keyFile, '-out', certFile]
  execFileSync('openssl', [...selfSigned.split(' '), ...files], { stdio: 'ignore' })
  const cert = await readFile(certFile, 'utf8')
  const { webSocket } = await scene(t, { cert, key: await readFile(keyFile, 'utf8'), host: 'localhost' })
  t.match(webSocket, /^wss:/)
  await t.rejects(connect(webSocket), { name: 'HandshakeError' }, 'an unknown certificate is refused')
  const client: Connection = await connect(webSocket, { tls: { ca: cert } })
  client.send('Hello')
  t.equal(await client.receive(), 'Hello')
  t.match(await client.close(1000), { code: 1000, wasClean: true })
})
