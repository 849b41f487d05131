import t from 'tap'
import { constants } from 'node:buffer'
import { Agent, createServer } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { createServer as createNetServer } from 'node:net'
import { PassThrough } from 'node:stream'
import { inspect } from 'node:util'
import { connect, Connection, type ServerOptions, WebSocketServer } from '../../lib/index.ts'
import {
  checkConnectOptions,
  checkServerOptions,
  type ConnectionOptions,
  connectionSettings,
  type ConnectOptions,
  handshakeTimeout,
  integer,
  protocolList,
} from '../../lib/options.ts'

/** A value that the types forbid. */
type Wrong = readonly [name: string, value: unknown, error: 'TypeError' | 'RangeError']

const notANumber: readonly unknown[] = ['1', null, true, {}, [1], 1n]
const maxTime = 2 ** 31 - 1
const maxSize = 2 ** 32

function wrongIntegers(name: string, min: number, max: number): Wrong[] {
  return [
    ...notANumber.map((value): Wrong => [name, value, 'TypeError']),
    ...[min - 1, max + 1, min + 0.5, NaN, Infinity, -Infinity].map((value): Wrong => [
      name,
      value,
      'RangeError',
    ]),
  ]
}

function wrongCompression(name: string, min: number, max: number): Wrong[] {
  return wrongIntegers(name, min, max).map(([, value, error]): Wrong => [
    'compression',
    { [name]: value },
    error,
  ])
}

const wrongConnectionOptions: readonly Wrong[] = [
  ...['closeTimeout', 'lingerTimeout', 'progressTimeout'].flatMap((name) => wrongIntegers(name, 1, maxTime)),
  ...wrongIntegers('maxMessageSize', 1, constants.MAX_STRING_LENGTH),
  ...['highWaterMark', 'maxBufferedAmount', 'maxQueuedMessages'].flatMap((name) =>
    wrongIntegers(name, 1, maxSize),
  ),
  ['keepalive', null, 'TypeError'],
  ['keepalive', 5, 'TypeError'],
  ['keepalive', [], 'TypeError'],
  ['keepalive', { intervall: 5 }, 'TypeError'],
  ['keepalive', { interval: 0 }, 'RangeError'],
  ['keepalive', { interval: '5' }, 'TypeError'],
  ['keepalive', { timeout: maxTime + 1 }, 'RangeError'],
  ...[null, true, 5, [], {}, { interval: 1000 }].map((value): Wrong => ['rateLimit', value, 'TypeError']),
  ['rateLimit', { messages: 1, per: 5 }, 'TypeError'],
  ['rateLimit', { messages: 0 }, 'RangeError'],
  ['rateLimit', { messages: Infinity }, 'RangeError'],
  ['rateLimit', { bytes: 0 }, 'RangeError'],
  ['rateLimit', { bytes: '5' }, 'TypeError'],
  ['rateLimit', { bytes: 1, interval: 999 }, 'RangeError'],
  ['rateLimit', { bytes: 1, interval: maxTime + 1 }, 'RangeError'],
  ['rateLimit', { bytes: 1, onExcess: 'drop' }, 'TypeError'],
  ['onBackpressure', 'wait', 'TypeError'],
  ['onBackpressure', null, 'TypeError'],
  ['closeReply', 'never', 'TypeError'],
  ['closeReply', true, 'TypeError'],
  ...[null, 5, 'yes', []].map((value): Wrong => ['compression', value, 'TypeError']),
  ['compression', { treshold: 5 }, 'TypeError'],
  ...wrongCompression('threshold', 0, maxSize),
  ...wrongCompression('level', 0, 9),
  ...wrongCompression('memLevel', 1, 9),
  ...wrongCompression('serverMaxWindowBits', 8, 15),
  ...wrongCompression('clientMaxWindowBits', 8, 15),
  ['compression', { serverNoContextTakeover: 1 }, 'TypeError'],
  ['compression', { clientNoContextTakeover: null }, 'TypeError'],
  ['timers', 5, 'TypeError'],
  ['timers', null, 'TypeError'],
  ['random', {}, 'TypeError'],
  ['random', null, 'TypeError'],
]

