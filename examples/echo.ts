/** The smallest server and the smallest client. */
import { connect, WebSocketServer } from '../lib/index.ts'

const port = Number(process.env['PORT'] ?? 8081)

const server = new WebSocketServer({ port })
server.on('connection', async (connection) => {
  for await (const message of connection) connection.send(message)
})

const client = await connect(`ws://localhost:${port}`)
for (const word of ['one', 'two', 'three']) client.send(word)
for await (const message of client) {
  console.log(message)
  if (message === 'three') void client.close(1000, 'bye') // ends the loop, too
}
console.log(await client.closed)
await server.close()
