/** The limit: a TCP server that sends back what it reads, or sends it to everybody, and knows nothing of frames. */
import { createServer, type Socket } from 'node:net'
import { chosen, host, listens } from './host.ts'

const sockets = new Set<Socket>()
const serve = chosen({
  echo: (socket: Socket) => socket.on('data', (chunk) => socket.write(chunk)),
  broadcast: (socket: Socket) =>
    socket.on('data', (chunk) => {
      for (const each of sockets) each.write(chunk)
    }),
})
const server = createServer({ noDelay: true }, (socket) => {
  sockets.add(socket)
  serve(socket)
  socket.on('error', () => {})
  socket.on('close', () => sockets.delete(socket))
})
server.listen(0, host, () => listens(server.address()))
