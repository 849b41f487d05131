/** An echo server of `ws`; with the argument `addon` it has its native add-on. */
import { loadWs } from '../packages.ts'
import { host, listens } from './host.ts'

const { WebSocketServer } = loadWs(process.argv[2] === 'addon')
const server = new WebSocketServer({ host, port: 0, perMessageDeflate: false })
server.on('connection', (socket) => {
  // Text comes as bytes; an application wants it as text.
  socket.on('message', (data, isBinary) => socket.send(isBinary ? data : data.toString()))
  socket.on('error', () => {})
})
server.on('listening', () => listens(server.address()))
