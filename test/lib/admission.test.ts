import t from 'tap'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { Admission, type Admitted } from '../../lib/admission.ts'
import { HandshakeError } from '../../lib/errors.ts'
import type { ServerOptions } from '../../lib/options.ts'
import { Refusal, refuse } from '../../lib/refusal.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { parseHead, type RequestParts, sampleKey, upgradeRequest } from '../help/raw-http.ts'

/** The request as Node's parser hands it on. */
function incoming(parts: RequestParts = {}): IncomingMessage {
  const { start, fields } = parseHead(upgradeRequest(parts))
  const [method, url, version = ''] = start.split(' ')
  const rawHeaders = fields.flat()
  return Object.assign(new IncomingMessage(new Socket()), {
    method,
    url,
    httpVersion: version.slice('HTTP/'.length),
    rawHeaders,
  })
}

function admission<Context = undefined>(options: Partial<ServerOptions<Context>>): Admission<Context> {
  return new Admission<Context>({ noServer: true, ...options })
}

/** The status that a request is refused with, or 'open'. */
async function verdict<Context>(options: Partial<ServerOptions<Context>>, parts: RequestParts = {}) {
  const decided = await admission(options).decide(incoming(parts), new Socket())
  return decided instanceof Refusal ? decided.status : 'open'
}

function protocolsOf(decided: Admitted<unknown> | Refusal): string {
  if (decided instanceof Refusal) throw new Error(`refused with ${decided.status}`)
  return decided.protocol
}

await t.test('without any option each good request is admitted', async (t) => {
  const decided = await admission({}).decide(incoming({ target: '/any' }), new Socket())
  t.strictSame(decided, {
    key: sampleKey,
    protocol: '',
    deflate: undefined,
    extensions: [],
    context: undefined,
  })
})

await t.test('7692-5.1-server-may-decline, 7692-5.1-decline-is-not-failure', async (t) => {
  const decide = async (compression: ServerOptions['compression'], header: string) => {
    const options = compression === undefined ? {} : { compression }
    const parts = { lines: [`Sec-WebSocket-Extensions: ${header}`] }
    const decided = await admission(options).decide(incoming(parts), new Socket())
    if (decided instanceof Refusal) throw new Error(`refused with ${decided.status}`)
    return decided
  }
  const none = { deflate: undefined, extensions: [] }
  t.match(await decide(undefined, 'permessage-deflate'), none)
  t.match(await decide(false, 'permessage-deflate'), none)
  t.match(await decide(true, 'x-unknown, permessage-deflate; unknown'), none)
  t.match(await decide({ serverMaxWindowBits: 10 }, 'permessage-deflate'), {
    deflate: { serverMaxWindowBits: 10, clientMaxWindowBits: 15 },
    extensions: [{ name: 'permessage-deflate', parameters: [['server_max_window_bits', '10']] }],
  })
})

await t.test('the order is syntax, path, origin, verify, subprotocol', async (t) => {
  const order: string[] = []
  const options: Partial<ServerOptions> = {
    path(path) {
      order.push(`path ${path}`)
      return path === '/chat'
    },
    origins(origin) {
      order.push(`origin ${origin}`)
      return origin === 'http://good'
    },
    verify(request) {
      order.push(`verify ${request.headers.host ?? request.rawHeaders[1]}`)
      return undefined
    },
    protocols(offered) {
      order.push(`protocols ${offered.join()}`)
      return 'b'
    },
  }
  const lines = ['Sec-WebSocket-Protocol: a, b', 'Origin: http://good']
  t.equal(await verdict(options, { method: 'POST', target: '/chat', lines }), 405)
  t.strictSame(order, [])
  t.equal(await verdict(options, { target: '/other', lines }), 404, '6455-4.2.2-resource-404')
  t.equal(await verdict(options, { target: '/chat', lines: ['Origin: http://evil'] }), 403)
  t.equal(await verdict(options, { target: '/chat?x', lines }), 'open')
  const wanted = 'path /chat;origin http://good;verify 127.0.0.1;protocols a,b'
  t.equal(order.slice(-4).join(';'), wanted, '6455-4.2.2-origin-available')
})

