import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'undici'
import { WebSocketServer } from '../../lib/index.ts'

t.test('the WebSocket of undici and our server: text, binary and a clean close', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => server.close())
  server.on('connection', (connection) => {
    connection.on('message', (message) => connection.send(message))
  })
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('not listening')

  const peer = new WebSocket(`ws://127.0.0.1:${address.port}`)
  peer.binaryType = 'arraybuffer'
  await once(peer, 'open')
  for (const sent of ['grüß dich', new Uint8Array(100_000).fill(7)]) {
    const message = once(peer, 'message')
    peer.send(sent)
    const [{ data }] = await message
    t.strictSame(typeof data === 'string' ? data : new Uint8Array(data), sent)
  }
  const closed = once(peer, 'close')
  peer.close(4000, 'bye')
  const [{ code, reason, wasClean }] = await closed
  t.strictSame({ code, reason, wasClean }, { code: 4000, reason: 'bye', wasClean: true })
})
