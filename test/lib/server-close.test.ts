/** How a server takes leave of its clients: D9. */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import { connect as connectTls } from 'node:tls'
import { createServer as createHttpsServer } from 'node:https'
import { fileURLToPath } from 'node:url'
import { type CloseOptions, connect, WebSocketServer } from '../../lib/index.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns, until } from '../help/loop.ts'
import { exchange, rawClient, RawPeer, upgradeRequest } from '../help/raw-http.ts'
import { portOf, serve } from '../help/serve.ts'
import { localhost } from '../help/tls.ts'

const nobody = { clean: 0, unclean: 0, terminated: 0 }

/** The Close frame of a server: 1001, no reason. */
const goingAway = Buffer.from('880203e9', 'hex')

/** A client that answers nothing by itself. */
async function silentClient(t: Test, port: number): Promise<RawPeer> {
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest())
  t.match(await peer.head(), { status: 101 })
  return peer
}

await t.test(
  'close: who answers is clean, who hangs up is unclean, who is silent is terminated',
  async (t) => {
    const timers = new FakeTimers()
    const { server, port, url } = await serve(t, { timers })
    const clean = await connect(url)
    const [first] = server.connections
    const rude = await silentClient(t, port)
    const [, second] = server.connections
    const silent = await silentClient(t, port)
    const closing = server.close({ timeout: 1_000 })
    t.equal(server.close(), closing, 'closing twice is closing once')
    t.match(
      await clean.closed,
      { code: 1001, reason: '', wasClean: true },
      '6455-7.4.1-1001-going-away, 6455-7.3-server-may-close',
    )
    t.strictSame(await rude.bytes(4), goingAway)
    rude.socket.end()
    t.match(await first?.closed, { wasClean: true })
    t.match(await second?.closed, { wasClean: false })
    timers.advance(999)
    t.equal(server.connections.size, 1)
    timers.advance(1)
    t.strictSame(await closing, { clean: 1, unclean: 1, terminated: 1 })
    await silent.rest()
    t.equal(server.connections.size, 0)
    t.equal(timers.armed, 0)
  },
)

await t.test('a later close can bring the deadline forward, and nothing else', async (t) => {
  const timers = new FakeTimers()
  const { server, port } = await serve(t, { timers })
  const silent = await silentClient(t, port)
  const closing = server.close({ timeout: 10_000 })
  t.equal(server.close({ code: 1012, timeout: 20_000 }), closing)
  t.equal(server.close(), closing)
  t.strictSame(await silent.bytes(4), goingAway)
  timers.advance(5_000)
  t.equal(server.connections.size, 1, 'without a timeout it brings none')
  t.equal(server.close({ timeout: 1 }), closing, 'a second SIGTERM means now')
  timers.advance(1)
  t.strictSame(await closing, { clean: 0, unclean: 0, terminated: 1 })
  t.equal(server.close({ timeout: 1 }), closing)
  t.equal(timers.armed, 0)
})

await t.test('P12: hundreds of silent clients cost one deadline', async (t) => {
  const timers = new FakeTimers()
  const { server, port, url } = await serve(t, { timers })
  const peers = await Promise.all(Array.from({ length: 300 }, () => silentClient(t, port)))
  const client = await connect(url)
  const closing = server.close()
  for (const peer of peers) t.strictSame(await peer.bytes(4), goingAway)
  await client.closed
  await until(() => server.connections.size === peers.length)
  timers.advance(5_000)
  t.strictSame(await closing, { clean: 1, unclean: 0, terminated: 300 })
  t.equal(timers.armed, 0)
})

await t.test('a client that answers at the last moment is clean', async (t) => {
  const timers = new FakeTimers()
  const { server, port } = await serve(t, { timers })
  const peer = await silentClient(t, port)
  const closing = server.close({ code: 1012, reason: 'restart', timeout: 100 })
  t.equal((await peer.bytes(11)).toString('latin1'), '\x88\x09\x03\xf4restart')
  timers.advance(99)
  peer.write(Buffer.from('88820000000003f4', 'hex'))
  await peer.rest()
  peer.socket.end()
  t.strictSame(await closing, { clean: 1, unclean: 0, terminated: 0 })
})

