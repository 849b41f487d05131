/** The limit behind a handshake: an upgrade by Node's HTTP server, then bytes go back, or to everybody, as they are. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { Duplex } from 'node:stream'
import { chosen, host, listens } from './host.ts'

const handshakeId = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

const sockets = new Set<Duplex>()
const serve = chosen({
  echo: (socket: Duplex) => socket.on('data', (chunk) => socket.write(chunk)),
  broadcast: (socket: Duplex) =>
    socket.on('data', (chunk) => {
      for (const each of sockets) each.write(chunk)
    }),
})
const server = createServer()
server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}${handshakeId}`)
    .digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  sockets.add(socket)
  serve(socket)
  socket.on('error', () => {})
  socket.on('close', () => sockets.delete(socket))
})
server.listen(0, host, () => listens(server.address()))
