/** A server of farewell. */
import { type Connection, WebSocketServer } from '../../lib/index.ts'
import { chosen, closeBegins, host, listens, maxMessage } from './host.ts'

const server = new WebSocketServer({ host, port: 0, maxMessageSize: maxMessage })
server.on(
  'connection',
  chosen<(connection: Connection) => void>({
    echo: (connection) => connection.on('message', (message) => connection.send(message)),
    broadcast: (connection) => connection.on('message', (message) => server.broadcast(message)),
    close: (connection) =>
      connection.on('message', () => {
        connection.on('close', closeBegins())
        void connection.close()
      }),
  }),
)
server.on('listening', () => listens(server.address()))