await t.test('path: exact, or a function; a target without a path is served, to be refused', async (t) => {
  const rows: readonly (readonly [path: ServerOptions['path'], target: string, served: boolean])[] = [
    [undefined, '/any', true],
    ['/chat', '/chat', true],
    ['/chat', '/chat?token=1', true],
    ['/chat', 'http://h/chat', true],
    ['/chat', '/chat/', false],
    ['/chat', '/CHAT', false],
    ['/chat', '/chat/x', false],
    ['/chat', '/%63hat', false],
    ['/chat', '*', true],
    [(path) => path.startsWith('/c'), '/chat', true],
    [(path) => path.startsWith('/c'), '/b', false],
  ]
  for (const [path, target, served] of rows) {
    const gate = admission(path === undefined ? {} : { path })
    t.equal(gate.serves(incoming({ target })), served, `${String(path)} and ${target}`)
  }
  const bare = incoming()
  delete bare.url
  t.ok(admission({ path: '/chat' }).serves(bare))
})

await t.test('H10, 6455-10.2-origin-403: the origin policy', async (t) => {
  const asks = (origin: string | undefined): RequestParts =>
    origin === undefined ? {} : { lines: [`Origin: ${origin}`] }
  const list = ['https://good.example', 'https://good.example:8443']
  const rows: readonly (readonly [ServerOptions['origins'], string | undefined, number | 'open'])[] = [
    // By default the same host, and who sends no Origin: 6455-4.2.1-origin-optional.
    [undefined, undefined, 'open'],
    [undefined, 'http://127.0.0.1', 'open'],
    [undefined, 'http://127.0.0.1:81', 403],
    [undefined, 'http://evil', 403],
    [undefined, 'null', 403],
    [undefined, '', 403],
    // A list, exactly.
    [list, undefined, 'open'],
    [list, 'https://good.example', 'open'],
    [list, 'https://good.example:8443', 'open'],
    [list, 'https://good.example.evil', 403],
    [list, 'https://evil.good.example', 403],
    [list, 'https://good.example:1', 403],
    [list, 'http://good.example', 403],
    [list, 'HTTPS://GOOD.EXAMPLE', 403],
    [list, 'https://good.example/', 403],
    [list, 'null', 403],
    [list, 'http://127.0.0.1', 403],
    [[], 'http://127.0.0.1', 403],
    // A function has the whole say.
    [() => true, 'http://evil', 'open'],
    [() => false, undefined, 403],
    [(origin) => origin === undefined, undefined, 'open'],
    [(origin, request) => origin === `http://${request.rawHeaders[1]}`, 'http://127.0.0.1', 'open'],
  ]
  for (const [origins, origin, expected] of rows) {
    const options = origins === undefined ? {} : { origins }
    t.equal(await verdict(options, asks(origin)), expected, `${String(origins)} and ${origin}`)
  }
})

await t.test('the subprotocol is one of those offered, or none', async (t) => {
  const offer = incoming({ lines: ['Sec-WebSocket-Protocol: a, b'] })
  const chosen = async (protocols: ServerOptions['protocols'], request = offer): Promise<string> => {
    const options = protocols === undefined ? {} : { protocols }
    return protocolsOf(await admission(options).decide(request, new Socket()))
  }
  t.equal(await chosen(undefined), '')
  t.equal(await chosen(['b', 'a']), 'b', "the server's order decides; 6455-4.2.2-subprotocol-single")
  t.equal(await chosen(['x', 'a']), 'a')
  t.equal(await chosen('b'), 'b')
  t.equal(await chosen(['A']), '', '6455-4.2.2-subprotocol-none')
  t.equal(await chosen((offered) => offered[1]), 'b')
  t.equal(await chosen(() => undefined), '', '6455-4.2.2-subprotocol-not-empty')
  t.equal(await chosen(() => ''), '', '6455-4.2.2-subprotocol-not-empty')
  t.equal(await chosen(['a'], incoming()), '')
  t.equal(await chosen(() => 'a', incoming()), '', 'not asked where nothing was offered')
  for (const foreign of ['c', 'a\r\nSet-Cookie: x', 'A']) {
    const message = `"protocols" chose ${JSON.stringify(foreign)}, which the client did not offer`
    await t.rejects(
      chosen(() => foreign),
      { name: 'TypeError', message },
      '6455-4.2.2-subprotocol-from-request and H11',
    )
  }
})

