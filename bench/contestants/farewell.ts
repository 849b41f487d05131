/** An echo server of farewell. */
import { WebSocketServer } from '../../lib/index.ts'
import { host, listens } from './host.ts'

const server = new WebSocketServer({ host, port: 0 })
server.on('connection', (connection) => {
  connection.on('message', (message) => connection.send(message))
})
server.on('listening', () => listens(server.address()))
