/** The `refused` event: each way in which a client is turned away, told of once, with its reason. */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { createServer } from 'node:http'
import { connect as connectTcp, type Socket } from 'node:net'
import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { connect, type RefusedClient, refuse, type ServerOptions, WebSocketServer } from '../../lib/index.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { deferred } from '../help/deferred.ts'
import { turns, until } from '../help/loop.ts'
import { matchEach } from '../help/match-each.ts'
import { exchange, rawClient, upgradeRequest } from '../help/raw-http.ts'
import { portOf, serve } from '../help/serve.ts'

const failureOf = (opening: Promise<unknown>): Promise<unknown> =>
  opening.then(
    () => t.fail('it opened'),
    (error: unknown) => error,
  )

/** A server, and all that it tells of those it turned away. */
async function begin(t: Test, options: ServerOptions) {
  const served = await serve(t, options)
  const refused: RefusedClient[] = []
  served.server.on('refused', (client) => refused.push(client))
  return { ...served, refused }
}

const cases: readonly (readonly [
  reason: RefusedClient['reason'],
  status: number,
  options: ServerOptions,
  request: string,
])[] = [
  ['bad-request', 400, {}, upgradeRequest({ without: ['sec-websocket-key'] })],
  ['bad-request', 405, {}, upgradeRequest({ method: 'POST' })],
  ['bad-request', 417, {}, upgradeRequest({ lines: ['Expect: 100-continue'] })],
  ['bad-request', 426, {}, upgradeRequest({ lines: ['Upgrade: h2c'], without: ['upgrade'] })],
  ['bad-request', 426, {}, upgradeRequest({ without: ['upgrade', 'connection'] })],
  ['bad-request', 405, {}, upgradeRequest({ method: 'POST', without: ['upgrade', 'connection'] })],
  ['path', 404, { path: '/elsewhere' }, upgradeRequest()],
  ['path', 404, { path: '/elsewhere' }, upgradeRequest({ without: ['upgrade', 'connection'] })],
  ['origin', 403, { origins: [] }, upgradeRequest({ lines: ['Origin: https://example.com'] })],
  ['verify', 401, { verify: () => refuse(401) }, upgradeRequest()],
]

for (const [reason, status, options, request] of cases) {
  await t.test(`${reason}: ${status}`, async (t) => {
    const { port, refused } = await begin(t, options)
    t.match(await exchange(t, port, request), { status })
    matchEach(t, refused, [{ reason, status, address: '127.0.0.1', request: { url: '/' } }])
  })
}

await t.test('handler-error: 500', async (t) => {
  const { port, refused, errors } = await begin(t, {
    verify() {
      throw new Error('broken')
    },
  })
  t.match(await exchange(t, port, upgradeRequest()), { status: 500 })
  matchEach(t, refused, [{ reason: 'handler-error', status: 500 }])
  t.equal(errors.splice(0).length, 1)
})

await t.test('max-connections: 503, max-connections-per-address: 429', async (t) => {
  const { url, refused } = await begin(t, { maxConnections: 2, maxConnectionsPerAddress: 1 })
  const first = await connect(url)
  t.match(await failureOf(connect(url)), { status: 429 })
  matchEach(t, refused, [{ reason: 'max-connections-per-address', status: 429, address: '127.0.0.1' }])
  await first.close()

  const crowded = await begin(t, { maxConnections: 1 })
  const only = await connect(crowded.url)
  t.match(await failureOf(connect(crowded.url)), { status: 503 })
  matchEach(t, crowded.refused, [{ reason: 'max-connections', status: 503 }])
  await only.close()
})

await t.test('what comes behind a 408 is no request any more', async (t) => {
  const { port, server, refused } = await begin(t, { handshakeTimeout: 40 })
  server.on('connection', () => t.fail('a connection'))
  const peer = await rawClient(t, port)
  const request = upgradeRequest()
  peer.write(request.slice(0, -2))
  t.match(await peer.answer(), { status: 408 })
  peer.write(request.slice(-2))
  peer.socket.end()
  t.equal((await peer.rest()).length, 0)
  await peer.closed
  t.equal(refused.length, 1)
})

