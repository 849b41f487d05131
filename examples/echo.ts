/** The smallest server and the smallest client. */
import { connect, WebSocketServer } from '../lib/index.ts'

const port = Number(process.env['PORT'] ?? 8081)

const server = new WebSocketServer({ port })
server.on('connection', async (connection) => {
  for await (const message of connection) connection.send(message)
})

const client = await connect(`ws://localhost:${port}`)
for (const word of ['one', 'two', 'three']) client.send(word)
const closing = client.close(1000, 'bye') // goes out behind the words, and what is on its way still arrives
for await (const message of client) console.log(message)
console.log(await closing)
await server.close()
