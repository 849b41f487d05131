/** The limit for handshakes and idle connections: an upgrade by Node's HTTP server, then an echo of bytes. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { host, listens } from './host.ts'

const handshakeId = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

const server = createServer()
server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}${handshakeId}`)
    .digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  socket.on('data', (chunk) => socket.write(chunk))
  socket.on('error', () => {})
})
server.listen(0, host, () => listens(server.address()))
