/** The server under soak, in a process of its own: it echoes, and closes where it is asked to. */
import { once } from 'node:events'
import { type Message, WebSocketServer } from 'farewell'
import { portOf } from '../help/serve.ts'
import { beSoaked } from './child.ts'

/** Bytes to lose for each connection, to see that it is found. */
const leak = Number(process.argv[2] ?? 0)
const lost: unknown[] = []
let messages = 0

await beSoaked(async () => {
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    compression: true,
    maxMessageSize: 2 * 1024 * 1024,
    handshakeTimeout: 3000,
    closeTimeout: 3000,
    lingerTimeout: 1000,
    progressTimeout: 3000,
    keepalive: { interval: 10_000, timeout: 10_000 },
  })
  await once(server, 'listening')
  server.on('connection', (connection) => {
    if (leak > 0) lost.push('x'.repeat(leak).split(''))
    connection.on('message', async (message: Message) => {
      messages++
      if (message === 'close me') void connection.close(1000, 'as you wish')
      if (connection.state !== 'open' || connection.send(message)) return
      connection.pause()
      await connection.drained()
      connection.resume()
    })
  })
  return {
    port: portOf(server),
    count: () => ({ messages, connections: server.connections.size }),
    stop: async () => ({ ...(await server.close()) }),
  }
})
