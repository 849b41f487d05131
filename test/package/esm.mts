import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type CloseInfo, connect, WebSocketServer } from 'farewell'
import { Opcode } from 'farewell/frames'

async function main(): Promise<void> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (connection) => {
    connection.on('message', (message) => connection.send(message))
  })
  await once(server, 'listening')
  const address = server.address()
  assert(address !== null && typeof address === 'object')

  const connection = await connect(`ws://127.0.0.1:${address.port}`)
  connection.send('hello')
  assert.equal(await connection.receive(), 'hello')
  const info: CloseInfo = await connection.close(1000, 'bye')
  assert.equal(info.wasClean, true)
  assert.equal(info.reason, 'bye')
  await server.close()
  assert.equal(Opcode.text, 1)
  console.log('echoed and closed')
}

await main()
