/** permessage-deflate with others: every combination of parameters with `ws`, and the clients of undici and Node. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { WebSocket as UndiciSocket } from 'undici'
import { type PerMessageDeflateOptions, WebSocket, WebSocketServer as WsServer } from 'ws'
import { type CompressionOptions, connect, type Connection, WebSocketServer } from '../../lib/index.ts'
import { portOf } from '../help/serve.ts'
import { textOf } from '../lib/deflate/samples.ts'
import { type WhatwgSocket, whatwgPeer } from './whatwg-peer.ts'

const windows = [8, 9, 12, 15, undefined]
const flags = [false, true]
/** On both sides of the borders to the thread pools, theirs and ours. */
const sizes = [100, 1023, 1024, 5000, 20_000, 100_000, 1024 * 1024, 0]

interface Parameters {
  readonly serverNoContextTakeover: boolean
  readonly clientNoContextTakeover: boolean
  readonly serverMaxWindowBits: number | undefined
  readonly clientMaxWindowBits: number | undefined
}

const combinations: Parameters[] = flags.flatMap((serverNoContextTakeover) =>
  flags.flatMap((clientNoContextTakeover) =>
    windows.flatMap((serverMaxWindowBits) =>
      windows.map((clientMaxWindowBits) => ({
        serverNoContextTakeover,
        clientNoContextTakeover,
        serverMaxWindowBits,
        clientMaxWindowBits,
      })),
    ),
  ),
)

/** Without the keys that are not set. */
function options(parameters: Parameters): CompressionOptions {
  const { serverMaxWindowBits, clientMaxWindowBits, ...takeovers } = parameters
  return {
    ...takeovers,
    threshold: 0,
    ...(serverMaxWindowBits === undefined ? {} : { serverMaxWindowBits }),
    ...(clientMaxWindowBits === undefined ? {} : { clientMaxWindowBits }),
  }
}

function wsOptions(parameters: Parameters): PerMessageDeflateOptions {
  return { ...options(parameters), threshold: 0 }
}

/** Few of the long ones: there are a hundred combinations. */
function messages(at: number): (string | Buffer)[] {
  const some = at % 20 === 0 ? sizes : sizes.filter((size) => size < 50_000)
  return some.flatMap((size) => [textOf(size, at), Buffer.from(textOf(size, at))])
}

/** Each message there and back, one by one; then all at once; then in fragments of theirs. */
async function talk(t: Test, ours: Connection, theirs: WebSocket, at: number): Promise<void> {
  theirs.on('message', (data, isBinary) => {
    theirs.send(data, { binary: isBinary })
  })
  const sent = messages(at)
  for (const each of sent) {
    ours.send(each)
    const back = await ours.receive()
    if (!Buffer.from(back).equals(Buffer.from(each)) || typeof back !== typeof each)
      t.fail(`${each.length} bytes came back as ${back.length}`)
  }
  for (const each of sent) ours.send(each)
  for (const each of sent) {
    const back = await ours.receive()
    if (!Buffer.from(back).equals(Buffer.from(each))) t.fail(`${each.length} bytes at once`)
  }
  for (const part of ['one ', 'two ', textOf(3000)]) theirs.send(part, { fin: false, binary: false })
  theirs.send('', { fin: true, binary: false })
  t.equal(await ours.receive(), `one two ${textOf(3000)}`)
}

await t.test('our server and the client of ws', async (t) => {
  for (const [at, parameters] of combinations.entries()) {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', compression: options(parameters) })
    await once(server, 'listening')
    const accepted = once(server, 'connection')
    const theirs = new WebSocket(`ws://127.0.0.1:${portOf(server)}`, { perMessageDeflate: { threshold: 0 } })
    const [ours]: Connection[] = await accepted
    if (ours === undefined) throw new Error('no connection')
    await once(theirs, 'open')
    t.match(theirs.extensions, 'permessage-deflate')
    await talk(t, ours, theirs, at)
    theirs.close(1000)
    t.match(await ours.closed, { code: 1000, wasClean: true }, JSON.stringify(parameters))
    await server.close()
  }
})

await t.test('our server and what the client of ws asks for', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', compression: { threshold: 0 } })
  await once(server, 'listening')
  for (const [at, parameters] of combinations.entries()) {
    const accepted = once(server, 'connection')
    const perMessageDeflate = wsOptions(parameters)
    const theirs = new WebSocket(`ws://127.0.0.1:${portOf(server)}`, { perMessageDeflate })
    const [ours]: Connection[] = await accepted
    if (ours === undefined) throw new Error('no connection')
    await once(theirs, 'open')
    t.match(theirs.extensions, 'permessage-deflate', JSON.stringify(parameters))
    await talk(t, ours, theirs, at)
    ours.terminate()
    await ours.closed
  }
  await server.close()
})

await t.test('our client and the server of ws', async (t) => {
  for (const [at, parameters] of combinations.entries()) {
    const server = new WsServer({ port: 0, host: '127.0.0.1', perMessageDeflate: { threshold: 0 } })
    await once(server, 'listening')
    const accepted = once(server, 'connection')
    const ours = await connect(`ws://127.0.0.1:${portOf(server)}`, { compression: options(parameters) })
    const [theirs]: WebSocket[] = await accepted
    if (theirs === undefined) throw new Error('no connection')
    t.match(theirs.extensions, 'permessage-deflate', JSON.stringify(parameters))
    await talk(t, ours, theirs, at)
    theirs.close(1000)
    t.match(await ours.closed, { code: 1000, wasClean: true }, JSON.stringify(parameters))
    server.close()
  }
})

await t.test('the clients of undici and of Node', async (t) => {
  const clients = {
    undici: (url: string): EventTarget & WhatwgSocket => new UndiciSocket(url),
    ...('WebSocket' in globalThis ? { Node: (url: string) => new globalThis.WebSocket(url) } : {}),
  }
  for (const [name, open] of Object.entries(clients)) {
    for (const parameters of combinations.slice(0, 25)) {
      const server = new WebSocketServer({ port: 0, host: '127.0.0.1', compression: options(parameters) })
      await once(server, 'listening')
      const accepted = once(server, 'connection')
      const theirs = await whatwgPeer(open(`ws://127.0.0.1:${portOf(server)}`))
      const [ours]: Connection[] = await accepted
      for (const size of [0, 100, 5000, 200_000]) {
        for (const message of [textOf(size), Buffer.from(textOf(size))]) {
          ours?.send(message)
          t.strictSame(await theirs.receive(), message, `${name}, ${size}: ${JSON.stringify(parameters)}`)
          theirs.send(message)
          t.strictSame(await ours?.receive(), message)
        }
      }
      theirs.close(1000)
      t.match(await ours?.closed, { code: 1000, wasClean: true })
      await server.close()
    }
  }
})
