/** The server from the first byte to the `connection` event. What closing does is in server-close.test.ts. */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import {
  connect,
  type Connection,
  type HandshakeError,
  refuse,
  type ServerOptions,
  WebSocketServer,
} from '../../lib/index.ts'
import { deferred } from '../help/deferred.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns, until, watchProcess } from '../help/loop.ts'
import { matchEach } from '../help/match-each.ts'
import { memoryPair } from '../help/memory-pair.ts'
import {
  type Answer,
  clientText,
  exchange,
  rawClient,
  RawPeer,
  sampleAccept,
  serverText,
  upgradeRequest,
} from '../help/raw-http.ts'
import { portOf, serve } from '../help/serve.ts'
import { localhost } from '../help/tls.ts'

/** The next connection of the server. */
async function nextConnection<Context>(server: WebSocketServer<Context>): Promise<Connection> {
  const [connection] = await once(server, 'connection')
  return connection
}

/** How an attempt fails. */
function failureOf(attempt: Promise<unknown>): Promise<HandshakeError> {
  return attempt.then(
    () => Promise.reject(new Error('it opened')),
    (error: HandshakeError) => error,
  )
}

/** The next client is served. */
async function stillServes(t: Test, url: string): Promise<void> {
  const connection = await connect(url)
  await connection.close()
  t.pass('the next client is served')
}

await t.test(
  '6455-4.2.2-open-after-101, 6455-5.1-data-any-time: a good request is answered, and data flows at once',
  async (t) => {
    const { server, port } = await serve(t)
    server.on('connection', (connection, request, context) => {
      t.equal(connection.state, 'open')
      t.equal(connection.protocol, '')
      t.equal(connection.remoteAddress, '127.0.0.1')
      t.equal(connection.url, undefined)
      t.equal(request.url, '/chat?x')
      t.equal(context, undefined)
      t.ok(server.connections.has(connection))
      connection.send('welcome')
    })
    const peer = await rawClient(t, port)
    peer.write(upgradeRequest({ target: '/chat?x' }))
    const head = await peer.head()
    t.strictSame(head.fields, [
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Accept', sampleAccept],
    ])
    const welcome = serverText('welcome')
    t.strictSame(await peer.bytes(welcome.length), welcome, '6455-4.2.2-no-body-on-101')
    await connectionsGone(server, () => peer.socket.destroy())
  },
)

/** Waits until the server has no connection after that. */
async function connectionsGone<Context>(server: WebSocketServer<Context>, end: () => void): Promise<void> {
  const all = [...server.connections].map((connection) => connection.closed)
  end()
  await Promise.all(all)
}

