import { once } from 'node:events'
import t from 'tap'
import { WebSocket as WsClient, WebSocketServer as WsServer } from 'ws'
import { connect, WebSocketServer } from '../../lib/index.ts'

function portOf(server: { address(): unknown }): number {
  const address = server.address()
  if (typeof address !== 'object' || address === null || !('port' in address))
    throw new Error('not listening')
  return Number(address.port)
}

t.test('our client and the server of ws: text, binary and a clean close', async (t) => {
  const server = new WsServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => server.close())
  server.on('connection', (peer) => {
    peer.on('message', (data, isBinary) => peer.send(data, { binary: isBinary }))
  })
  await once(server, 'listening')

  const connection = await connect(`ws://127.0.0.1:${portOf(server)}`)
  connection.send('grüß dich')
  t.equal(await connection.receive(), 'grüß dich')
  connection.send(Buffer.alloc(100_000, 7))
  t.strictSame(await connection.receive(), Buffer.alloc(100_000, 7))
  t.match(await connection.close(4000, 'bye'), {
    code: 4000,
    reason: 'bye',
    wasClean: true,
    initiator: 'local',
  })
})

t.test('the client of ws and our server: text, binary and a clean close', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.teardown(() => server.close())
  server.on('connection', (connection) => {
    connection.on('message', (message) => connection.send(message))
  })
  await once(server, 'listening')

  const peer = new WsClient(`ws://127.0.0.1:${portOf(server)}`)
  await once(peer, 'open')
  for (const [sent, isBinary] of [
    ['grüß dich', false],
    [Buffer.alloc(100_000, 7), true],
  ] as const) {
    const message = once(peer, 'message')
    peer.send(sent)
    t.strictSame(await message, [Buffer.from(sent), isBinary])
  }
  const closed = once(peer, 'close')
  peer.close(4000, 'bye')
  t.strictSame(await closed, [4000, Buffer.from('bye')])
})