const wrongConnectOptions: readonly Wrong[] = [
  ...wrongConnectionOptions,
  ...wrongIntegers('handshakeTimeout', 1, maxTime),
  ...wrongIntegers('followRedirects', 0, 20),
  ['protocols', 5, 'TypeError'],
  ['protocols', null, 'TypeError'],
  ['protocols', new Set(['a']), 'TypeError'],
  ['protocols', ['a', 5], 'TypeError'],
  ['protocols', ['a', 'b', 'a'], 'TypeError'],
  // 6455-4.1-protocol-token
  ...['', 'a b', 'a,b', 'a/b', 'é', 'a"', 'a\r\nb'].flatMap((protocol): Wrong[] => [
    ['protocols', protocol, 'TypeError'],
    ['protocols', [protocol], 'TypeError'],
  ]),
  ['headers', null, 'TypeError'],
  ['headers', 'a: b', 'TypeError'],
  ['headers', new Headers({ a: 'b' }), 'TypeError'],
  ['headers', new Map([['a', 'b']]), 'TypeError'],
  ['headers', { 'a b': 'c' }, 'TypeError'],
  ['headers', { a: 'b\r\nc: d' }, 'TypeError'],
  ['headers', { a: 5 }, 'TypeError'],
  ['headers', { Host: ['a', 'b'] }, 'TypeError'],
  ['headers', { origin: [] }, 'TypeError'],
  // 6455-4.1-own-headers-protected
  ...[
    'Connection',
    'Upgrade',
    'Sec-WebSocket-Key',
    'Sec-WebSocket-Version',
    'Sec-WebSocket-Protocol',
    'Sec-WebSocket-Extensions',
    'Sec-WebSocket-Accept',
    'Content-Length',
    'Transfer-Encoding',
    'Expect',
  ].map((name): Wrong => ['headers', { [name]: 'x' }, 'TypeError']),
  ['origin', 5, 'TypeError'],
  ['origin', null, 'TypeError'],
  ['origin', 'http://a\r\nb: c', 'TypeError'],
  ['agent', 'x', 'TypeError'],
  ['agent', null, 'TypeError'],
  ['agent', {}, 'TypeError'],
  ['tls', true, 'TypeError'],
  ['tls', null, 'TypeError'],
  ['signal', {}, 'TypeError'],
  ['signal', null, 'TypeError'],
]

const wrongServerOptions: readonly Wrong[] = [
  ...wrongConnectionOptions,
  ...wrongIntegers('handshakeTimeout', 1, maxTime),
  ...wrongIntegers('maxConnections', 1, maxSize),
  ...wrongIntegers('maxConnectionsPerAddress', 1, maxSize),
  ['path', 'chat', 'TypeError'],
  ['path', '/chat?room=1', 'TypeError'],
  ['path', '/chät', 'TypeError'],
  ['path', '/chat/../room', 'TypeError'],
  ['path', '', 'TypeError'],
  ['path', 5, 'TypeError'],
  ['path', null, 'TypeError'],
  ['path', /x/, 'TypeError'],
  ['host', 5, 'TypeError'],
  ['host', null, 'TypeError'],
  ['protocols', 5, 'TypeError'],
  ['protocols', null, 'TypeError'],
  ['protocols', ['a b'], 'TypeError'],
  ['protocols', ['a', 'a'], 'TypeError'],
  ['origins', 'http://a', 'TypeError'],
  ['origins', null, 'TypeError'],
  ['origins', [5], 'TypeError'],
  // What could never be equal to an Origin header.
  ...[
    'example.com',
    'null',
    '*',
    'https://example.com/',
    'https://example.com:443',
    'HTTPS://example.com',
    'https://Example.com',
    'https://bücher.example',
    'https://user@example.com',
  ].map((origin): Wrong => ['origins', [origin], 'TypeError']),
  ['verify', 'x', 'TypeError'],
  ['verify', null, 'TypeError'],
]