await t.test('H1, handshake-timeout: 408 where no request has come, without one', async (t) => {
  const { port, refused } = await begin(t, { handshakeTimeout: 40 })
  for (const half of ['', 'GET / HTTP/1.1\r\nHost: h\r\n']) {
    const peer = await rawClient(t, port)
    if (half !== '') peer.write(half)
    t.match(await peer.answer(), { status: 408 })
    const client = refused.pop()
    t.strictSame(client, {
      reason: 'handshake-timeout',
      status: 408,
      address: '127.0.0.1',
      request: undefined,
    })
    t.equal(refused.length, 0)
  }
})

await t.test('H12, handshake-timeout: 503 where verify takes too long', async (t) => {
  const timers = new FakeTimers()
  const asked = deferred<undefined>()
  const verify = (): Promise<undefined> => {
    asked.resolve(undefined)
    return new Promise(() => {})
  }
  const { port, refused } = await begin(t, { timers, verify })
  const answer = exchange(t, port, upgradeRequest())
  await asked.promise
  timers.advance(10_000)
  t.match(await answer, { status: 503 })
  matchEach(t, refused, [{ reason: 'handshake-timeout', status: 503, request: { method: 'GET' } }])
})

await t.test('bad-request: what is no HTTP, once however much of it comes', async (t) => {
  const { port, refused } = await begin(t, {})
  const peer = await rawClient(t, port)
  peer.write('EHLO x\r\n\r\n')
  t.match(await peer.answer(), { status: 400 })
  peer.write('MAIL FROM:<x>\r\n\r\n')
  peer.socket.end()
  t.equal((await peer.rest()).length, 0)
  await peer.closed
  matchEach(t, refused, [{ reason: 'bad-request', status: 400, request: undefined }])

  const large = await rawClient(t, port)
  large.write(upgradeRequest({ lines: [`X-A: ${'a'.repeat(20_000)}`] }))
  t.match(await large.answer(), { status: 431 })
  t.match(refused[1], { reason: 'bad-request', status: 431 })

  const chunked = await rawClient(t, port)
  const extension = `1;${'a'.repeat(20_000)}\r\n`
  chunked.write(`POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${extension}`)
  t.match(await chunked.answer(), { status: 405 }, 'answered before its body is read')
  t.equal((await chunked.rest()).length, 0)
  t.match(refused[2], { reason: 'bad-request', status: 405 })
  t.equal(refused.length, 3, 'told of once')
})

await t.test('who was turned away is forgotten', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  let socket: WeakRef<Socket> | undefined
  const { port } = await serve(t, {
    verify(request) {
      socket = new WeakRef(request.socket)
      return refuse(403)
    },
  })
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest())
  t.match(await peer.answer(), { status: 403 })
  peer.socket.end()
  await peer.closed
  await until(() => {
    collect()
    return socket?.deref() === undefined
  })
})

await t.test('closing: 503', async (t) => {
  const http = createServer().listen(0, '127.0.0.1')
  await once(http, 'listening')
  const server = new WebSocketServer({ server: http })
  const refused: RefusedClient[] = []
  server.on('refused', (client) => refused.push(client))
  const peer = await rawClient(t, portOf(http))
  peer.write(upgradeRequest())
  await peer.head()
  const closed = server.close()
  t.match(await exchange(t, portOf(http), upgradeRequest()), { status: 503 })
  matchEach(t, refused, [{ reason: 'closing', status: 503 }])
  peer.socket.destroy()
  await closed
  http.close()
})

await t.test('a client that left is not told of, nor is anybody without a listener', async (t) => {
  const { port, refused } = await begin(t, {})
  const client = connectTcp(port, '127.0.0.1')
  await new Promise((resolve) => void client.write('GET / HT', resolve))
  await turns(20) // It is read before the reset comes.
  client.resetAndDestroy()
  await once(client, 'close')
  await turns(5)
  t.strictSame(refused, [])

  const { port: silent } = await serve(t, { path: '/elsewhere' })
  t.match(await exchange(t, silent, Buffer.from(upgradeRequest())), { status: 404 })
})

await t.test('D2: a listener that throws or rejects is told of, and the answer is given', async (t) => {
  const { server, port, errors } = await begin(t, { path: '/elsewhere' })
  const broken = new Error('broken')
  server.once('refused', () => {
    throw broken
  })
  t.match(await exchange(t, port, upgradeRequest()), { status: 404 })
  server.once('refused', () => Promise.reject(broken))
  t.match(await exchange(t, port, upgradeRequest()), { status: 404 })
  t.strictSame(errors.splice(0), [broken, broken])
})
