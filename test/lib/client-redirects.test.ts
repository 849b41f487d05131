/** `followRedirects`: C6. */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import {
  connect,
  type ConnectOptions,
  type HandshakeError,
  refuse,
  WebSocketServer,
} from '../../lib/index.ts'
import { deferred } from '../help/deferred.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { until } from '../help/loop.ts'
import { rawServer, type RawServer } from '../help/raw-http.ts'
import { portOf, serve } from '../help/serve.ts'
import { localhost } from '../help/tls.ts'

/** How an attempt fails. */
function failureOf(attempt: Promise<unknown>): Promise<HandshakeError> {
  return attempt.then(
    () => Promise.reject(new Error('it opened')),
    (error: HandshakeError) => error,
  )
}

/** A server that sends everybody on. */
function redirector(t: Test, location: string | undefined, status = 302): Promise<RawServer> {
  return rawServer(t, (peer) => {
    const line = location === undefined ? '' : `Location: ${location}\r\n`
    peer.write(`HTTP/1.1 ${status} Elsewhere\r\n${line}Content-Length: 0\r\n\r\n`)
  })
}

await t.test('6455-4.1-redirect-optional: not followed by default', async (t) => {
  const target = await rawServer(t, () => void t.fail('not asked for'))
  const server = await redirector(t, target.url)
  for (const options of [{}, { followRedirects: 0 }]) {
    const error = await failureOf(connect(server.url, options))
    t.match(error, { name: 'HandshakeError', status: 302, headers: { location: target.url } })
  }
  t.equal(target.peers.length, 0)
})

await t.test('followed where allowed', async (t) => {
  const { url, port } = await serve(t, { path: '/chat' })
  for (const status of [301, 302, 303, 307, 308]) {
    for (const location of [`${url}chat`, `http://127.0.0.1:${port}/chat`, `//127.0.0.1:${port}/chat`]) {
      const server = await redirector(t, location, status)
      const connection = await connect(server.url, { followRedirects: 1 })
      t.equal(connection.url, `${url}chat`, `${status} to ${location}`)
      await connection.close()
    }
  }
})

await t.test('a relative Location, and a key of its own for each request', async (t) => {
  const server = await rawServer(t, (peer, request) => {
    const next = request.start.includes('/a/b') ? 'Location: ../c?d\r\n' : ''
    peer.write(`HTTP/1.1 ${next === '' ? '404 Not' : '302'} Found\r\n${next}Content-Length: 0\r\n\r\n`)
  })
  const options = { followRedirects: 5, protocols: 'x', origin: 'http://me' }
  t.match(await failureOf(connect(`${server.url}a/b`, options)), { status: 404 })
  t.strictSame(
    server.requests.map(({ start }) => start),
    ['GET /a/b HTTP/1.1', 'GET /c?d HTTP/1.1'],
  )
  const keys = server.requests.flatMap((request) => request.all('sec-websocket-key'))
  t.equal(new Set(keys).size, 2)
  for (const request of server.requests) {
    t.strictSame(request.all('sec-websocket-protocol'), ['x'])
    t.strictSame(request.all('origin'), ['http://me'])
  }
})

await t.test('what may not be followed is the answer', async (t) => {
  const target = await rawServer(t, () => void t.fail('not asked for'))
  const rows: readonly (readonly [location: string | undefined, status: number])[] = [
    [undefined, 302],
    ['', 302],
    ['ftp://127.0.0.1/', 302],
    ['ws://', 302],
    ['ws://127.0.0.1:99999/', 302],
    ['/#fragment', 302],
    ['ws+unix:/tmp/app.sock:/', 302],
    [target.url, 300],
    [target.url, 304],
    [target.url, 305],
    [target.url, 200],
    [target.url, 401],
  ]
  for (const [location, status] of rows) {
    const server = await redirector(t, location, status)
    const error = await failureOf(connect(server.url, { followRedirects: 20 }))
    t.match(error, { name: 'HandshakeError', status }, `${status} to ${location}`)
    // An empty Location leads back to where it came from.
    t.equal(server.peers.length, location === '' ? 21 : 1)
  }
  t.equal(target.peers.length, 0)
})

await t.test('a loop ends at the limit, with the last answer', async (t) => {
  const server = await redirector(t, '/again')
  const error = await failureOf(connect(server.url, { followRedirects: 7 }))
  t.match(error, { status: 302, headers: { location: '/again' } })
  t.equal(server.peers.length, 8)
  await Promise.all(server.peers.map((peer) => peer.rest()))
})

const secrets: ConnectOptions['headers'] = {
  Authorization: 'Bearer x',
  cookie: 'a=b',
  'Proxy-Authorization': 'Basic x',
  Host: 'virtual.example',
  'X-Other': 'kept',
}

await t.test('credentials stay with their origin', async (t) => {
  const target = await redirector(t, undefined, 404)
  const other = await redirector(t, target.url)
  const server = await redirector(t, `${other.url}a`)
  await failureOf(connect(server.url, { followRedirects: 5, headers: secrets }))
  t.match(server.requests[0]?.all('authorization'), ['Bearer x'])
  for (const { requests, port } of [other, target]) {
    t.equal(requests.length, 1)
    for (const name of ['authorization', 'cookie', 'proxy-authorization']) {
      t.strictSame(requests[0]?.all(name), [], name)
    }
    t.strictSame(requests[0]?.all('host'), [`127.0.0.1:${port}`])
    t.strictSame(requests[0]?.all('x-other'), ['kept'])
  }
})

