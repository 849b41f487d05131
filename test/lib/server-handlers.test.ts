/**
 * What the application's own code does wrong must not end the process: each listener and callback that throws or
 * rejects costs its connection, is told of once, and the next client is served (D2; E1, E2 and E3 of the attacks).
 */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import {
  connect,
  type Connection,
  type ConnectionEvents,
  type HandshakeError,
  type ServerOptions,
  WebSocketServer,
} from '../../lib/index.ts'
import { turns, watchProcess } from '../help/loop.ts'
import { matchEach } from '../help/match-each.ts'
import { exchange, rawClient, upgradeRequest } from '../help/raw-http.ts'
import { portOf, serve, type Served } from '../help/serve.ts'

/** What is wrong in a test, thrown or rejected with. */
const broken = new Error('broken')

const faults: readonly (readonly [how: string, fault: () => unknown, told: unknown])[] = [
  ['throws', thrower(broken), broken],
  ['throws no Error', thrower('text'), 'text'],
  ['rejects', () => Promise.reject(broken), broken],
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors
  ['rejects with nothing', () => Promise.reject(undefined), undefined],
]

function thrower(what: unknown): () => never {
  return () => {
    throw what
  }
}

/** Everything that a server told of handlers, with the connection. */
type Report = readonly [error: unknown, connection: Connection | undefined]

function reportsOf(served: Served<undefined>): Report[] {
  const reports: Report[] = []
  served.server.on('handlerError', (...report) => {
    reports.push(report)
    served.errors.length = 0 // This test takes note of it.
  })
  return reports
}

for (const name of ['path', 'origins', 'verify', 'protocols'] as const) {
  for (const [how, fault, told] of faults) {
    await t.test(`${name} ${how}: a 500, told of once, and the next client is served`, async (t) => {
      let wrong = true
      const answers = { path: true, origins: true, verify: undefined, protocols: 'a' }
      const callback = (): unknown => (wrong ? fault() : answers[name])
      const options = { [name]: callback } as Partial<ServerOptions>
      const served = await serve(t, options)
      const reports = reportsOf(served)
      const { port, url } = served
      const answer = await exchange(t, port, upgradeRequest({ lines: ['Sec-WebSocket-Protocol: a'] }))
      t.match(answer, { start: 'HTTP/1.1 500 Internal Server Error', body: 'Internal Server Error\n' })
      await turns(2)
      // Only verify may return a promise; that another callback did is what is told then.
      const late = how.startsWith('rejects') && name !== 'verify'
      t.equal(reports.length, 1)
      if (late)
        t.match(reports[0], [{ name: 'TypeError', message: `"${name}" must answer at once` }, undefined])
      else t.strictSame(reports[0], [told, undefined])
      wrong = false
      const connection = await connect(url, { protocols: 'a' })
      t.equal((await connection.close()).wasClean, true)
      t.equal(reports.length, 1)
    })
  }
}

