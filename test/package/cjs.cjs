const assert = require('node:assert/strict')
const { once } = require('node:events')
const { connect, WebSocketServer } = require('farewell')
const { Opcode } = require('farewell/frames')

async function main() {
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
  const info = await connection.close(1000, 'bye')
  assert.equal(info.wasClean, true)
  assert.equal(info.reason, 'bye')
  await server.close()
  assert.equal(Opcode.text, 1)
  console.log('echoed and closed')
}

void main()