await t.test('wrong arguments throw at once and change nothing', async (t) => {
  const { server, url } = await serve(t)
  const rows: readonly (readonly [options: unknown, name: string, message: RegExp])[] = [
    [{ code: 1005 }, 'RangeError', /1005/],
    [{ code: 999 }, 'RangeError', /999/],
    [{ code: '1001' }, 'TypeError', /code/],
    [{ reason: 'x'.repeat(124) }, 'RangeError', /124 bytes/],
    [{ reason: 5 }, 'TypeError', /reason/],
    [{ timeout: -1 }, 'RangeError', /"timeout"/],
    [{ timeout: NaN }, 'RangeError', /"timeout"/],
    [{ timeout: 2 ** 31 }, 'RangeError', /"timeout"/],
    [{ timeout: '5' }, 'TypeError', /"timeout"/],
    [{ timeout: null }, 'TypeError', /"timeout"/],
  ]
  for (const [options, name, message] of rows) {
    t.throws(() => void server.close(options as CloseOptions), { name, message })
  }
  const connection = await connect(url)
  t.match(await connection.close(), { wasClean: true }, 'it still serves')
})

await t.test('the port is free, and the close event comes once', async (t) => {
  const { server, port } = await serve(t)
  let closed = 0
  server.on('close', () => closed++)
  t.strictSame(await server.close(), nobody)
  t.equal(closed, 1)
  await server.close()
  t.equal(closed, 1)
  const next = new WebSocketServer({ port, host: '127.0.0.1' })
  await once(next, 'listening')
  t.equal(portOf(next), port)
  await next.close()
})

await t.test('a server that does not listen yet', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  const listening = once(server, 'listening')
  t.strictSame(await server.close(), nobody)
  await listening
  t.equal(server.address(), null)
})

await t.test('await using', async (t) => {
  const { server, url } = await serve(t)
  const connection = await connect(url)
  await server[Symbol.asyncDispose]()
  t.match(await connection.closed, { code: 1001 })
})

await t.test('B2: TCP connections that say nothing, or half a request, do not hold it up', async (t) => {
  const timers = new FakeTimers()
  const { server, port } = await serve(t, { timers })
  const silent = await rawClient(t, port)
  const half = await rawClient(t, port)
  half.write(upgradeRequest().slice(0, -2))
  const plain = await rawClient(t, port)
  plain.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  await plain.answer()
  t.strictSame(await server.close(), nobody)
  await Promise.all([silent.rest(), half.rest(), plain.rest()])
})

await t.test('B4: requests that verify has not decided about get a 503 and do not hold it up', async (t) => {
  const timers = new FakeTimers()
  let asked = 0
  const { server, port } = await serve(t, {
    timers,
    verify() {
      asked++
      return new Promise(() => {})
    },
  })
  server.on('connection', () => t.fail('it is closing'))
  const peers = await Promise.all(Array.from({ length: 20 }, () => rawClient(t, port)))
  for (const peer of peers) peer.write(upgradeRequest())
  await until(() => asked === 20)
  // The clients keep their half open.
  t.strictSame(await server.close(), nobody)
  for (const peer of peers) {
    t.match(await peer.answer(), { status: 503, body: 'the server is shutting down\n' })
    await peer.rest()
  }
  t.equal(timers.armed, 0)
})