await t.test('a path that throws for a request that is no upgrade', async (t) => {
  const served = await serve(t, { path: thrower(broken) })
  t.match(await exchange(t, served.port, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'), { status: 426 })
})

await t.test('verify that fails as a handshake of its own does', async (t) => {
  // A proxy that connects to its backend first: its HandshakeError is no sign that our client has left.
  const closed = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(closed, 'listening')
  const nowhere = `ws://127.0.0.1:${portOf(closed)}/`
  await closed.close()
  const served = await serve(t, { verify: () => connect(nowhere).then(() => undefined) })
  const reports = reportsOf(served)
  t.match(await exchange(t, served.port, upgradeRequest()), { status: 500 })
  matchEach(t, reports, [[{ name: 'HandshakeError' }, undefined]])
})

for (const [how, fault, told] of faults) {
  await t.test(`a connection listener ${how}: 1011, told of once`, async (t) => {
    const served = await serve(t)
    const reports = reportsOf(served)
    const { server, url } = served
    let opened: Connection | undefined
    server.once('connection', (connection) => {
      opened = connection
      return fault()
    })
    const connection = await connect(url)
    t.match(await connection.closed, { code: 1011, wasClean: true, trigger: 'peer-close' })
    t.match(await opened?.closed, { sent: { code: 1011 }, trigger: 'handler-error' })
    t.strictSame(reports, [[told, opened]])
    const next = await connect(url)
    t.equal((await next.close()).wasClean, true)
  })
}

/** Makes the connection of the server emit that event, and ends it where it would not end itself. */
const provocations: readonly (readonly [keyof ConnectionEvents, (client: Connection) => unknown])[] = [
  ['message', (client) => client.send('x')],
  ['ping', (client) => client.ping()],
  ['pong', () => {}], // The server's own Ping, below.
  ['drain', () => {}], // So is its message.
  ['state', (client) => client.close()],
  ['close', (client) => client.close()],
]

for (const [event, provoke] of provocations) {
  for (const [how, fault, told] of faults) {
    await t.test(`E2, E3: a ${event} listener ${how}: told of once, with its connection`, async (t) => {
      const served = await serve(t)
      const reports = reportsOf(served)
      const { server, url } = served
      const other = await connect(url)
      let opened: Connection | undefined
      server.once('connection', (connection) => {
        opened = connection
        connection.once<keyof ConnectionEvents>(event, () => fault())
        if (event === 'pong') void connection.ping()
        if (event === 'drain') connection.send(Buffer.alloc(2 * 1024 * 1024))
      })
      const client = await connect(url)
      client.on('message', () => {}) // Or a full queue would keep the Close from being read.
      void provoke(client)
      const info = await client.closed
      await opened?.closed
      await turns(2)
      t.strictSame(reports, [[told, opened]])
      // A connection that was closing already goes on as it did.
      if (event !== 'close' && event !== 'state') t.match(info, { code: 1011, wasClean: true })
      t.equal(other.state, 'open', 'nobody else is concerned')
      await other.close()
    })
  }
}

for (const [how, fault, told] of faults) {
  await t.test(`listeners of the server itself: ${how}`, async (t) => {
    const reports: Report[] = []
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    server.on('handlerError', (...report) => reports.push(report))
    const listening = once(server, 'listening')
    server.on('listening', () => fault())
    server.on('close', () => fault())
    await listening
    await turns(2)
    t.strictSame(reports, [[told, undefined]])

    const second = new WebSocketServer({ port: portOf(server), host: '127.0.0.1' })
    second.on('handlerError', (...report) => reports.push(report))
    second.on('error', () => fault())
    await new Promise((resolve) => void second.once('handlerError', resolve))
    await turns(2)
    t.strictSame(reports[1], [told, undefined])
    t.equal(reports.length, 2)

    t.strictSame(await server.close(), { clean: 0, unclean: 0, terminated: 0 })
    await second.close()
    await turns(2)
    t.strictSame(reports[2], [told, undefined])
    t.equal(reports.length, 3)
  })
}

/** A server whose verify fails once for each request. */
async function failing(t: Test): Promise<{ server: WebSocketServer; ask: () => Promise<number> }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', verify: thrower(broken) })
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `ws://127.0.0.1:${portOf(server)}/`
  const ask = (): Promise<number> =>
    connect(url).then(
      () => 101,
      (error: HandshakeError) => error.status ?? 0,
    )
  return { server, ask }
}

await t.test('without a handlerError listener it is a warning of the process', async (t) => {
  const { ask } = await failing(t)
  const watch = watchProcess()
  t.equal(await ask(), 500)
  t.strictSame(await watch.stop(), [broken])
})

for (const [how, fault, told] of faults) {
  await t.test(`a handlerError listener ${how}: a warning of the process`, async (t) => {
    const { server, ask } = await failing(t)
    server.on('handlerError', () => fault())
    const watch = watchProcess()
    t.equal(await ask(), 500)
    const seen = await watch.stop()
    t.equal(seen.length, 1)
    t.match(seen[0], told instanceof Error ? told : { message: /^a handler threw / })
    t.equal(await ask(), 500, 'the server is alive')
    await turns(2)
  })
}

await t.test('E1: no bytes end a process that has no listeners at all', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  t.teardown(() => server.close())
  const port = portOf(server)
  const watch = watchProcess()
  for (const bytes of ['f18000000000', '8102', '838000000000', '88820000000003e7', '818100000000ff', '00']) {
    const peer = await rawClient(t, port)
    peer.write(upgradeRequest())
    await peer.head()
    peer.write(Buffer.from(bytes, 'hex'))
    peer.socket.end()
    await peer.rest()
  }
  const connection = await connect(`ws://127.0.0.1:${port}/`)
  t.match(await connection.close(), { wasClean: true })
  t.strictSame(await watch.stop(), [])
})