/** What comes to the port and is no good handshake, and the status that it gets. */
const badRequests: readonly (readonly [id: string, request: string | Uint8Array, status: number])[] = [
  ['6455-4.2.1-host-required', upgradeRequest({ without: ['host'] }), 400],
  ['9112-3.2-host-400: two', upgradeRequest({ lines: ['Host: 127.0.0.1'] }), 400],
  ['6455-4.2.1-http-1.1', upgradeRequest({ version: 'HTTP/1.0' }), 400],
  ['6455-4.2.1-method-get', upgradeRequest({ method: 'POST' }), 405],
  ['H2: another method', upgradeRequest({ method: 'DELETE', without: ['upgrade', 'connection'] }), 405],
  ['CONNECT', 'CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n', 405],
  ['OPTIONS', 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n', 405],
  ['6455-1.6-plain-http-cannot-open', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n', 426],
  [
    '6455-1.6-plain-http-cannot-open: a form',
    'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na=b',
    405,
  ],
  ['plain HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', 400],
  ['9112-6-request-body', `${upgradeRequest({ lines: ['Content-Length: 5'] })}hello`, 400],
  [
    '9112-6-request-body: chunked',
    `${upgradeRequest({ lines: ['Transfer-Encoding: chunked'] })}5\r\nhello\r\n0\r\n\r\n`,
    400,
  ],
  [
    '9112-6-body-smuggling',
    `${upgradeRequest({ lines: ['Content-Length: 5', 'Transfer-Encoding: chunked'] })}hello`,
    400,
  ],
  ['6455-4.2.2-version-mismatch-426', versionRequest('99'), 426],
  ['H3: no key', upgradeRequest({ without: ['sec-websocket-key'] }), 400],
  ['6455-1.6-other-protocol-rejected: mail', 'EHLO x\r\n', 400],
  ['6455-1.6-other-protocol-rejected: TLS', Buffer.from('16030100050100000100', 'hex'), 400],
  ['garbage', Buffer.alloc(500, 0xa5), 400],
  // Two spaces are read as one by Node, as RFC 9112 section 3 allows.
  ['9112-3-request-line: a fourth word', upgradeRequest({ target: '/ x' }), 400],
  ['9112-3-request-line: no version', 'GET /\r\n\r\n', 400],
  ['9112-5.1-no-space-before-colon', upgradeRequest({ lines: ['X-A : b'] }), 400],
  ['9112-5.2-obs-fold', upgradeRequest({ lines: ['Sec-WebSocket-Extensions: a', ' b'] }), 400],
  ['9110-5.5-no-crlf-nul', upgradeRequest({ lines: ['X-A: a\0b'] }), 400],
  ['6455-8.1-handshake-utf8', highBytes('Sec-WebSocket-Protocol: a, \xff'), 400],
  ['6455-8.1-handshake-utf8', highBytes('Sec-WebSocket-Extensions: x; y="\xc3\xa9"'), 400],
  ['6585-5-header-too-large', upgradeRequest({ lines: [`X-A: ${'a'.repeat(100_000)}`] }), 431],
  ['H4: a long target', upgradeRequest({ target: `/${'a'.repeat(100_000)}` }), 431],
  ['H6: Expect', upgradeRequest({ lines: ['Expect: 100-continue'] }), 417],
]

/** With that line, a byte for each of its characters. */
function highBytes(line: string): Buffer {
  return Buffer.from(upgradeRequest({ lines: [line] }), 'latin1')
}

function versionRequest(version: string): string {
  return upgradeRequest({
    without: ['sec-websocket-version'],
    lines: [`Sec-WebSocket-Version: ${version}`],
  })
}

await t.test(
  'P13, 6455-10.7-http-status-on-bad-handshake: what is no good handshake gets an HTTP answer, and the next client is served',
  async (t) => {
    const { server, port, url } = await serve(t)
    for (const [id, request, status] of badRequests) {
      await t.test(`${id} is ${status}`, async (t) => {
        const onConnection = (): void => void t.fail('it opened')
        server.on('connection', onConnection)
        const peer = await rawClient(t, port)
        // 6455-1.6-handshake-before-data: what stands behind it is no frame.
        peer.write(Buffer.concat([Buffer.from(request), clientText('early')]))
        const answer = await peer.answer()
        t.equal(answer.status, status)
        t.match(answer.all('connection').join(), /close/i, '9112-9.6-close-on-refusal')
        t.strictSame(await peer.rest(), Buffer.alloc(0), 'nothing stands behind the answer but the end')
        server.off('connection', onConnection)
        peer.socket.end()
        const reset = await peer.closed
        // Node does not read to the end of a head that is too large, and its 431 may end in a reset.
        if (status !== 431) t.equal(reset, false, 'in order: 6455-4.2.1-bad-request')
        await stillServes(t, url)
      })
    }
  },
)

await t.test('a tab behind Connection is white space, which not each version of Node knows', async (t) => {
  const { port, url } = await serve(t)
  const answer = await exchange(t, port, upgradeRequest().replace('n: Upgrade', 'n: Upgrade\t'))
  t.ok(answer.status === 426 || answer.status === 101, `${answer.status}`)
  await stillServes(t, url)
})

await t.test('H5: more headers than Node keeps', async (t) => {
  const { port, url } = await serve(t)
  const junk = 'A: b\r\n'.repeat(2_100)
  const good = upgradeRequest()
  // Some versions of Node drop what comes after the first 2 000 headers, some refuse so many, some take them.
  for (const request of [good.replace('\r\n\r\n', `\r\n${junk}\r\n`), good.replace('\r\n', `\r\n${junk}`)]) {
    const { status } = await exchange(t, port, request)
    t.ok([101, 400, 431].includes(status), `${status}`)
    await stillServes(t, url)
  }
})

await t.test('H5: an HTTP server that keeps one header', async (t) => {
  const http = createServer()
  http.maxHeadersCount = 1
  const server = new WebSocketServer({ server: http })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(async () => {
    await server.close()
    http.close()
  })
  // Some versions of Node drop what an upgrade needs, some take it all the same.
  const junk = 'A: b\r\n'.repeat(100)
  for (const request of [upgradeRequest(), upgradeRequest().replace('\r\n', `\r\n${junk}`)]) {
    const { status } = await exchange(t, portOf(http), request)
    t.ok(status === 101 || (status >= 400 && status < 500), `${status}`)
  }
})

await t.test('what a refusal says', async (t) => {
  const { port } = await serve(t, { path: '/chat' })
  const plain = await exchange(t, port, 'GET /chat HTTP/1.1\r\nHost: h\r\n\r\n')
  const version = await exchange(t, port, versionRequest('8').replace(' / ', ' /chat '))
  for (const answer of [plain, version]) {
    t.equal(answer.start, 'HTTP/1.1 426 Upgrade Required')
    t.strictSame(answer.all('upgrade'), ['websocket'], '9110-15.5.22-426-upgrade')
    t.strictSame(answer.all('connection'), ['Upgrade, close'])
    t.strictSame(answer.all('sec-websocket-version'), ['13'], '6455-4.4-server-lists-versions')
    t.equal(answer.body, 'this is a WebSocket server; it speaks version 13\n')
  }
  const post = await exchange(t, port, upgradeRequest({ method: 'POST', target: '/chat' }))
  t.strictSame(post.all('allow'), ['GET'], '9110-15.5.6-405-allow')
  for (const request of ['GET / HTTP/1.1\r\nHost: h\r\n\r\n', upgradeRequest()]) {
    t.match(await exchange(t, port, request), { status: 404, body: 'Not Found\n' }, '6455-4.2.2-resource-404')
  }
  // HEAD: as long as it says, and nothing of it.
  for (const [request, status] of [
    ['HEAD /chat HTTP/1.1\r\nHost: h\r\n\r\n', 426],
    ['HEAD / HTTP/1.1\r\nHost: h\r\n\r\n', 404],
    [upgradeRequest({ method: 'HEAD' }), 405],
  ] as const) {
    const peer = await rawClient(t, port)
    peer.write(request)
    const head = await peer.head()
    t.equal(head.status, status, 'RFC 9110 9.3.2: a probe by HEAD is told what GET is told')
    if (status === 426) t.strictSame(head.all('content-length'), plain.all('content-length'))
    t.equal((await peer.rest()).length, 0)
  }
  t.notOk((await exchange(t, port, upgradeRequest())).all('date').length, 'no more than needed')
})

await t.test('6455-4.2.1-split-request: a request byte by byte', async (t) => {
  const { port } = await serve(t)
  const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true })
  t.teardown(() => socket.destroy())
  const peer = new RawPeer(socket)
  for (const byte of Buffer.from(upgradeRequest())) {
    await new Promise((resolve) => void socket.write(Buffer.of(byte), resolve))
  }
  t.match(await peer.head(), { status: 101 })
})

