/** `connect`, against servers that answer byte by byte what a test says. Redirects are in client-redirects.test.ts. */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { lookup as lookUp } from 'node:dns/promises'
import { getEventListeners, once } from 'node:events'
import { Agent, createServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import {
  connect as connectTcp,
  createServer as createTcpServer,
  type LookupFunction,
  type Socket,
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { Decoder } from '../../frames/decoder.ts'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { unfinishedMessages } from '../../lib/budget.ts'
import { acceptFor } from '../../lib/handshake.ts'
import {
  connect,
  type ConnectOptions,
  type Connection,
  HandshakeError,
  type Message,
  WebSocketServer,
} from '../../lib/index.ts'
import { Random } from '../fuzz/random.ts'
import { deferred } from '../help/deferred.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns, until, watchProcess } from '../help/loop.ts'
import { type Head, RawPeer, rawServer, type RawServer, serverText } from '../help/raw-http.ts'
import { portOf, serve } from '../help/serve.ts'
import { elsewhere, expired, type Identity, localhost } from '../help/tls.ts'

/** The good answer to a request, with further lines. */
function acceptance(request: Head, ...lines: string[]): string {
  const accept = acceptFor(request.all('sec-websocket-key').join())
  return switching([`Sec-WebSocket-Accept: ${accept}`, ...lines])
}

function switching(lines: readonly string[]): string {
  const usual = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade']
  return [...usual, ...lines, '', ''].join('\r\n')
}

/** A server that opens each connection and leaves it at that. */
function goodServer(t: Test): Promise<RawServer> {
  return rawServer(t, (peer, request) => peer.write(acceptance(request)))
}

/** Opens, and ends with the test. */
async function opened(t: Test, url: string, options?: ConnectOptions): Promise<Connection> {
  const connection = await connect(url, options)
  t.teardown(() => {
    connection.terminate()
  })
  return connection
}

/** How an attempt fails. */
function failureOf(attempt: Promise<unknown>): Promise<HandshakeError> {
  return attempt.then(
    () => Promise.reject(new Error('it opened')),
    (error: HandshakeError) => error,
  )
}

await t.test(
  '6455-4.1-valid-http-request, 6455-4.1-direct-when-no-proxy: the request, line by line',
  async (t) => {
    const server = await goodServer(t)
    await opened(t, `${server.url}chat?x=1`)
    const [request] = server.requests
    t.equal(
      request?.start,
      'GET /chat?x=1 HTTP/1.1',
      '6455-4.1-method-get, 6455-4.1-http-version, 6455-4.1-request-target',
    )
    const rest = request?.fields.filter(([name]) => name !== 'Sec-WebSocket-Key')
    t.strictSame(rest, [
      ['Host', `127.0.0.1:${server.port}`], // 6455-4.1-host-header
      ['Upgrade', 'websocket'], // 6455-4.1-upgrade-header
      ['Connection', 'Upgrade'], // 6455-4.1-connection-header
      ['Sec-WebSocket-Version', '13'], // 6455-4.1-version-13
      // 6455-4.1-protocol-optional, 6455-4.1-extensions-optional, 6455-4.1-origin-non-browser,
      // 6455-11.3.3-accept-not-in-request
    ])
    const [key = ''] = request?.all('sec-websocket-key') ?? []
    t.match(key, /^[A-Za-z0-9+/]{22}==$/, '6455-4.1-key-present')
    t.equal(Buffer.from(key, 'base64').length, 16, '6455-4.1-key-16-bytes')
  },
)

await t.test('6455-4.1-key-fresh-random: each connection has a key of its own', async (t) => {
  const server = await goodServer(t)
  const connections = await Promise.all(Array.from({ length: 200 }, () => connect(server.url)))
  t.equal(new Set(server.requests.flatMap((request) => request.all('sec-websocket-key'))).size, 200)
  for (const connection of connections) connection.terminate()
})

await t.test('the key comes from the source of randomness', async (t) => {
  const server = await goodServer(t)
  await opened(t, server.url, { random: (bytes) => void bytes.fill(7) })
  t.strictSame(server.requests[0]?.all('sec-websocket-key'), [Buffer.alloc(16, 7).toString('base64')])
})

await t.test('what the options add to the request', async (t) => {
  const server = await rawServer(t, (peer, request) => {
    peer.write(acceptance(request, 'Sec-WebSocket-Protocol: a'))
  })
  const connection = await opened(t, server.url.replace('://', '://us%65r:p%40ss@'), {
    protocols: ['b', 'a'],
    origin: 'https://example.com',
    headers: { Cookie: 'a=é', 'X-Many': ['1', '2'], host: 'other.example' },
  })
  const [request] = server.requests
  t.strictSame(request?.all('sec-websocket-protocol'), ['b, a'], '6455-4.1-protocol-order')
  t.strictSame(request?.all('origin'), ['https://example.com'], '6455-4.1-origin-non-browser')
  t.strictSame(request?.all('cookie'), ['a=é'], '6455-4.1-other-headers')
  t.strictSame(request?.all('x-many'), ['1', '2'])
  t.strictSame(request?.all('host'), ['other.example'], '6455-4.1-host-once')
  t.strictSame(request?.all('authorization'), [`Basic ${Buffer.from('user:p@ss').toString('base64')}`])
  t.equal(connection.protocol, 'a', '6455-4.1-open-state')
  t.equal(connection.readyState, 1)
  t.equal(connection.url, server.url, 'the URL without its credentials')
})

await t.test("the caller's Authorization and Origin stand instead of ours", async (t) => {
  const server = await goodServer(t)
  await opened(t, server.url.replace('://', '://user@'), {
    origin: 'https://a',
    headers: { authorization: 'Bearer x', ORIGIN: 'https://b' },
  })
  t.strictSame(server.requests[0]?.all('authorization'), ['Bearer x'])
  t.strictSame(server.requests[0]?.all('origin'), ['https://b'])
})

await t.test('6455-3-invalid-uri-fails, 6455-3-no-fragment: nothing is sent', async (t) => {
  for (const url of ['ws://', 'ftp://h/', 'ws://h/#x', 'ws://h:99999/', 'h', '']) {
    t.throws(() => void connect(url), { name: 'SyntaxError' }, url)
  }
  const server = await goodServer(t)
  t.throws(() => void connect(server.url, { headers: { a: 'b\r\nc: d' } }), TypeError) // 6455-4.1-header-injection
  t.throws(() => void connect(server.url, { protocols: 'a b' }), TypeError)
  await opened(t, server.url)
  t.equal(server.peers.length, 1, 'C7: before any byte is written')
})

await t.test(
  'C7: line breaks and NUL, wherever they stand: an error at once, or none of it is sent',
  async (t) => {
    const server = await goodServer(t)
    for (const wrong of ['\r\nX-Injected: 1', '\nX-Injected: 1', '\0']) {
      const options: readonly ConnectOptions[] = [
        { headers: { a: `b${wrong}` } },
        { headers: { [`a${wrong}`]: 'b' } },
        { headers: { Authorization: `Basic ${wrong}` } },
        { headers: { Host: `a${wrong}` } },
        { origin: `http://a${wrong}` },
        { protocols: `a${wrong}` },
        { protocols: ['a', `b${wrong}`] },
      ]
      for (const each of options) t.throws(() => void connect(server.url, each), TypeError)
      t.throws(() => void connect(`ws://127.0.0.1${wrong}:${server.port}/`), SyntaxError)
    }
    t.equal(server.peers.length, 0, 'nobody was asked')
    // A URL drops or escapes them: the request is whole.
    for (const target of ['a\r\nX-Injected:1', 'a?b\r\n\r\nX-Injected:1', 'a\0'])
      await opened(t, `${server.url}${target}`)
    await opened(t, server.url.replace('://', '://me%0d%0aX-Injected:1%00@'))
    for (const { fields, start } of server.requests) {
      t.notOk(fields.some(([name]) => /injected/i.test(name)))
      t.match(start, /^GET \/[!-~]* HTTP\/1\.1$/)
    }
    t.equal(server.requests.length, 4)
  },
)

await t.test('http: and URL objects', async (t) => {
  const server = await goodServer(t)
  const connection = await opened(t, server.url.replace('ws:', 'http:'))
  t.equal(connection.url, server.url)
  t.equal((await connect(new URL(server.url))).terminate(), undefined)
})

await t.test('6455-4.1-wait-for-response: nothing but the request before the answer', async (t) => {
  const asked = deferred<RawPeer>()
  const server = await rawServer(t, (peer) => asked.resolve(peer))
  const opening = connect(server.url)
  const peer = await asked.promise
  await turns(10)
  t.equal(peer.received.length, 0, '9112-9-pipelined-after-upgrade')
  for (const request of server.requests) peer.write(acceptance(request))
  const connection = await opening
  connection.send('x')
  t.equal((await peer.bytes(7)).length, 7)
  connection.terminate()
})

await t.test('6455-4.1-early-frames: frames behind the 101 come as messages, in order', async (t) => {
  const server = await rawServer(t, (peer, request) => {
    const frames = [serverText('one'), serverText('two'), serverText('three').subarray(0, 3)]
    peer.write(Buffer.concat([Buffer.from(acceptance(request)), ...frames]))
    peer.write(serverText('three').subarray(3))
  })
  const connection = await opened(t, server.url)
  for (const text of ['one', 'two', 'three']) t.equal(await connection.receive(), text)
})

await t.test('a Close and the end of TCP behind the 101', async (t) => {
  const server = await rawServer(t, (peer, request) => {
    peer.write(Buffer.concat([Buffer.from(acceptance(request)), Buffer.from('880203e8', 'hex')]))
    peer.socket.end()
  })
  const connection = await opened(t, server.url)
  t.match(await connection.closed, { code: 1000, wasClean: true, initiator: 'remote' })
})

await t.test('C12: a reset behind the 101', async (t) => {
  const server = await rawServer(t, (peer, request) => {
    peer.write(acceptance(request))
    setImmediate(() => peer.reset())
  })
  const outcome = await connect(server.url).then(
    (connection) => connection.closed,
    (error: HandshakeError) => error,
  )
  t.ok(outcome instanceof HandshakeError || outcome.code === 1006, 'exactly one end')
})

await t.test('9110-15.2-skip-1xx: interim responses before the 101', async (t) => {
  const server = await rawServer(t, (peer, request) => {
    const early = ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n']
    peer.write(`${early.join('')}${acceptance(request, 'Set-Cookie: a=b')}`) // 6455-4.1-set-cookie
  })
  t.equal((await opened(t, server.url)).state, 'open')
})

/** Answers that open nothing, and what is said of them. */
const badAnswers: readonly (readonly [id: string, answer: (request: Head) => string, message: RegExp])[] = [
  ['6455-4.1-accept-wrong', () => switching(['Sec-WebSocket-Accept: AAAA']), /Accept does not answer/],
  ['6455-4.1-accept-missing', () => switching([]), /Accept does not answer/],
  [
    '6455-4.1-upgrade-missing',
    () => 'HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n',
    /101 response does not/,
  ],
  [
    '6455-4.1-connection-missing',
    () => 'HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n',
    /101 response does not/,
  ],
  ['C11: a subprotocol', (r) => acceptance(r, 'Sec-WebSocket-Protocol: chat'), /"chat" was not offered/],
  ['C11: an extension', (r) => acceptance(r, 'Sec-WebSocket-Extensions: x'), /extension was answered/],
  ['C1: 101 with a body', (r) => acceptance(r, 'Content-Length: 5'), /has a body/],
  ['C1: HTTP/1.0', (r) => acceptance(r).replace('1.1', '1.0'), /not HTTP\/1\.1/],
  [
    '6455-8.1-handshake-utf8, C4',
    (r) => acceptance(r, 'Sec-WebSocket-Protocol: \xff\x80'),
    /was not offered/,
  ],
  ['C4: NUL', (r) => acceptance(r, 'Sec-WebSocket-Protocol: a\0'), /could not be opened/],
  ['C4: a folded line', (r) => acceptance(r, 'Sec-WebSocket-Extensions: a', ' b'), /could not be opened/],
  ['6455-4.1-nonconforming-response', (r) => acceptance(r, 'no colon'), /could not be opened/],
  ['no HTTP', () => 'SSH-2.0-OpenSSH_9.9\r\n', /could not be opened/],
  ['only interim responses', () => 'HTTP/1.1 103 Early Hints\r\n\r\n', /could not be opened/],
]

for (const [id, answer, message] of badAnswers) {
  await t.test(`6455-7.2.1-handshake-failure, ${id}: fails, and no frame is sent or seen`, async (t) => {
    const server = await rawServer(t, (peer, request) => {
      // The frame behind it would be a message.
      peer.write(Buffer.concat([Buffer.from(answer(request), 'latin1'), serverText('x')]))
      peer.socket.end()
    })
    const error = await failureOf(connect(server.url))
    t.match(error, { name: 'HandshakeError', message })
    const [peer] = server.peers
    t.equal((await peer?.rest())?.length, 0, '6455-1.3-no-frames-before-validation')
  })
}

await t.test('C4: every byte that is no ASCII, and NUL, in what is answered: fails, or opens', async (t) => {
  for (const byte of [0, ...Array.from({ length: 128 }, (_, at) => at + 128)].map((at) =>
    String.fromCharCode(at),
  )) {
    const answers: ((request: Head) => string)[] = [
      (r) => acceptance(r, `Sec-WebSocket-Protocol: a${byte}`),
      (r) => acceptance(r, `Sec-WebSocket-Extensions: a; b="${byte}"`),
      (r) => acceptance(r).replace('Protocols', byte),
    ]
    for (const [at, answer] of answers.entries()) {
      const server = await rawServer(t, (peer, request) => {
        peer.write(answer(request))
        peer.socket.end()
      })
      const outcome = await connect(server.url).then(
        () => 'open',
        (error: HandshakeError) => error.name,
      )
      // The reason phrase says nothing, so that it may hold anything.
      t.ok(outcome === 'HandshakeError' || at === 2, `${outcome}: ${JSON.stringify(byte)} in ${at}`)
    }
  }
})

await t.test('6455-4.1-accept-trim: white space around Accept', async (t) => {
  const server = await rawServer(t, (peer, request) => {
    peer.write(acceptance(request).replace(/Accept: (.*)\r/, 'Accept: \t $1 \t\r'))
  })
  t.equal((await opened(t, server.url)).state, 'open')
})

await t.test('6455-4.1-status-not-101: any other status is an HTTP answer', async (t) => {
  for (const status of [200, 204, 300, 301, 304, 400, 401, 403, 404, 407, 426, 500, 503, 599]) {
    const server = await rawServer(t, (peer, request) => {
      // Even with everything that an upgrade has: 6455-1.3-non-101-is-http.
      const head = acceptance(request, 'X-A: 1', 'x-a: 2', 'Set-Cookie: a', 'Set-Cookie: b')
      peer.write(head.replace('101 Switching Protocols', `${status} Some Reason`))
      if (status !== 204 && status !== 304) peer.write('the body')
      peer.socket.end()
    })
    const error = await failureOf(connect(server.url))
    const message = `the server answered ${status} Some Reason instead of 101`
    t.match(error, {
      name: 'HandshakeError',
      status,
      message,
      headers: { 'x-a': '1, 2', 'set-cookie': 'a, b' },
    })
    t.equal(
      error.body.toString(),
      status === 204 || status === 304 ? '' : 'the body',
      '6455-4.1-status-exposed',
    )
    t.equal(server.peers.length, 1)
  }
})

await t.test('an answer with something behind it keeps its status', async (t) => {
  for (const head of ['204 No Content\r\n', '403 Forbidden\r\nContent-Length: 2\r\n']) {
    const server = await rawServer(t, (peer) => {
      peer.write(`HTTP/1.1 ${head}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\nnothing that HTTP knows`)
    })
    t.match(await failureOf(connect(server.url)), { status: Number(head.slice(0, 3)) })
  }
})

await t.test('a body that breaks off', async (t) => {
  for (const end of [(peer: RawPeer) => void peer.socket.end(), (peer: RawPeer) => peer.reset()]) {
    const server = await rawServer(t, async (peer) => {
      peer.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nhalf')
      await turns(5)
      end(peer)
    })
    const error = await failureOf(connect(server.url))
    t.match(error, { name: 'HandshakeError', status: 403 })
    t.equal(error.body.toString(), 'half')
  }
})

await t.test('C10: of a body without end 16 KiB are read', async (t) => {
  const server = await rawServer(t, (peer) => {
    peer.write('HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n')
    const chunk = Buffer.concat([Buffer.from('2000\r\n'), Buffer.alloc(0x2000, 'x'), Buffer.from('\r\n')])
    const go = (): void => {
      while (!peer.socket.destroyed && peer.socket.write(chunk));
    }
    peer.socket.on('drain', go)
    go()
  })
  const error = await failureOf(connect(server.url))
  t.equal(error.status, 401)
  t.strictSame(error.body, Buffer.alloc(16 * 1024, 'x'))
  await server.peers[0]?.closed
})

await t.test('C10: headers without end', async (t) => {
  const server = await rawServer(t, (peer) => {
    peer.write(`HTTP/1.1 101 X\r\n${`X-A: ${'a'.repeat(100)}\r\n`.repeat(1_000)}`)
  })
  t.match(await failureOf(connect(server.url)), { message: /could not be opened/, cause: { code: /HEADER/ } })
  await server.peers[0]?.closed
})

await t.test(
  '6455-4.4-same-version-no-loop, 6455-4.4-client-may-retry: a 426 that lists 13 is asked once',
  async (t) => {
    const server = await rawServer(t, (peer) => {
      const versions = 'Sec-WebSocket-Version: 13, 8\r\nSec-WebSocket-Version: 7\r\n'
      peer.write(`HTTP/1.1 426 Upgrade Required\r\n${versions}Content-Length: 0\r\n\r\n`)
    })
    const error = await failureOf(connect(server.url, { followRedirects: 20 }))
    t.match(
      error,
      { status: 426, headers: { 'sec-websocket-version': '13, 8, 7' } },
      '6455-4.3-version-server-list, 6455-11.3.5-version-many-in-response',
    )
    t.equal(server.peers.length, 1)
  },
)

await t.test(
  '6455-4.1-connect-error-fails, 6455-7.1.4-not-established-unclean: nobody listens there',
  async (t) => {
    const server = await goodServer(t)
    server.server.close()
    await once(server.server, 'close')
    const error = await failureOf(connect(server.url))
    t.match(error, { name: 'HandshakeError', status: undefined, cause: { code: 'ECONNREFUSED' } })
    t.match(error.message, /the connection could not be opened: .*ECONNREFUSED/)
  },
)

await t.test('a server that hangs up without an answer', async (t) => {
  for (const end of [
    (peer: RawPeer) => void peer.socket.end(),
    (peer: RawPeer) => void peer.socket.destroy(),
    (peer: RawPeer) => peer.reset(),
  ]) {
    const server = await rawServer(t, end)
    t.match(await failureOf(connect(server.url)), { name: 'HandshakeError', cause: { code: 'ECONNRESET' } })
  }
})

await t.test('D2: a promise that nobody watches is no unhandled rejection', async (t) => {
  const server = await rawServer(t, (peer) => void peer.socket.destroy())
  const watch = watchProcess()
  void connect(server.url)
  void connect(server.url, { signal: AbortSignal.abort() })
  await until(() => server.peers.length > 0)
  await server.peers[0]?.closed
  await turns(5)
  t.strictSame(await watch.stop(), [])
})

// One at a time

await t.test('6455-4.1-one-connecting-per-address: three that are opened at once', async (t) => {
  const server = await rawServer(t, () => {})
  const opening = [1, 2, 3].map(() => connect(server.url))
  const answers = [
    // 6455-4.1-next-after-failure
    () => 'HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n',
    (request: Head) => acceptance(request),
    () => 'no HTTP\r\n\r\n',
  ]
  for (const [at, answer] of answers.entries()) {
    await until(() => server.requests.length === at + 1)
    await turns(5)
    t.equal(server.peers.length, at + 1)
    for (const request of server.requests.slice(at)) server.peers[at]?.write(answer(request))
  }
  const [first, second, third] = await Promise.allSettled(opening)
  t.match(first, { reason: { status: 500 } })
  t.match(third, { reason: { message: /could not be opened/ } })
  if (second?.status === 'fulfilled') second.value.terminate()
  t.equal(second?.status, 'fulfilled')
})

await t.test('6455-4.1-pending-limit-unknown-ip: a name that nobody looks up is one address', async (t) => {
  const [first, second, third] = [deafAgent(), deafAgent(), deafAgent()]
  const abort = new AbortController()
  const failed = failureOf(
    connect('ws://behind-the-proxy.test/a', { agent: first.agent, signal: abort.signal }),
  )
  const other = new AbortController()
  const next = failureOf(
    connect('ws://Behind-The-Proxy.test:80/b', { agent: second.agent, signal: other.signal }),
  )
  const distinct = failureOf(connect('ws://another-name.test/', { agent: third.agent, signal: other.signal }))
  await until(() => first.socket() !== undefined && third.socket() !== undefined)
  await turns(5)
  t.equal(second.socket(), undefined)
  abort.abort()
  t.match(await failed, { name: 'AbortError' })
  await until(() => second.socket() !== undefined)
  other.abort()
  t.match(await next, { name: 'AbortError' })
  t.match(await distinct, { name: 'AbortError' })
})

/** A look-up that leaves each answer to the test: options for `connect`, and who has asked. */
function lookups() {
  const asked = new Map<string, (...addresses: readonly string[]) => void>()
  const lookup: LookupFunction = (name, _options, answer) => {
    asked.set(name, (...addresses) =>
      answer(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      ),
    )
  }
  /** Answers once somebody has asked for that name. */
  const find = async (name: string, ...addresses: readonly string[]): Promise<void> => {
    await until(() => asked.has(name))
    asked.get(name)?.(...addresses)
  }
  return { tls: { ca: localhost.cert, servername: 'localhost', lookup }, asked, find }
}

await t.test(
  '6455-4.1-one-connecting-per-address: the names of one address wait for each other',
  async (t) => {
    const server = await rawServer(t, () => {})
    const elsewhere = await rawServer(t, () => {})
    const { tls, find } = lookups()
    const failed = ['one.test', 'two.test'].map((name) =>
      failureOf(connect(`wss://${name}:${server.port}/`, { tls })),
    )
    await find('one.test', '127.0.0.1')
    await until(() => server.peers.length === 1)
    await find('two.test', '127.0.0.1')
    failed.push(
      failureOf(connect(server.url)),
      failureOf(connect(`wss://one.test:${elsewhere.port}`, { tls })),
    )
    await find('one.test', '127.0.0.1')
    await until(() => elsewhere.peers.length === 1)
    await turns(5)
    t.equal(server.peers.length, 1)
    server.peers[0]?.socket.destroy() // 6455-4.1-next-after-failure
    await until(() => server.peers.length === 2)
    await turns(5)
    t.equal(server.requests.length, 0, 'the address itself has waited longest, but behind two.test')
    server.peers[1]?.socket.destroy()
    await until(() => server.requests.length === 1)
    server.peers[2]?.socket.destroy()
    elsewhere.peers[0]?.socket.destroy()
    for (const each of await Promise.all(failed)) t.match(each, { name: 'HandshakeError' })
  },
)

await t.test('6455-4.1-one-connecting-per-address: localhost and its address', async (t) => {
  const server = await rawServer(t, () => {})
  const first = connect(server.url)
  await until(() => server.requests.length === 1)
  const second = connect(`ws://localhost:${server.port}/`)
  const [request] = server.requests
  // Whether the look-up is over cannot be seen; it is that of the system.
  await lookUp('localhost')
  await turns(5)
  t.equal(server.requests.length, 1)
  if (request !== undefined) server.peers[0]?.write(acceptance(request))
  ;(await first).terminate()
  await until(() => server.requests.length === 2)
  server.peers.at(-1)?.socket.destroy()
  t.match(await failureOf(second), { name: 'HandshakeError' })
})

await t.test('several addresses: an attempt waits where one is the same', async (t) => {
  const server = await rawServer(t, () => {}) // At the first address.
  const { tls, find } = lookups()
  const ended: string[] = []
  const attempts = ['first', 'both', 'second'].map(async (name) => {
    const error = await failureOf(connect(`wss://${name}.test:${server.port}/`, { tls }))
    ended.push(name)
    return error
  })
  await find('first.test', '127.0.0.1')
  await until(() => server.peers.length === 1)
  await find('both.test', '127.0.0.2', '127.0.0.1')
  await find('second.test', '127.0.0.2')
  await turns(5)
  t.strictSame(ended, [], 'nobody connects to the second address, where nobody listens')
  server.peers[0]?.socket.destroy()
  await until(() => server.peers.length === 2)
  await turns(5)
  t.strictSame(ended, ['first'])
  server.peers[1]?.socket.destroy()
  await Promise.all(attempts)
  t.strictSame(ended, ['first', 'both', 'second'])
})

await t.test('two names of one server open one after the other', async (t) => {
  const server = await secureServer(t, localhost)
  const { tls, find } = lookups()
  const opening = ['one.test', 'two.test'].map((name) => opened(t, `wss://${name}:${server.port}/`, { tls }))
  await find('one.test', '127.0.0.1')
  await find('two.test', '127.0.0.1')
  for (const connection of await Promise.all(opening)) t.equal(connection.state, 'open')
})

await t.test('a name that is not found', async (t) => {
  const lookup: LookupFunction = (_name, _options, answer) =>
    answer(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), [])
  const error = await failureOf(connect('wss://one.test/', { tls: { lookup } }))
  t.match(error, { name: 'HandshakeError', message: /no such name/, cause: { code: 'ENOTFOUND' } })
})

await t.test(
  '6455-4.1-abort-during-connect: while the name is looked up, and in line behind that',
  async (t) => {
    const watch = watchProcess()
    const server = await rawServer(t, () => {})
    const { tls, asked, find } = lookups()
    const start = (name: string) => {
      const abort = new AbortController()
      const failed = failureOf(connect(`wss://${name}:${server.port}/`, { tls, signal: abort.signal }))
      return { abort, failed }
    }
    const first = start('first.test')
    await find('first.test', '127.0.0.1')
    await until(() => server.peers.length === 1)
    const lookedUp = start('late.test')
    const inLine = start('in-line.test')
    const last = start('last.test')
    await find('in-line.test', '127.0.0.1')
    await find('last.test', '127.0.0.1')
    for (const { abort, failed } of [lookedUp, inLine]) {
      abort.abort()
      t.match(await failed, { name: 'AbortError' })
      t.equal(getEventListeners(abort.signal, 'abort').length, 0)
    }
    asked.get('late.test')?.('127.0.0.1')
    await turns(5)
    t.equal(server.peers.length, 1)
    first.abort.abort()
    t.match(await first.failed, { name: 'AbortError' })
    await until(() => server.peers.length === 2)
    server.peers[1]?.socket.destroy()
    t.match(await last.failed, { name: 'HandshakeError' })
    await turns(5)
    t.equal(server.peers.length, 2, 'those that were aborted never connect')
    t.strictSame(await watch.stop(), [])
  },
)

await t.test('D10: the handshake timeout counts the look-up, and not the wait behind it', async (t) => {
  const server = await rawServer(t, () => {})
  const { tls, asked, find } = lookups()
  const abort = new AbortController()
  const first = failureOf(connect(server.url, { signal: abort.signal }))
  await until(() => server.requests.length === 1)

  const timers = new FakeTimers()
  const options = { tls, timers, handshakeTimeout: 800 }
  const second = failureOf(connect(`wss://second.test:${server.port}/`, options))
  await until(() => asked.has('second.test'))
  timers.advance(300)
  await find('second.test', '127.0.0.1')
  await until(() => timers.armed === 0)
  timers.advance(10_000)
  abort.abort()
  t.match(await first, { name: 'AbortError' })
  await until(() => server.peers.length === 2)
  timers.advance(499)
  t.equal(timers.armed, 1)
  timers.advance(1)
  t.match(await second, { message: /longer than 800 ms/ })

  const hangs = failureOf(connect(`wss://hangs.test:${server.port}/`, options))
  await until(() => asked.has('hangs.test'))
  timers.advance(799)
  t.equal(timers.armed, 1)
  timers.advance(1)
  t.match(await hangs, { name: 'HandshakeError', message: /longer than 800 ms/ })
  t.equal(timers.armed, 0)
})

await t.test('D10: the handshake timeout does not count the wait for those before', async (t) => {
  const timers = new FakeTimers()
  const server = await rawServer(t, () => {})
  const options = { timers, handshakeTimeout: 800 }
  const first = failureOf(connect(server.url, options))
  const second = failureOf(connect(server.url, options))
  const abort = new AbortController()
  const waiting = failureOf(connect(server.url, { ...options, signal: abort.signal }))
  await until(() => server.requests.length === 1)
  t.equal(timers.armed, 1)
  abort.abort()
  t.match(await waiting, { name: 'AbortError' }, 'the signal ends the wait')
  timers.advance(800)
  t.match(await first, { message: /longer than 800 ms/ })
  await until(() => server.requests.length === 2)
  timers.advance(799)
  t.equal(timers.armed, 1)
  timers.advance(1)
  t.match(await second, { message: /longer than 800 ms/ })
  t.equal(timers.armed, 0)
  t.equal(server.peers.length, 2)
})

// Time

await t.test('6455-4.1-handshake-timeout: a server that is silent, or too slow', async (t) => {
  for (const beginning of [
    '',
    'HTTP/1.1 101 Swi',
    'HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf',
  ]) {
    const timers = new FakeTimers()
    const asked = deferred<RawPeer>()
    const server = await rawServer(t, (peer) => {
      if (beginning !== '') peer.write(beginning)
      asked.resolve(peer)
    })
    const failed = failureOf(connect(server.url, { timers, handshakeTimeout: 800 }))
    const peer = await asked.promise
    timers.advance(799)
    t.equal(timers.armed, 1)
    timers.advance(1)
    t.match(await failed, {
      name: 'HandshakeError',
      message: 'the opening handshake took longer than 800 ms',
      status: undefined,
    })
    t.equal(timers.armed, 0)
    await peer.rest()
  }
})

await t.test('C12: the handshake timeout is 10 s by default, TCP included', async (t) => {
  const timers = new FakeTimers()
  const { agent, socket } = deafAgent()
  const failed = failureOf(connect('ws://127.0.0.1:1/', { timers, agent }))
  await until(() => socket() !== undefined)
  timers.advance(9_999)
  t.equal(timers.armed, 1)
  timers.advance(1)
  t.match(await failed, { message: /longer than 10000 ms/ })
  await until(() => socket()?.destroyed === true)
})

await t.test('an open connection leaves no timer of the handshake', async (t) => {
  const timers = new FakeTimers()
  const server = await goodServer(t)
  await opened(t, server.url, { timers })
  t.equal(timers.pending, 0)
})

/** An agent whose TCP connection never comes about. */
function deafAgent(): { agent: Agent; socket: () => Duplex | undefined } {
  let socket: Duplex | undefined
  class DeafAgent extends Agent {
    override createConnection(): Duplex {
      socket = new Duplex({ read() {}, write() {} })
      return socket
    }
  }
  return { agent: new DeafAgent(), socket: () => socket }
}

// Aborting

await t.test('6455-4.1-abort-during-connect: a signal that is aborted already', async (t) => {
  const server = await goodServer(t)
  const reason = new Error('changed my mind')
  await t.rejects(connect(server.url, { signal: AbortSignal.abort(reason) }), reason)
  await t.rejects(connect(server.url, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  await opened(t, server.url)
  t.equal(server.peers.length, 1, 'nobody was asked')
})

await t.test('6455-4.1-abort-during-connect: at every stage, and no socket is left', async (t) => {
  const reason = new Error('changed my mind')
  const stages: readonly (readonly [string, (peer: RawPeer) => void])[] = [
    ['during the handshake', () => {}],
    ['in the middle of the answer', (peer) => peer.write('HTTP/1.1 101 Switch')],
    ['behind an interim response', (peer) => peer.write('HTTP/1.1 103 Early Hints\r\n\r\n')],
    ['in the body of a refusal', (peer) => peer.write('HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nhalf')],
  ]
  for (const [stage, answer] of stages) {
    const asked = deferred<RawPeer>()
    const server = await rawServer(t, (peer) => {
      answer(peer)
      asked.resolve(peer)
    })
    const controller = new AbortController()
    const failed = failureOf(connect(server.url, { signal: controller.signal }))
    const peer = await asked.promise
    await turns(5) // The answer is on its way.
    controller.abort(reason)
    t.equal(await failed, reason, stage)
    await peer.rest()
    t.equal(getEventListeners(controller.signal, 'abort').length, 0)
  }
})

await t.test('aborted while TCP connects, and while TLS does', async (t) => {
  const controller = new AbortController()
  const { agent, socket } = deafAgent()
  const failed = failureOf(connect('ws://127.0.0.1:1/', { agent, signal: controller.signal }))
  await until(() => socket() !== undefined)
  controller.abort()
  t.match(await failed, { name: 'AbortError' })
  await until(() => socket()?.destroyed === true)

  const silent = await rawServer(t, () => {})
  const second = new AbortController()
  const secure = failureOf(connect(`wss://127.0.0.1:${silent.port}/`, { signal: second.signal }))
  await until(() => silent.peers.length > 0)
  second.abort()
  t.match(await secure, { name: 'AbortError' })
  await until(() => silent.peers[0]?.socket.readableEnded === true)

  const third = new AbortController()
  const early = failureOf(connect(silent.url, { signal: third.signal }))
  third.abort()
  t.match(await early, { name: 'AbortError' }, 'in the same turn')
})

await t.test('an open connection does not hear the signal any more', async (t) => {
  const server = await goodServer(t)
  const controller = new AbortController()
  const connection = await opened(t, server.url, { signal: controller.signal })
  t.equal(getEventListeners(controller.signal, 'abort').length, 0)
  controller.abort()
  await turns(5)
  t.equal(connection.state, 'open')
})

// TLS

/** A WebSocket server over TLS, the names that clients asked for, and how many requests came. */
async function secureServer(t: Test, identity: Identity) {
  const names: unknown[] = []
  let requests = 0
  const http = createHttpsServer(identity)
  http.on('secureConnection', (socket: TLSSocket) => names.push(socket.servername))
  http.on('upgrade', () => requests++)
  const server = new WebSocketServer({ server: http })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(async () => {
    await server.close()
    http.close()
    http.closeAllConnections()
  })
  return { port: portOf(http), names, requests: () => requests }
}

await t.test('C8, 6455-10.6-tls-verify: a certificate that does not verify is refused', async (t) => {
  const rows: readonly (readonly [string, Identity, ConnectOptions['tls'], string, string])[] = [
    ['self-signed', localhost, {}, 'localhost', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['expired', expired, { ca: expired.cert }, 'localhost', 'CERT_HAS_EXPIRED'],
    ['for another name', elsewhere, { ca: elsewhere.cert }, 'localhost', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['for another address', elsewhere, { ca: elsewhere.cert }, '127.0.0.1', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [
      'for another servername',
      localhost,
      { ca: localhost.cert, servername: 'other.example' },
      'localhost',
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
  ]
  for (const [what, identity, tls = {}, host, code] of rows) {
    const server = await secureServer(t, identity)
    const error = await failureOf(connect(`wss://${host}:${server.port}/`, { tls }))
    t.match(error, { name: 'HandshakeError', cause: { code } }, what)
    t.equal(server.requests(), 0, '6455-4.1-tls-failure-fails: the server sees no request')
  }
})

await t.test('6455-4.1-tls-sni: the host name is told, an address is not', async (t) => {
  const server = await secureServer(t, localhost)
  const tls = { ca: localhost.cert }
  await opened(t, `wss://localhost:${server.port}/`, { tls })
  await opened(t, `https://127.0.0.1:${server.port}/`, { tls })
  await opened(t, `wss://127.0.0.1:${server.port}/`, { tls: { ...tls, servername: 'localhost' } })
  await opened(t, `wss://localhost:${server.port}/`, { tls: { rejectUnauthorized: false } })
  t.strictSame(server.names, ['localhost', false, 'localhost', 'localhost'])
})

await t.test('6455-4.1-tls-before-handshake: the first bytes are a ClientHello, and no HTTP', async (t) => {
  const server = await goodServer(t)
  const failed = failureOf(connect(`wss://localhost:${server.port}/`))
  await until(() => (server.peers[0]?.received.length ?? 0) > 5)
  const [peer] = server.peers
  t.equal(peer?.received[0], 0x16)
  t.equal(peer?.received[1], 0x03)
  t.notOk(peer?.received.includes('HTTP'), '6455-4.1-tls-everything-encrypted')
  peer?.write('HTTP/1.1 400 Bad Request\r\n\r\n')
  t.match(await failed, { name: 'HandshakeError', message: /SSL|TLS/i })
})

await t.test("a client's certificate is shown", async (t) => {
  const seen = deferred<unknown>()
  const server = createTlsServer({ ...localhost, requestCert: true, ca: elsewhere.cert }, (socket) => {
    seen.resolve(socket.authorized)
    socket.on('error', () => {})
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const tls = { ca: localhost.cert, cert: elsewhere.cert, key: elsewhere.key }
  await failureOf(connect(`wss://localhost:${portOf(server)}/`, { tls }))
  t.equal(await seen.promise, true)
})

// Agents

/** Makes its connections through an HTTP proxy. */
class TunnelAgent extends Agent {
  readonly #proxy: number

  constructor(proxy: number) {
    super()
    this.#proxy = proxy
  }

  override createConnection(
    options: { host?: string | null; port?: number | string | null },
    callback?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    const socket = connectTcp(this.#proxy, '127.0.0.1')
    const target = `${options.host}:${options.port}`
    socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
    socket.once('data', (answer: Buffer) => {
      const [start] = answer.toString().split('\r\n')
      callback?.(start?.includes(' 200 ') === true ? null : new Error(`the proxy said ${start}`), socket)
    })
  }
}

/** Servers of each kind that a client may read from, and with what options. */
const transports = ['TCP', 'TLS', 'a Unix socket', 'TCP by an agent'] as const
type Transport = (typeof transports)[number]
/** Unix sockets so far, each with a name of its own. */
let sockets = 0

/** A connection over it, and the other side's socket, which sends just what a test says. */
async function over(t: Test, transport: Transport): Promise<{ connection: Connection; peer: RawPeer }> {
  const listener = transport === 'TLS' ? createTlsServer(localhost) : createTcpServer({ noDelay: true })
  const peers = new Promise<RawPeer>((resolve) => {
    listener.on(transport === 'TLS' ? 'secureConnection' : 'connection', (socket: Socket) => {
      const peer = new RawPeer(socket)
      void peer.head().then((request) => {
        peer.write(acceptance(request))
        resolve(peer)
      })
    })
  })
  const path = join(tmpdir(), `farewell-client-${process.pid}-${++sockets}.sock`)
  if (transport === 'a Unix socket') listener.listen(path)
  else listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const url = {
    TCP: () => `ws://127.0.0.1:${portOf(listener)}/`,
    TLS: () => `wss://127.0.0.1:${portOf(listener)}/`,
    'a Unix socket': () => `ws+unix:${path}:/`,
    'TCP by an agent': () => `ws://127.0.0.1:${portOf(listener)}/`,
  }[transport]()
  const connection = await opened(t, url, {
    tls: { ca: localhost.cert },
    ...(transport === 'TCP by an agent' ? { agent: new Agent() } : {}),
  })
  listener.close()
  const peer = await peers
  t.teardown(() => peer.socket.destroy())
  return { connection, peer }
}

/** Messages of all sizes, some in fragments, and the frames that carry them. */
function anyMessages(random: Random, count: number): { messages: Message[]; frames: Buffer } {
  const messages: Message[] = []
  const frames: Buffer[] = []
  for (let n = 0; n < count; n++) {
    const size = random.below(random.pick([100, 5000, 20_000, 70_000, 400_000]))
    const isText = random.once(2)
    const payload = isText ? Buffer.alloc(2 * (size >> 1), 'ä') : Buffer.alloc(size, `${n}: `)
    const parts = random.pick([1, 1, 1, 3])
    for (let part = 0; part < parts; part++) {
      frames.push(
        encodeFrame({
          opcode: part > 0 ? Opcode.continuation : isText ? Opcode.text : Opcode.binary,
          payload: payload.subarray(
            Math.floor((part / parts) * payload.length),
            Math.floor(((part + 1) / parts) * payload.length),
          ),
          fin: part === parts - 1,
        }),
      )
      if (random.once(5)) frames.push(encodeFrame({ opcode: Opcode.pong, payload: 'here' }))
    }
    messages.push(isText ? payload.toString() : payload)
  }
  return { messages, frames: Buffer.concat(frames) }
}

function same(one: Message, other: Message): boolean {
  return typeof one === typeof other && Buffer.from(one).equals(Buffer.from(other))
}

for (const transport of transports) {
  await t.test(
    `6455-6.2-stream-parsing, D6, over ${transport}: any messages in any cuts, kept until the end`,
    async (t) => {
      const seed = Number(process.env['SEED'] ?? 5)
      t.comment(`SEED=${seed}`)
      const random = new Random(seed, transport)
      for (const cuts of ['whole', 'short', 'long'] as const) {
        const { connection, peer } = await over(t, transport)
        const { messages, frames } = anyMessages(random, cuts === 'short' ? 4 : 40)
        const came: Message[] = []
        connection.on('message', (message) => {
          came.push(message)
          // It reads on in the middle of a message, or a chunk of TLS.
          if (!random.once(6)) return
          connection.pause()
          setImmediate(() => connection.resume())
        })
        const most = { whole: frames.length, short: 700, long: 200_000 }[cuts]
        for (let at = 0; at < frames.length;) {
          const end = at + 1 + random.below(most)
          const part = frames.subarray(at, cuts === 'whole' ? undefined : end)
          at += part.length
          if (!peer.socket.write(part)) await once(peer.socket, 'drain')
          if (random.once(3)) await turns()
        }
        await until(() => came.length === messages.length)
        const wrong = messages.findIndex((message, at) => !same(message, came[at] ?? ''))
        t.equal(wrong, -1, `${cuts}: they are as they were sent`)
        connection.terminate()
      }
    },
  )

  await t.test(`6455-6.2-stream-parsing, over ${transport}: byte by byte`, async (t) => {
    const { connection, peer } = await over(t, transport)
    const payload = Buffer.alloc(9000, 'farewell, ')
    const frame = encodeFrame({ opcode: Opcode.binary, payload })
    for (let at = 0; at < frame.length; at++) {
      peer.write(frame.subarray(at, at + 1))
      // Where a read goes to changes when the header, 1 KiB and nearly all of it have come.
      if (at < 8 || (at > 1020 && at < 1036) || (at > 4900 && at < 4920) || at > 8990) await turns()
    }
    t.ok(same(await connection.receive(), payload))
  })

  await t.test(
    `D3, over ${transport}: who pauses in a long message gets it, and what is behind, later`,
    async (t) => {
      const { connection, peer } = await over(t, transport)
      const payload = Buffer.alloc(300_000, 'farewell, ')
      const frame = encodeFrame({ opcode: Opcode.binary, payload })
      connection.on('ping', () => connection.pause())
      peer.write(frame.subarray(0, 100_000))
      await turns(3)
      connection.pause()
      peer.write(frame.subarray(100_000))
      peer.write(serverText('behind'))
      peer.socket.end()
      await turns(5)
      const first = connection.receive()
      connection.resume()
      t.ok(same(await first, payload))
      t.equal(await connection.receive(), 'behind')
      t.match(await connection.closed, { code: 1006, trigger: 'peer-fin' })
    },
  )

  await t.test(
    `6455-7.1.5-lost-1006, over ${transport}: the end in the middle of a long message`,
    async (t) => {
      for (const end of ['FIN', 'terminate', 'violation'] as const) {
        const { connection, peer } = await over(t, transport)
        const before = unfinishedMessages.used
        const payload = Buffer.alloc(300_000, 'farewell, ')
        const frame = encodeFrame({ opcode: Opcode.text, payload })
        peer.write(frame.subarray(0, 100_000))
        await until(() => unfinishedMessages.used > before)
        if (end === 'FIN') peer.socket.end(frame.subarray(100_000, 150_000))
        else if (end === 'terminate') connection.terminate()
        else {
          peer.write(Buffer.concat([frame.subarray(100_000, 150_000), Buffer.alloc(50_000, 0xff)]))
          t.match(await peer.take((bytes) => (bytes.length >= 8 ? 8 : undefined)), { 0: 0x88 })
          // Thrown away, until the end of TCP.
          peer.write(Buffer.alloc(200_000))
          peer.socket.end()
        }
        const trigger = { FIN: 'peer-fin', terminate: 'terminate', violation: 'protocol-error' }[end]
        t.match(await connection.closed, { trigger })
        t.equal(unfinishedMessages.used, before, 'D4: nothing of it is held')
      }
    },
  )
}

await t.test('D11: a client asks where to read to, unless an agent has the socket', async (t) => {
  const asked = t.capture(Decoder.prototype, 'roomAhead')
  for (const transport of transports) {
    const { connection, peer } = await over(t, transport)
    asked()
    peer.write(serverText('x'))
    t.equal(await connection.receive(), 'x')
    await turns()
    t.equal(asked().length > 0, transport !== 'TCP by an agent', transport)
  }
})

await t.test('6455-4.1-early-frames: a message that the 101 cuts, and long ones behind it', async (t) => {
  const payload = Buffer.alloc(200_000, 'farewell, ')
  const frame = encodeFrame({ opcode: Opcode.binary, payload })
  const server = await rawServer(t, (peer, request) => {
    peer.write(Buffer.concat([Buffer.from(acceptance(request)), serverText('first'), frame, frame]))
    peer.write(serverText('last'))
  })
  const connection = await opened(t, server.url)
  connection.pause()
  await turns(5)
  connection.resume()
  t.equal(await connection.receive(), 'first')
  t.ok(same(await connection.receive(), payload))
  t.ok(same(await connection.receive(), payload))
  t.equal(await connection.receive(), 'last')
})

await t.test('6455-4.1-proxy-connect: an agent may tunnel', async (t) => {
  const { server: backend, port } = await serve(t)
  backend.on('connection', (connection) => void connection.send('through the tunnel'))
  const targets: (string | undefined)[] = []
  let open = true
  const proxy = createServer()
  proxy.on('connect', (request, socket: Duplex) => {
    targets.push(request.url)
    if (!open) {
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
      return
    }
    const onward = connectTcp(port, '127.0.0.1')
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    socket.pipe(onward).pipe(socket)
    for (const each of [socket, onward]) each.on('error', () => {})
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => {
    proxy.close()
  })
  const agent = new TunnelAgent(portOf(proxy))
  const connection = await opened(t, `ws://backend.example:${port}/`, { agent })
  t.equal(await connection.receive(), 'through the tunnel')
  t.match(await connection.close(1000), { wasClean: true })

  open = false
  const error = await failureOf(connect('ws://backend.example/', { agent }))
  t.match(
    error,
    { name: 'HandshakeError', message: /the proxy said HTTP\/1\.1 502/ },
    '6455-4.1-proxy-error-fails',
  )
  t.strictSame(targets, [`backend.example:${port}`, 'backend.example:80'])
})

await t.test('an agent that pools gets back what was refused, and nothing that is open', async (t) => {
  const agent = new Agent({ keepAlive: true, timeout: 60_000 })
  t.teardown(() => {
    agent.destroy()
  })
  const server = await rawServer(t, async (peer) => {
    peer.write('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n')
    peer.write(acceptance(await peer.head()))
  })
  t.match(await failureOf(connect(server.url, { agent })), { status: 403 })
  await until(() => Object.keys(agent.freeSockets).length === 1)
  await opened(t, server.url, { agent })
  t.equal(server.peers.length, 1)
  t.strictSame(Object.keys(agent.freeSockets), [])
  t.strictSame(Object.keys(agent.sockets), [])
})

await t.test('an agent for another scheme', async (t) => {
  await t.rejects(connect('wss://127.0.0.1:1/', { agent: new Agent() }), { code: 'ERR_INVALID_PROTOCOL' })
})
