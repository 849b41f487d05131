/** The limit: a TCP server that sends back what it reads and knows nothing of frames. */
import { createServer } from 'node:net'
import { host, listens } from './host.ts'

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', (chunk) => socket.write(chunk))
  socket.on('error', () => {})
})
server.listen(0, host, () => listens(server.address()))