await t.test('9112-2.2-crlf-before-request: an empty line before the request', async (t) => {
  const { port } = await serve(t)
  t.match(await exchange(t, port, `\r\n${upgradeRequest()}`), { status: 101 })
})

await t.test('6455-4.2.1-early-frames: frames behind the request come as messages, in order', async (t) => {
  const { server, port } = await serve(t)
  const peer = await rawClient(t, port)
  const opened = nextConnection(server)
  const frames = ['one', 'two', 'three'].map(clientText) // 6455-2-delay-allowed: several in one segment
  peer.write(Buffer.concat([Buffer.from(upgradeRequest()), ...frames, clientText('four').subarray(0, 5)]))
  peer.write(clientText('four').subarray(5))
  const connection = await opened
  for (const expected of ['one', 'two', 'three', 'four']) t.equal(await connection.receive(), expected)
})

await t.test(
  'H14: frames while verify is pending are kept, 1 MiB of them, and not read too far',
  async (t) => {
    const admit = deferred<undefined>()
    const asked = deferred<IncomingMessage>()
    const { server, port } = await serve(t, {
      verify(request) {
        asked.resolve(request)
        return admit.promise
      },
    })
    const peer = await rawClient(t, port)
    const texts = Array.from({ length: 1024 }, (_, at) => String(at).padStart(1017, '.'))
    peer.write(Buffer.concat([Buffer.from(upgradeRequest()), ...texts.map(clientText)]))
    const { socket } = await asked.promise
    await turns(100)
    t.ok(socket.readableLength <= 128 * 1024, `${socket.readableLength} bytes are held`)
    const messages: unknown[] = []
    const complete = new Promise<void>((resolve) => {
      server.on('connection', (connection) => {
        connection.on('message', (message) => {
          messages.push(message)
          if (messages.length === texts.length) resolve()
        })
      })
    })
    admit.resolve(undefined)
    await complete
    t.strictSame(messages, texts)
  },
)