await t.test('B3, P12: under load, with hostile clients of every kind', async (t) => {
  const timers = new FakeTimers()
  const undecided = (): Promise<undefined> => new Promise(() => {})
  let asked = 0
  const { server, port, url } = await serve(t, {
    timers,
    verify: ({ url }) => (url === '/undecided' && ++asked > 0 ? undecided() : undefined),
  })
  server.on('connection', (connection) => {
    connection.on('message', (message) => connection.send(message))
  })

  const busy = await Promise.all(Array.from({ length: 50 }, () => connect(url, { timers })))
  let echoes = 0
  for (const client of busy) {
    client.on('message', (message) => {
      echoes++
      client.send(message)
    })
    client.send(Buffer.alloc(100))
  }
  // Their answers are not read; in the middle of a message; in the middle of a frame; without end.
  const size = 256 * 1024
  const long = Buffer.concat([Buffer.from('82ff00000000000400000a0b0c0d', 'hex'), Buffer.alloc(size)])
  const deaf = await silentClient(t, port)
  deaf.socket.pause()
  for (let n = 0; n < 64; n++) deaf.write(long)
  const unfinished = await silentClient(t, port)
  unfinished.write(Buffer.from('018100000000', 'hex'))
  unfinished.write('x')
  const half = await silentClient(t, port)
  half.write(long.subarray(0, 1000))
  const flooding = await silentClient(t, port)
  flooding.socket.removeAllListeners('data').resume() // The Pongs are kept by nobody.
  const flood = Buffer.concat(Array.from({ length: 1000 }, () => Buffer.from('89800a0b0c0d', 'hex')))
  const pump = (): void => {
    if (flooding.socket.writable) flooding.socket.write(flood, () => void setImmediate(pump))
  }
  pump()
  const faulty = await silentClient(t, port)
  const peers = await Promise.all(Array.from({ length: 5 }, () => rawClient(t, port)))
  peers[0]?.write(upgradeRequest({ target: '/undecided' }))
  peers[1]?.write(upgradeRequest().slice(0, -2))
  peers[2]?.write(upgradeRequest({ lines: ['Origin: http://evil'] }))
  await until(() => asked === 1 && echoes > 1000)
  t.equal(server.connections.size, busy.length + 5)

  const closing = server.close({ timeout: 1_000 })
  faulty.write(Buffer.from('f18000000000', 'hex'))
  for (const client of busy) t.match(await client.closed, { code: 1001, wasClean: true })
  await until(() => server.connections.size === 5)
  timers.advance(1_000)
  t.strictSame(await closing, { clean: busy.length, unclean: 0, terminated: 5 })
  await until(() => timers.armed === 0)
  const next = createServer().listen(port, '127.0.0.1')
  await once(next, 'listening')
  next.close()
})

await t.test('a server that closes while it decides', async (t) => {
  let closing: Promise<unknown> | undefined
  const { server, port } = await serve(t, {
    protocols() {
      closing = server.close()
      return 'a'
    },
  })
  server.on('connection', () => t.fail('it is closing'))
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest({ lines: ['Sec-WebSocket-Protocol: a'] }))
  t.match(await peer.answer(), { status: 503 })
  t.strictSame(await closing, nobody)
})

await t.test('a client that does not take leave after its refusal does not hold it up', async (t) => {
  const { server, port } = await serve(t, { timers: new FakeTimers() })
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest({ lines: ['Origin: http://evil'] }))
  t.match(await peer.answer(), { status: 403 })
  t.strictSame(await server.close(), nobody)
})

