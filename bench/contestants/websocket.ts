/** A server of the package `websocket`. */
import { createServer } from 'node:http'
import { loadWebsocket, type WebsocketConnection, type WebsocketMessage } from '../packages.ts'
import { chosen, closeBegins, host, listens, maxMessage } from './host.ts'

const httpServer = createServer()
const server = new (loadWebsocket().server)({
  httpServer,
  autoAcceptConnections: true,
  maxReceivedFrameSize: maxMessage,
  maxReceivedMessageSize: maxMessage,
  // A message in one frame, as all others send it.
  fragmentOutgoingMessages: false,
})
const dataOf = (message: WebsocketMessage): Buffer | string =>
  message.type === 'utf8' ? message.utf8Data : message.binaryData

server.on(
  'connect',
  chosen<(connection: WebsocketConnection) => void>({
    echo: (connection) => connection.on('message', (message) => connection.send(dataOf(message))),
    broadcast: (connection) => connection.on('message', (message) => server.broadcast(dataOf(message))),
    close: (connection) =>
      connection.on('message', () => {
        connection.on('close', closeBegins())
        connection.close()
      }),
  }),
)
httpServer.listen(0, host, () => listens(httpServer.address()))
