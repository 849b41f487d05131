/** A server of `faye-websocket`. */
import { createServer } from 'node:http'
import { type FayeSocket, loadFaye } from '../packages.ts'
import { chosen, closeBegins, host, listens, maxMessage } from './host.ts'

const WebSocket = loadFaye()
const sockets = new Set<FayeSocket>()
const serve = chosen<(socket: FayeSocket) => void>({
  echo: (socket) => socket.on('message', ({ data }) => socket.send(data)),
  broadcast: (socket) =>
    socket.on('message', ({ data }) => {
      for (const each of sockets) each.send(data)
    }),
  close: (socket) =>
    socket.on('message', () => {
      socket.on('close', closeBegins())
      socket.close()
    }),
})
const server = createServer()
server.on('upgrade', (request, tcp, head) => {
  const socket = new WebSocket(request, tcp, head, [], { maxLength: maxMessage })
  sockets.add(socket)
  serve(socket)
  socket.on('error', () => {})
  socket.on('close', () => sockets.delete(socket))
})
server.listen(0, host, () => listens(server.address()))
