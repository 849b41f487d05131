/** A server of `ws`; with the argument `addon` it has its native add-on. */
import { loadWs, type WsSocket } from '../packages.ts'
import { chosen, closeBegins, host, listens, maxMessage, serviceArgs } from './host.ts'

const { WebSocketServer } = loadWs(serviceArgs.includes('addon'))
const server = new WebSocketServer({ host, port: 0, perMessageDeflate: false, maxPayload: maxMessage })
const serve = chosen<(socket: WsSocket) => void>({
  // Text comes as bytes; an application wants it as text.
  echo: (socket) => socket.on('message', (data, isBinary) => socket.send(isBinary ? data : data.toString())),
  broadcast: (socket) =>
    socket.on('message', (data, isBinary) => {
      const message = isBinary ? data : data.toString()
      for (const each of server.clients) each.send(message)
    }),
  close: (socket) =>
    socket.on('message', () => {
      socket.on('close', closeBegins())
      socket.close()
    }),
})
server.on('connection', (socket) => {
  serve(socket)
  socket.on('error', () => {})
})
server.on('listening', () => listens(server.address()))