await t.test('subprotocols', async (t) => {
  const { server, url } = await serve(t, { protocols: ['b', 'a'] })
  const rows: readonly (readonly [offered: string[], agreed: string])[] = [
    [['a', 'b'], 'b'],
    [['x', 'a'], 'a'],
    [['x'], ''],
    [[], ''],
  ]
  for (const [protocols, agreed] of rows) {
    const opened = nextConnection(server)
    const connection = await connect(url, { protocols })
    t.equal(connection.protocol, agreed)
    t.equal((await opened).protocol, agreed)
    await connection.close()
  }
})

await t.test('H11: what a callback makes up is a 500, and nothing of it is on the wire', async (t) => {
  for (const injected of ['a\r\nX-Injected: 1', 'a\0', 'a\u0100', 'a\n\nX-Injected', 'not-offered']) {
    const callbacks: readonly ServerOptions[] = [
      { protocols: () => injected },
      { verify: () => refuse(401, { headers: { 'X-A': `${injected}\r\nX-Injected: 1` } }) },
      { verify: () => refuse(401, { headers: { [`${injected}: 1\r\nX-Injected`]: 'a' } }) },
    ]
    for (const options of callbacks) {
      const { errors, port } = await serve(t, options)
      const peer = await rawClient(t, port)
      peer.write(upgradeRequest({ lines: ['Sec-WebSocket-Protocol: a'] }))
      const said = (await peer.rest()).toString('latin1')
      t.match(said, /^HTTP\/1\.1 500 /)
      t.notMatch(said, /Injected|offered|\0|\u0100/)
      matchEach(t, errors.splice(0), [{ name: 'TypeError' }])
      peer.socket.destroy()
    }
  }
})

await t.test('6455-4.2.2-origin-reject-403: a foreign page is refused, our own is not', async (t) => {
  const { port, url } = await serve(t)
  const evil = await failureOf(connect(url, { origin: 'http://evil.example' }))
  t.match(evil, { name: 'HandshakeError', status: 403 })
  t.equal(evil.body.toString(), 'this origin may not connect\n')
  const own = await connect(url, { origin: `http://127.0.0.1:${port}` })
  await own.close()
})

await t.test('verify: what it returns reaches the connection event', async (t) => {
  interface User {
    readonly name: string
  }
  const { server, url } = await serve<User>(t, {
    async verify(request) {
      await turns()
      // 6455-10.5-auth-any
      const { authorization } = request.headers
      return authorization === undefined
        ? refuse(401, { headers: { 'WWW-Authenticate': 'Basic realm="x"' }, body: 'who are you?' })
        : { name: Buffer.from(authorization.slice('Basic '.length), 'base64').toString() }
    },
  })
  const refused = await failureOf(connect(url))
  t.match(refused, { status: 401, headers: { 'www-authenticate': 'Basic realm="x"', connection: 'close' } })
  t.equal(refused.body.toString(), 'who are you?', '6455-4.2.2-auth-401 and 6455-4.1-status-exposed')
  const names: string[] = []
  server.on('connection', (_connection, _request, user) => names.push(user.name))
  const connection = await connect(url.replace('://', '://me:secret@'))
  t.strictSame(names, ['me:secret'])
  await connection.close()
})

await t.test('6455-4.2.2-redirect-3xx: a redirect is written verbatim', async (t) => {
  const { port } = await serve(t, { verify: () => refuse(302, { headers: { Location: 'wss://x/é' } }) })
  const answer: Answer = await exchange(t, port, upgradeRequest())
  t.match(answer, { start: 'HTTP/1.1 302 Found', body: 'Found\n' })
  t.strictSame(answer.all('location'), ['wss://x/é'])
})

await t.test('R3, 6455-4.2.2-abort-after-hangup: a client that leaves while verify is pending', async (t) => {
  const asked: IncomingMessage[] = []
  const { server, port, url } = await serve(t, {
    maxConnections: 1,
    verify(request) {
      asked.push(request)
      return asked.length === 1 ? new Promise(() => {}) : undefined
    },
  })
  let opened = 0
  server.on('connection', () => opened++)
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest())
  await until(() => asked.length > 0)
  const gone = new Promise((resolve) => void asked[0]?.socket.once('close', resolve))
  peer.reset()
  await gone
  t.equal(opened, 0)
  await stillServes(t, url)
})