await t.test('a client certificate stays with its origin, and so does servername', async (t) => {
  const seen: unknown[] = []
  const identities = { ...localhost, requestCert: true, rejectUnauthorized: false }
  const listen = async (answer: (socket: Duplex) => void): Promise<number> => {
    const https = createHttpsServer(identities)
    https.on('upgrade', ({ socket }, wire) => {
      if (socket instanceof TLSSocket)
        seen.push([socket.servername, Object.keys(socket.getPeerCertificate()).length > 0])
      answer(wire)
    })
    https.listen(0)
    await once(https, 'listening')
    t.teardown(() => void https.close())
    return portOf(https)
  }
  const there = await listen((wire) => wire.end('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n'))
  const here = await listen((wire) =>
    wire.end(`HTTP/1.1 302 There\r\nLocation: https://localhost:${there}/\r\nContent-Length: 0\r\n\r\n`),
  )
  const tls = {
    ...localhost,
    ca: localhost.cert,
    servername: 'first.example',
    checkServerIdentity: () => undefined,
  }
  const error = await failureOf(connect(`wss://localhost:${here}/`, { followRedirects: 1, tls }))
  t.equal(error.status, 403)
  t.strictSame(seen, [
    ['first.example', true],
    ['localhost', false],
  ])
})

await t.test('credentials stay while the origin does, those of the URL too', async (t) => {
  const server = await rawServer(t, (peer, request) => {
    const next = request.start.includes('/a ') ? '302 Found\r\nLocation: /b' : '404 Not Found'
    peer.write(`HTTP/1.1 ${next}\r\nContent-Length: 0\r\n\r\n`)
  })
  await failureOf(connect(`${server.url}a`, { followRedirects: 5, headers: secrets }))
  t.strictSame(
    server.requests.map((request) => [
      ...request.all('authorization'),
      ...request.all('cookie'),
      ...request.all('host'),
    ]),
    Array.from({ length: 2 }, () => ['Bearer x', 'a=b', 'virtual.example']),
  )
  await failureOf(connect(`${server.url.replace('://', '://me:pw@')}a`, { followRedirects: 5 }))
  const basic = [`Basic ${Buffer.from('me:pw').toString('base64')}`]
  t.strictSame(
    server.requests.slice(2).map((request) => request.all('authorization')),
    [basic, basic],
  )
})

await t.test('from wss never to ws; from ws to wss', async (t) => {
  const plain = await serve(t)
  const http = createHttpsServer(localhost)
  const secure = new WebSocketServer({
    server: http,
    verify: (request) =>
      request.url === '/down' ? refuse(302, { headers: { Location: plain.url } }) : undefined,
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(async () => {
    await secure.close()
    http.close()
    http.closeAllConnections()
  })
  plain.server.on('connection', () => void t.fail('not asked for'))
  const url = `wss://localhost:${portOf(http)}/`
  const options = { tls: { ca: localhost.cert }, followRedirects: 5 }
  t.match(await failureOf(connect(`${url}down`, options)), { status: 302, headers: { location: plain.url } })

  const up = await redirector(t, url)
  const connection = await connect(up.url, options)
  t.equal(connection.url, url)
  await connection.close()
})

await t.test('one timeout, and one signal, for all requests together', async (t) => {
  const timers = new FakeTimers()
  const silent = await rawServer(t, () => {})
  const asked = deferred<undefined>()
  const server = await rawServer(t, async (peer) => {
    asked.resolve(undefined)
    await until(() => timers.now() >= 600)
    peer.write(`HTTP/1.1 302 Found\r\nLocation: ${silent.url}\r\nContent-Length: 0\r\n\r\n`)
  })
  const late = failureOf(connect(server.url, { followRedirects: 1, timers, handshakeTimeout: 1_000 }))
  await asked.promise
  timers.advance(600)
  await until(() => silent.requests.length === 1)
  t.equal(timers.armed, 1)
  timers.advance(400)
  t.match(await late, { message: /longer than 1000 ms/ })
  await silent.peers[0]?.rest()

  const controller = new AbortController()
  const aborted = failureOf(connect(server.url, { followRedirects: 1, signal: controller.signal }))
  await until(() => silent.requests.length === 2)
  controller.abort()
  t.match(await aborted, { name: 'AbortError' })
  await silent.peers[1]?.rest()
})

await t.test('aborted between two requests', async (t) => {
  const target = await rawServer(t, () => void t.fail('not asked for'))
  const server = await redirector(t, target.url)
  const controller = new AbortController()
  let keys = 0
  const random = (bytes: Uint8Array): void => {
    bytes.fill(++keys)
    if (keys === 2) controller.abort()
  }
  const options = { followRedirects: 1, signal: controller.signal, random }
  t.match(await failureOf(connect(server.url, options)), { name: 'AbortError' })
  t.equal(target.peers.length, 0)
})