await t.test('while it closes, a request that was on its way gets a 503', async (t) => {
  const timers = new FakeTimers()
  const { server, port } = await serve(t, { timers })
  const silent = await silentClient(t, port)
  const late = await rawClient(t, port)
  const plain = await rawClient(t, port)
  late.write(upgradeRequest().slice(0, 20))
  plain.write('GET / HT')
  // What comes later has been read later.
  await exchange(t, port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  const closing = server.close()
  late.write(upgradeRequest().slice(20))
  plain.write('TP/1.1\r\nHost: h\r\n\r\n')
  for (const peer of [late, plain]) {
    const answer = await peer.answer()
    t.match(answer, { status: 503, body: 'the server is shutting down\n' })
    t.match(answer.all('connection').join(), /close/)
  }
  await silent.bytes(4)
  timers.advance(5_000)
  t.strictSame(await closing, { clean: 0, unclean: 0, terminated: 1 })
})

await t.test("the caller's HTTP server goes on; until the end an upgrade gets a 503", async (t) => {
  const timers = new FakeTimers()
  const http = createServer((_request, response) => void response.end('page'))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(() => {
    http.close()
    http.closeAllConnections()
  })
  const server = new WebSocketServer({ server: http, timers })
  const port = portOf(http)
  const silent = await silentClient(t, port)
  const closing = server.close()
  await silent.bytes(4)
  t.match(await exchange(t, port, upgradeRequest()), { status: 503 })
  timers.advance(5_000)
  t.strictSame(await closing, { clean: 0, unclean: 0, terminated: 1 })
  t.equal(http.listenerCount('upgrade'), 0)
  const page = httpRequest({ port, host: '127.0.0.1', agent: false }).end()
  const [response] = await once(page, 'response')
  t.equal(response.statusCode, 200)
  response.resume()
  await once(response, 'end')
})

await t.test('without a server of HTTP', async (t) => {
  const server = new WebSocketServer({ noServer: true })
  t.strictSame(await server.close(), nobody)
  const http = createServer()
  http.on('upgrade', (request, socket, head) => void server.handleUpgrade(request, socket, head))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.match(await exchange(t, portOf(http), upgradeRequest()), { status: 503 })
  http.close()
  http.closeAllConnections()
})

await t.test('over TLS', async (t) => {
  const http = createHttpsServer(localhost)
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const server = new WebSocketServer({ server: http })
  const port = portOf(http)
  const connection = await connect(`wss://localhost:${port}/`, { tls: { ca: localhost.cert } })
  const socket = connectTls({ port, host: '127.0.0.1', ca: localhost.cert, servername: 'localhost' })
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  const peer = new RawPeer(socket)
  peer.write(upgradeRequest())
  await peer.head()
  const closing = server.close()
  t.match(await connection.closed, { code: 1001, wasClean: true })
  await peer.bytes(4)
  peer.write(Buffer.from('88820000000003e9', 'hex'))
  t.strictSame(await closing, { clean: 2, unclean: 0, terminated: 0 })
  const freed = once(http, 'close')
  http.close()
  await freed
})

await t.test('D9: afterwards the process exits by itself', async (t) => {
  const library = fileURLToPath(new URL('../../lib/index.js', import.meta.url))
  const program = `
    import { WebSocketServer } from ${JSON.stringify(`file://${library}`)}
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    server.on('listening', () => console.log(server.address().port))
    server.on('connection', (connection) => connection.send('hello'))
    process.stdin.once('data', async () => {
      console.log(JSON.stringify(await server.close({ timeout: 200 })))
      process.stdin.destroy()
    })
  `
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill())
  const exited = once(child, 'exit')
  const [line] = await once(child.stdout, 'data')
  const port = Number(String(line))
  const connection = await connect(`ws://127.0.0.1:${port}/`)
  t.equal(await connection.receive(), 'hello')
  await silentClient(t, port)
  await rawClient(t, port) // says nothing at all
  const result = once(child.stdout, 'data')
  child.stdin.write('close\n')
  t.match(JSON.parse(String((await result)[0])), { clean: 1, unclean: 0, terminated: 1 })
  t.strictSame(await exited, [0, null])
  t.match(await connection.closed, { code: 1001, wasClean: true })
})

await t.test('nothing of a closed server is left', async (t) => {
  const timers = new FakeTimers()
  const { server, url } = await serve(t, { timers })
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(url, { timers })))
  t.strictSame(await server.close(), { clean: 20, unclean: 0, terminated: 0 })
  await Promise.all(clients.map((client) => client.closed))
  await turns()
  t.equal(timers.armed, 0)
})