await t.test('6455-4.2.2-abort-after-hangup: a client that ends TCP while verify is pending', async (t) => {
  for (const words of ['last words', '']) {
    const asked = deferred<IncomingMessage>()
    const admit = deferred<undefined>()
    const { server, port } = await serve(t, {
      verify(request) {
        asked.resolve(request)
        return admit.promise
      },
    })
    const opened = nextConnection(server)
    const peer = await rawClient(t, port)
    peer.socket.end(
      Buffer.concat([Buffer.from(upgradeRequest()), words === '' ? Buffer.alloc(0) : clientText(words)]),
    )
    const { socket } = await asked.promise
    if (words === '') {
      await until(() => socket.destroyed)
      t.equal((await peer.rest()).length, 0)
      t.equal(server.connections.size, 0)
      continue
    }
    await turns(5)
    admit.resolve(undefined)
    const connection = await opened
    t.equal(await connection.receive(), words)
    t.match(await connection.closed, { code: 1006, trigger: /^peer-fin$/ })
  }
})

await t.test('6455-7.2.2-server-abort: verify may hang up', async (t) => {
  let hangUp = true
  const { port, url } = await serve(t, {
    verify(request) {
      if (hangUp) request.socket.destroy()
      return undefined
    },
  })
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest())
  t.strictSame(await peer.rest(), Buffer.alloc(0))
  hangUp = false
  await stillServes(t, url)
})

await t.test('H12: verify that hangs is a 503 after the handshake timeout', async (t) => {
  const timers = new FakeTimers()
  const asked = deferred<undefined>()
  const { port } = await serve(t, {
    timers,
    handshakeTimeout: 3_000,
    verify() {
      asked.resolve(undefined)
      return new Promise(() => {})
    },
  })
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest())
  await asked.promise
  timers.advance(3_000)
  t.match(await peer.answer(), { status: 503, body: 'the decision took too long\n' })
})

await t.test(
  "H1, H12: on somebody else's HTTP server the handshake timeout begins with the upgrade",
  async (t) => {
    const timers = new FakeTimers()
    const asked = deferred<undefined>()
    const http = createServer((_request, response) => void response.end('served'))
    const server = new WebSocketServer({
      server: http,
      timers,
      verify() {
        asked.resolve(undefined)
        return new Promise(() => {})
      },
    })
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    t.teardown(async () => {
      await server.close()
      http.closeAllConnections()
      http.close()
    })
    const half = await rawClient(t, portOf(http))
    half.write('GET / HTTP/1.1\r\n')
    const slow = await rawClient(t, portOf(http))
    slow.write(upgradeRequest())
    await asked.promise
    timers.advance(10_000)
    t.match(await slow.answer(), { status: 503 })
    // What is no upgrade yet is not ours.
    half.write('Host: h\r\nConnection: close\r\n\r\n')
    t.match(await half.answer(), { status: 200 })
  },
)

await t.test('a client that does not close after its refusal is cut after the linger time', async (t) => {
  const timers = new FakeTimers()
  let socket: Socket | undefined
  const verify: ServerOptions['verify'] = (request) => {
    ;({ socket } = request)
    return refuse(403)
  }
  const { port } = await serve(t, { timers, lingerTimeout: 700, verify })
  const peer = await rawClient(t, port)
  peer.write(upgradeRequest())
  t.match(await peer.answer(), { status: 403 })
  t.equal((await peer.rest()).length, 0, 'the server has ended its half')
  t.equal(timers.pending, 1)
  // What it still sends is read, so that no reset overtakes the answer.
  peer.write(Buffer.alloc(100_000))
  await until(() => (socket?.bytesRead ?? 0) > 100_000)
  timers.advance(699)
  t.equal(socket?.destroyed, false)
  timers.advance(1)
  t.equal(socket?.destroyed, true)
  t.equal(timers.pending, 0)
})