await t.test('what verify returns is the context, now or later', async (t) => {
  const user = { name: 'x' }
  for (const verify of [() => user, () => Promise.resolve(user)]) {
    const timers = new FakeTimers()
    const decided = await admission({ verify, timers }).decide(incoming(), new Socket())
    t.match(decided, { context: user })
    t.equal(timers.armed, 0)
  }
  for (const verify of [() => refuse(401), () => Promise.resolve(refuse(401))]) {
    t.equal(await verdict<undefined>({ verify }), 401)
  }
  // oxlint-disable-next-line unicorn/no-thenable
  const thenable = { then: (resolve: (value: Refusal) => void) => resolve(refuse(402)) }
  const verify = (): Promise<Refusal> => thenable as unknown as Promise<Refusal>
  t.equal(await verdict({ verify }), 402, 'anything with a then')
})

await t.test('what a callback throws or rejects with comes out', async (t) => {
  const error = new Error('broken')
  const broken = (): never => {
    throw error
  }
  const offer = { lines: ['Sec-WebSocket-Protocol: a'] }
  for (const options of [
    { path: broken },
    { origins: broken },
    { verify: broken },
    { verify: () => Promise.reject(error) },
    { protocols: broken },
  ]) {
    await t.rejects(verdict(options, offer), error)
  }
  t.throws(() => admission({ path: broken }).serves(incoming()), error)
})

await t.test('a promise does not pass for a yes', async (t) => {
  // oxlint-disable-next-line unicorn/no-thenable
  const ofAnotherLibrary = { then: () => Promise.resolve(false) } as unknown as PromiseLike<boolean>
  const later = (outcome: PromiseLike<unknown>) => (() => outcome) as unknown as () => never
  const offer = { lines: ['Sec-WebSocket-Protocol: a'] }
  for (const name of ['path', 'origins', 'protocols']) {
    for (const outcome of [Promise.resolve(true), Promise.reject(new Error('broken')), ofAnotherLibrary]) {
      const expected = { name: 'TypeError', message: `"${name}" must answer at once` }
      await t.rejects(verdict({ [name]: later(outcome) }, offer), expected)
    }
  }
})

await t.test('H12: verify that does not come to an end is a 503 after the handshake timeout', async (t) => {
  const timers = new FakeTimers()
  const socket = new Socket()
  let settle: (error: Error) => void = () => {}
  const verify = (): Promise<undefined> =>
    new Promise((_resolve, reject) => {
      settle = reject
    })
  const decided = admission({ verify, timers, handshakeTimeout: 500 }).decide(incoming(), socket)
  timers.advance(499)
  t.equal(timers.armed, 1)
  timers.advance(1)
  t.match(await decided, { status: 503, body: 'the decision took too long\n' })
  t.equal(timers.armed, 0)
  t.equal(socket.listenerCount('close'), 0)
  settle(new Error('too late'))
})

await t.test('the default handshake timeout is 10 s', async (t) => {
  const timers = new FakeTimers()
  const socket = new Socket()
  const decided = admission({ verify: () => new Promise(() => {}), timers }).decide(incoming(), socket)
  timers.advance(9_999)
  t.equal(timers.armed, 1)
  timers.advance(1)
  t.match(await decided, { status: 503 })
})

await t.test('R3: a client that leaves ends the wait', async (t) => {
  const timers = new FakeTimers()
  const socket = new Socket()
  const decided = admission({ verify: () => new Promise(() => {}), timers }).decide(incoming(), socket)
  socket.destroy()
  await t.rejects(decided, HandshakeError)
  t.equal(timers.armed, 0)
})

await t.test('those that are not decided about can be refused all at once', async (t) => {
  const timers = new FakeTimers()
  const pending = admission({ verify: () => new Promise(() => {}), timers })
  const sockets = [new Socket(), new Socket()]
  const all = sockets.map((socket) => pending.decide(incoming(), socket))
  pending.refuseUndecided(refuse(503))
  t.match(await Promise.all(all), [{ status: 503 }, { status: 503 }])
  t.equal(timers.armed, 0)
  pending.refuseUndecided(refuse(500))
})