await t.test('connect: each wrong option is named, at once', async (t) => {
  for (const [name, value, error] of wrongConnectOptions) {
    const options = { [name]: value } as ConnectOptions
    const expected = { name: error, message: new RegExp(`"${name}[".]`) }
    t.throws(() => void connect('ws://127.0.0.1:1/', options), expected, `${name}: ${inspect(value)}`)
  }
})

await t.test('WebSocketServer: each wrong option is named, at once', async (t) => {
  for (const [name, value, error] of wrongServerOptions) {
    const options = { noServer: true, [name]: value } as ServerOptions
    const expected = { name: error, message: new RegExp(`"${name}[".]`) }
    t.throws(() => new WebSocketServer(options), expected, `${name}: ${inspect(value)}`)
  }
  for (const [name, value, error] of [
    ...wrongIntegers('port', 0, 65535),
    ['server', {}, 'TypeError'] as const,
    ['server', null, 'TypeError'] as const,
    ['server', createNetServer(), 'TypeError'] as const, // It upgrades nothing.
  ]) {
    const options = { [name]: value } as ServerOptions
    const expected = { name: error, message: new RegExp(`"${name}"`) }
    t.throws(() => new WebSocketServer(options), expected, `${name}: ${inspect(value)}`)
  }
})

await t.test('Connection: each wrong option is named, at once', async (t) => {
  const socket = new PassThrough()
  for (const [name, value, error] of wrongConnectionOptions) {
    const init = { role: 'server' as const, [name]: value }
    const expected = { name: error, message: new RegExp(`"${name}[".]`) }
    t.throws(() => new Connection(socket, init), expected, `${name}: ${inspect(value)}`)
  }
  socket.destroy()
})

await t.test('a misspelt option does not pass for its default', async (t) => {
  const misspelt: object = { maxMessagesize: 5 }
  t.throws(() => checkConnectOptions(misspelt), {
    name: 'TypeError',
    message: 'unknown option "maxMessagesize"',
  })
  const keepalive = { keepalive: { timeuot: 1 } } as ConnectionOptions
  t.throws(() => connectionSettings(keepalive, 'client'), { message: 'unknown option "keepalive.timeuot"' })
  t.throws(() => checkServerOptions({ noServer: true, ...misspelt }), { message: /"maxMessagesize"/ })
})

await t.test('the options are an object', async (t) => {
  for (const wrong of [null, 5, 'ws://h', []]) {
    const error = { name: 'TypeError', message: '"options" must be an object' }
    t.throws(() => void connect('ws://h', wrong as ConnectOptions), error)
    t.throws(() => new WebSocketServer(wrong as ServerOptions), error)
  }
  t.throws(() => new WebSocketServer(undefined as unknown as ServerOptions), { name: 'TypeError' })
})

await t.test('a server takes its requests from exactly one place', async (t) => {
  const server = createServer()
  const error = { name: 'TypeError', message: /exactly one of the options "port", "server" and "noServer"/ }
  t.throws(() => checkServerOptions({}), error)
  t.throws(() => checkServerOptions({ noServer: false }), error)
  t.throws(() => checkServerOptions({ port: 1, server }), error)
  t.throws(() => checkServerOptions({ port: 1, noServer: true }), error)
  t.throws(() => checkServerOptions({ server, noServer: true }), error)
  t.throws(() => checkServerOptions({ port: 1, noServer: 1 as unknown as boolean }), {
    message: /"noServer"/,
  })
  for (const options of [{ server }, { noServer: true }])
    t.throws(() => checkServerOptions({ ...options, host: '::1' }), { name: 'TypeError', message: /"host"/ })
  for (const options of [{ port: 0 }, { port: 65535, host: '::1', noServer: false }, { server }]) {
    t.doesNotThrow(() => checkServerOptions(options))
  }
})

await t.test(
  'an origin that no list may hold: what is said leads to the function that may allow it',
  async (t) => {
    for (const origin of ['chrome-extension://abc', 'capacitor://localhost']) {
      t.throws(() => checkServerOptions({ noServer: true, origins: [origin] }), {
        message: /only a function/,
      })
    }
  },
)