await t.test(
  'H1, 6455-10.4-handshake-limits: nothing, or half a request, ends after the timeout',
  async (t) => {
    const { port } = await serve(t, { handshakeTimeout: 40 })
    for (const half of ['', 'G', upgradeRequest().slice(0, -2)]) {
      const peer = await rawClient(t, port)
      if (half !== '') peer.write(half)
      const answer = await peer.rest()
      t.match(answer.toString(), /^HTTP\/1\.1 408 Request Timeout\r\n[^]*\r\nConnection: close\r\n\r\n/, half)
    }
  },
)

await t.test('maxConnections: one more is a 503, until one has gone', async (t) => {
  const { server, url } = await serve(t, { maxConnections: 2 })
  const first = await connect(url)
  const second = await connect(url)
  const refused = await failureOf(connect(url))
  t.match(refused, { status: 503 })
  t.equal(refused.body.toString(), 'too many connections\n')
  const [one] = server.connections
  await Promise.all([first.close(), one?.closed])
  const third = await connect(url)
  await Promise.all([second.close(), third.close()])
})

await t.test('maxConnections counts those that verify has not decided about', async (t) => {
  const asked = deferred<undefined>()
  const admit = deferred<undefined>()
  const { port, url } = await serve(t, {
    maxConnections: 1,
    verify() {
      asked.resolve(undefined)
      return admit.promise
    },
  })
  const first = connect(url)
  await asked.promise
  t.match(await exchange(t, port, upgradeRequest()), { status: 503 })
  admit.resolve(undefined)
  await (await first).close()
})

/** A server behind one of ours, whose clients come from where their X-From says. */
async function fromElsewhere(t: Test, options: Partial<ServerOptions>): Promise<string> {
  const http = createServer()
  const server = new WebSocketServer({ noServer: true, ...options })
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    Object.defineProperty(socket, 'remoteAddress', { value: request.headers['x-from'] })
    void server.handleUpgrade(request, socket, head)
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(async () => {
    await server.close()
    http.close()
  })
  return `ws://127.0.0.1:${portOf(http)}/`
}

await t.test('maxConnectionsPerAddress: one more from there is a 429', async (t) => {
  const url = await fromElsewhere(t, { maxConnectionsPerAddress: 2 })
  const from = (address: string): Promise<Connection> => connect(url, { headers: { 'X-From': address } })
  const first = await from('10.0.0.1')
  const second = await from('10.0.0.1')
  const refused = await failureOf(from('10.0.0.1'))
  t.match(refused, { status: 429 })
  t.equal(refused.body.toString(), 'too many connections from this address\n')
  const elsewhere = await from('10.0.0.2')
  await first.close()
  // The server hears of the end later than the client, at the latest by the end of its next handshake.
  await (await from('10.0.0.2')).close()
  const third = await from('10.0.0.1')
  await Promise.all([second.close(), third.close(), elsewhere.close()])
})

await t.test('two servers on one HTTP server, and a foreign upgrade listener', async (t) => {
  const http = createServer((_request, response) => void response.end('page'))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const a = new WebSocketServer({ server: http, path: '/a' })
  const b = new WebSocketServer({ server: http, path: (path) => path.startsWith('/b/') })
  t.teardown(async () => {
    await Promise.all([a.close(), b.close()])
    http.close()
    http.closeAllConnections()
  })
  a.on('connection', (connection) => void connection.send('from a'))
  b.on('connection', (connection) => void connection.send('from b'))
  const url = `ws://127.0.0.1:${portOf(http)}`
  t.strictSame(a.address(), http.address())

  const one = await connect(`${url}/a?x`)
  const two = await connect(`${url}/b/x`)
  t.equal(await one.receive(), 'from a')
  t.equal(await two.receive(), 'from b')
  t.match(await failureOf(connect(`${url}/c`)), { status: 404 })
  await Promise.all([one.close(), two.close()])

  http.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    if (request.url === '/c') socket.end('HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n')
  })
  t.match(await failureOf(connect(`${url}/c`)), { status: 418 })
  await stillServes(t, `${url}/a`)

  const page = httpRequest(`${url.replace('ws', 'http')}/a`).end()
  const [response] = await once(page, 'response')
  t.equal(response.statusCode, 200, '9110-7.8-may-ignore: a request that is no upgrade is not ours')
  response.resume()

  await a.close()
  await stillServes(t, `${url}/b/`)
})

