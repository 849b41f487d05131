/** What nginx and haproxy do to a handshake and to a silence, with both our sides; the peers meet them in `ways.ts`. */
import { once } from 'node:events'
import { copyFileSync } from 'node:fs'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { connect, type Connection, HandshakeError, refuse } from '../../lib/index.ts'
import { serve } from '../help/serve.ts'
import { absent } from './absent.ts'
import { folder } from './packages.ts'
import { haproxy, nginx, Proxy } from './proxy.ts'

/** Our client needs no port. */
function directly({ socketPath }: Proxy, path = '/'): string {
  return `ws+unix:${socketPath}:${path}`
}

/** What is wrong with the handshake. */
async function refusal(t: Test, url: string, options = {}): Promise<HandshakeError> {
  try {
    const connection = await connect(url, options)
    connection.terminate()
  } catch (error) {
    if (error instanceof HandshakeError) return error
    throw error
  }
  t.fail('the handshake succeeded')
  throw new Error('no refusal')
}

async function handshakes(t: Test, proxy: Proxy): Promise<void> {
  await t.test(
    '6455-4.2.1-upgrade-required: 426 says what is missing where Upgrade is not passed on',
    async (t) => {
      const { url } = await serve(t)
      proxy.lead(url)
      const { status, headers } = await refusal(t, directly(proxy, '/plain'))
      t.equal(status, 426)
      t.equal(headers['sec-websocket-version'], '13')
    },
  )

  await t.test('a refusal arrives whole', async (t) => {
    const verify = () => refuse(401, { headers: { 'WWW-Authenticate': 'Bearer' }, body: 'who are you?' })
    const { url } = await serve(t, { verify })
    proxy.lead(url)
    const { status, headers, body } = await refusal(t, directly(proxy))
    t.match({ status, body: String(body) }, { status: 401, body: 'who are you?' })
    t.equal(headers['www-authenticate'], 'Bearer')
  })

  await t.test('a header of 6 KiB arrives, one of 64 KiB is refused by the proxy', async (t) => {
    const { url, server } = await serve(t)
    proxy.lead(url)
    const accepted = once(server, 'connection')
    const connection = await connect(directly(proxy), { headers: { 'X-Long': 'x'.repeat(6 * 1024) } })
    const [, request] = await accepted
    t.equal(request.headers['x-long'].length, 6 * 1024)
    await connection.close()
    const { status } = await refusal(t, directly(proxy), { headers: { 'X-Long': 'x'.repeat(64 * 1024) } })
    t.equal(status, 400)
  })

  await t.test('502 where there is no server behind it', async (t) => {
    proxy.lead(undefined)
    t.equal((await refusal(t, directly(proxy))).status, 502)
  })

  await t.test(
    '6455-10.2-origin-check, 6455-10.2-origin-403: the same origin is known by the Host that the proxy passes on',
    async (t) => {
      const { url } = await serve(t)
      proxy.lead(url)
      const origin = 'http://localhost'
      const connection = await connect(directly(proxy), { origin })
      t.match(await connection.close(), { wasClean: true })
      t.equal((await refusal(t, directly(proxy, '/elsewhere'), { origin })).status, 403)
    },
  )
}

async function silences(t: Test, proxy: Proxy): Promise<void> {
  await t.test('a silent connection is cut by the proxy, one with keepalive is not', async (t) => {
    const { url, server } = await serve(t, { keepalive: false })
    const lively = await serve(t, { keepalive: { interval: 250, timeout: 60_000 } })
    proxy.lead(lively.url)
    const kept = await connect(directly(proxy, '/impatient'))
    proxy.lead(url)
    const accepted = once(server, 'connection')
    const cut = await connect(directly(proxy, '/impatient'))
    const [theirs]: Connection[] = await accepted
    t.match(await cut.closed, { code: 1006, wasClean: false, trigger: 'peer-fin' })
    t.match(await theirs?.closed, { code: 1006, wasClean: false, trigger: 'peer-fin' })
    t.equal(kept.state, 'open')
    t.ok((await kept.ping()) >= 0)
    t.match(await kept.close(1000), { code: 1000, wasClean: true })
  })
}

async function demo(t: Test, proxy: Proxy): Promise<void> {
  await t.test('the demo: its page, an echo, and the goodbye of a server that stops', async (t) => {
    const page = new URL('../../examples/page.html', import.meta.url)
    copyFileSync(new URL('../../examples/page.html', folder), page) // It is looked for beside the compiled demo.
    const { startDemo } = await import('../../examples/server.ts')
    const demo = await startDemo({ port: 0, host: '127.0.0.1', log: () => {} })
    t.teardown(() => demo.close())
    proxy.lead(demo.url.replace(/^http/, 'ws'))
    const asked = request({ socketPath: proxy.socketPath, path: '/', agent: false }).end()
    const [response] = await once(asked, 'response')
    t.equal(response.statusCode, 200)
    t.match(await text(response), '<title>')
    const connection = await connect(directly(proxy))
    connection.send('hello')
    t.equal(await connection.receive(), 'hello')
    const stopped = demo.close()
    t.match(await connection.closed, { code: 1001, reason: 'Server is shutting down', wasClean: true })
    await stopped
  })
}

for (const kind of [nginx, haproxy]) {
  await t.test(kind.name, async (t) => {
    const proxy = await Proxy.start(t, kind)
    if (proxy === undefined) return absent(t, kind.name, `apt-get install ${kind.name}`)
    await handshakes(t, proxy)
    await silences(t, proxy)
    await demo(t, proxy)
  })
}