await t.test('what is right passes', async (t) => {
  const most: ConnectionOptions = {
    closeTimeout: maxTime,
    lingerTimeout: 1,
    progressTimeout: 1,
    keepalive: { interval: 1 },
    maxMessageSize: constants.MAX_STRING_LENGTH,
    highWaterMark: 1,
    maxBufferedAmount: 1,
    onBackpressure: 'drop',
    maxQueuedMessages: 1,
    rateLimit: { messages: 1, bytes: 1, interval: 1000, onExcess: 'pause' },
    closeReply: 'manual',
    compression: {
      threshold: 0,
      level: 0,
      memLevel: 1,
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 8,
      clientMaxWindowBits: 8,
    },
  }
  t.match(connectionSettings(most, 'client'), { ...most, keepalive: { interval: 1, timeout: 20_000 } })
  t.doesNotThrow(() => {
    checkConnectOptions({
      ...most,
      // 6455-4.1-protocol-unique: names that differ in case are different
      protocols: ['a', 'A', "!#$%&'*+-.^_`|~"],
      headers: { Host: 'x', Cookie: 'y', Authorization: ['z'] },
      origin: 'null',
      agent: new Agent(),
      tls: {},
      signal: AbortSignal.abort(),
      handshakeTimeout: 1,
      followRedirects: 20,
    })
  })
  t.doesNotThrow(() => checkConnectOptions({ agent: new HttpsAgent(), protocols: 'one' }))
  t.doesNotThrow(() => {
    checkServerOptions({
      ...most,
      noServer: true,
      path: '/',
      protocols: [],
      origins: ['https://example.com', 'http://[::1]:81', 'https://xn--bcher-kva.example'],
      verify: () => undefined,
      maxConnections: 1,
      maxConnectionsPerAddress: 1,
    })
    checkServerOptions({ noServer: true, path: () => true, protocols: () => undefined, origins: () => true })
  })
})

await t.test('D10: the defaults', async (t) => {
  const common = {
    closeTimeout: 10_000,
    lingerTimeout: 2_000,
    progressTimeout: 30_000,
    maxMessageSize: 16 * 1024 * 1024,
    highWaterMark: 1024 * 1024,
    maxBufferedAmount: 16 * 1024 * 1024,
    onBackpressure: 'terminate',
    maxQueuedMessages: 64,
    rateLimit: false,
    closeReply: 'auto',
  }
  const keepalive = { interval: 25_000, timeout: 20_000 }
  t.match(connectionSettings({}, 'server'), { ...common, keepalive })
  t.match(connectionSettings({}, 'client'), { ...common, keepalive: false })
  t.match(connectionSettings({ keepalive: true }, 'client'), { keepalive })
  t.match(connectionSettings({ keepalive: false }, 'server'), { keepalive: false })
  const rateLimit = { messages: 5, bytes: Number.MAX_SAFE_INTEGER, interval: 1000, onExcess: 'close' }
  const limited = connectionSettings({ rateLimit: { messages: 5 } }, 'server')
  t.match(limited, { rateLimit })
  t.match(connectionSettings(limited, 'server'), { rateLimit }, 'what is decided stays so')
  t.match(connectionSettings({ rateLimit: { bytes: 7 } }, 'server'), { rateLimit: { bytes: 7 } })
  const compression = {
    threshold: 256,
    level: 6,
    memLevel: 8,
    serverNoContextTakeover: false,
    clientNoContextTakeover: false,
    serverMaxWindowBits: 15,
    clientMaxWindowBits: 15,
  }
  t.match(connectionSettings({}, 'client'), { compression: false }, '7692-8-crime: off unless asked for')
  t.match(connectionSettings({ compression: false }, 'server'), { compression: false })
  t.match(connectionSettings({ compression: true }, 'server'), { compression }, '7692-7.3-window-1024')
  t.match(connectionSettings({ compression: { level: 1 } }, 'client'), {
    compression: { ...compression, level: 1 },
  })
  t.equal(handshakeTimeout({}), 10_000)
  t.equal(integer('x', undefined, 7, 0, 1), 7)
  t.strictSame(protocolList(undefined), [])
  t.strictSame(protocolList('a'), ['a'])
})