await t.test('noServer: the caller brings the requests', async (t) => {
  const http = createServer()
  const server = new WebSocketServer({ noServer: true, protocols: ['a'] })
  const outcomes: Promise<Connection>[] = []
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    outcomes.push(server.handleUpgrade(request, socket, head))
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(async () => {
    await server.close()
    http.close()
  })
  t.equal(server.address(), null)
  const url = `ws://127.0.0.1:${portOf(http)}/`

  const emitted = nextConnection(server)
  const connection = await connect(url, { protocols: 'a' })
  const resolved = await outcomes[0]
  t.equal(resolved?.protocol, 'a')
  t.equal(await emitted, resolved)
  await connection.close()

  const watch = watchProcess()
  t.match(await failureOf(connect(url, { origin: 'http://evil' })), { status: 403 })
  t.strictSame(await watch.stop(), [], 'D2: nobody watched the promise')
  await t.rejects(Promise.resolve(outcomes[1]), { name: 'HandshakeError', status: 403 })
})

/** A request as an HTTP server of the caller's would hand it on. */
async function handedOver(t: Test): Promise<{ request: IncomingMessage; socket: Duplex; head: Buffer }> {
  const http = createServer()
  http.listen(0, '127.0.0.1')
  const upgrade = once(http, 'upgrade')
  await once(http, 'listening')
  const peer = await rawClient(t, portOf(http))
  peer.write(upgradeRequest())
  const [request, socket, head] = await upgrade
  t.teardown(() => {
    socket.destroy()
    http.close()
  })
  return { request, socket, head }
}

await t.test('a socket that died before handleUpgrade is not counted', async (t) => {
  const server = new WebSocketServer({ noServer: true, maxConnections: 1 })
  server.on('connection', () => t.fail('it is dead'))
  const { request, socket, head } = await handedOver(t)
  socket.destroy()
  await once(socket, 'close')
  for (let attempt = 0; attempt < 3; attempt++) {
    await t.rejects(server.handleUpgrade(request, socket, head), {
      name: 'HandshakeError',
      status: undefined,
      message: 'the client left during the handshake',
    })
  }
})

await t.test('handleUpgrade over a Duplex that is no socket', async (t) => {
  const server = new WebSocketServer({ noServer: true, maxConnectionsPerAddress: 1 })
  const { request } = await handedOver(t)
  const [near, far] = memoryPair()
  const peer = new RawPeer(far)
  const connection = await server.handleUpgrade(request, near, clientText('early'))
  t.equal(connection.remoteAddress, undefined)
  t.match(await peer.head(), { status: 101 })
  t.equal(await connection.receive(), 'early')
  const [other] = memoryPair()
  t.match(await failureOf(server.handleUpgrade(request, other, Buffer.alloc(0))), { status: 429 })
  connection.terminate()
  other.destroy()
  await connection.closed
  t.equal(server.connections.size, 0)
})

await t.test(
  '6455-10.6-tls-supported, 6455-4.2.2-tls-first: over TLS, and nothing else on that port',
  async (t) => {
    const http = createHttpsServer(localhost)
    const server = new WebSocketServer({ server: http })
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    const port = portOf(http)
    t.teardown(async () => {
      await server.close()
      http.close()
      http.closeAllConnections()
    })
    server.on('connection', (connection) => {
      connection.on('message', (message) => void connection.send(message))
    })
    const plain = await rawClient(t, port)
    plain.write(upgradeRequest())
    t.notMatch((await plain.rest()).toString('latin1'), /HTTP/)

    const connection = await connect(`wss://localhost:${port}/`, { tls: { ca: localhost.cert } })
    connection.send('secret')
    t.equal(await connection.receive(), 'secret')
    t.match(await connection.close(1000), { wasClean: true })

    // The same by hand: request and frame in one TLS record.
    const socket = connectTls({ port, host: '127.0.0.1', ca: localhost.cert, servername: 'localhost' })
    t.teardown(() => socket.destroy())
    await once(socket, 'secureConnect')
    const peer = new RawPeer(socket)
    peer.write(Buffer.concat([Buffer.from(upgradeRequest()), clientText('early')]))
    t.match(await peer.head(), { status: 101 })
    t.strictSame(await peer.bytes(7), serverText('early'))
  },
)

await t.test('over a Unix socket', { skip: process.platform === 'win32' }, async (t) => {
  const path = join(tmpdir(), `farewell-${process.pid}.sock`)
  const http = createServer()
  const server = new WebSocketServer({ server: http, path: '/chat' })
  http.listen(path)
  await once(http, 'listening')
  t.teardown(async () => {
    await server.close()
    http.close()
  })
  t.equal(server.address(), path)
  const opened = nextConnection(server)
  const connection = await connect(`ws+unix:${path}:/chat?x`)
  t.equal((await opened).remoteAddress, undefined)
  t.equal(connection.url, `ws+unix:${path}:/chat?x`)
  t.match(await failureOf(connect(`ws+unix:${path}:/other`)), { status: 404 })
  await connection.close()
})

await t.test('broadcast: to all that are open but one', async (t) => {
  const { server, url } = await serve(t)
  const opened: Connection[] = []
  server.on('connection', (connection) => opened.push(connection))
  const clients = [await connect(url), await connect(url), await connect(url)]
  const [first, second] = opened
  if (first === undefined || second === undefined) throw new Error('not open')
  server.broadcast('all')
  server.broadcast(Uint8Array.of(1, 2), { except: first })
  first.send('mine')
  t.strictSame(await Promise.all(clients.map((client) => client.receive())), ['all', 'all', 'all'])
  const bytes = Buffer.of(1, 2)
  t.strictSame(await Promise.all(clients.map((client) => client.receive())), ['mine', bytes, bytes])
  const closed = second.closeOutput(1000)
  server.broadcast('late')
  await closed
  t.equal(await clients[0]?.receive(), 'late')
  await t.rejects(Promise.resolve(clients[1]?.receive()), { name: 'ConnectionClosedError' })
  for (const wrong of [5, null, undefined, {}, new Blob([])]) {
    t.throws(() => server.broadcast(wrong as string), TypeError)
  }
})

await t.test('listening, and address', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.equal(server.address(), null)
  await once(server, 'listening')
  t.match(server.address(), { address: '127.0.0.1', family: 'IPv4', port: Number })
  await server.close()
  t.equal(server.address(), null)
})

await t.test('EADDRINUSE is an error event, or a warning where nobody listens', async (t) => {
  const { port } = await serve(t)
  const heard = new WebSocketServer({ port, host: '127.0.0.1' })
  const [error] = await once(heard, 'error')
  t.match(error, { code: 'EADDRINUSE' })
  t.strictSame(await heard.close(), { clean: 0, unclean: 0, terminated: 0 })

  const unheard = new WebSocketServer({ port, host: '127.0.0.1' })
  const [warning] = await once(process, 'warning')
  t.match(warning, { code: 'EADDRINUSE' })
  await unheard.close()
})

await t.test('H8, 6455-10.1-input-not-trusted: hostile names change no prototype', async (t) => {
  const { port } = await serve(t, { protocols: ['constructor'] })
  const before = Object.getOwnPropertyNames(Object.prototype)
  const lines = [
    '__proto__: polluted',
    'constructor: x',
    'Sec-WebSocket-Protocol: __proto__, hasOwnProperty, constructor',
    'Sec-WebSocket-Extensions: __proto__; __proto__=1, constructor, hasOwnProperty; toString',
  ]
  const answer = await exchange(t, port, upgradeRequest({ lines }))
  t.equal(answer.status, 101)
  t.strictSame(answer.all('sec-websocket-protocol'), ['constructor'])
  t.strictSame(answer.all('sec-websocket-extensions'), [], '6455-9-server-only-requested')
  t.strictSame(Object.getOwnPropertyNames(Object.prototype), before)
})

await t.test('H7: hostile lists of 15 KiB are refused or ignored', async (t) => {
  const { port, url } = await serve(t)
  for (const pattern of [',', 'a,', 'a;', '"', '"\\c', 'a; b="\\c\\c",', 'permessage-deflate,']) {
    for (const name of ['Sec-WebSocket-Protocol', 'Sec-WebSocket-Extensions']) {
      const line = `${name}: ${pattern.repeat(Math.floor(15_000 / pattern.length))}`
      const { status } = await exchange(t, port, upgradeRequest({ lines: [line] }))
      t.ok(status === 400 || status === 101, `${status} for ${name} of ${pattern}`)
    }
  }
  await stillServes(t, url)
})

await t.test('100 handshakes at once', async (t) => {
  const { server, url } = await serve(t)
  const clients = await Promise.all(Array.from({ length: 100 }, () => connect(url)))
  t.equal(server.connections.size, 100)
  const all = [...server.connections].map((connection) => connection.closed)
  await Promise.all(clients.map((client) => client.close()))
  await Promise.all(all)
  t.equal(server.connections.size, 0, 'P10: each leaves once')
})
