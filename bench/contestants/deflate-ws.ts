/** A server of `ws` with permessage-deflate; all else that could be said is its default. */
import { deflateLevel, deflateThreshold } from '../deflate-workload.ts'
import { loadWs } from '../packages.ts'
import { answerer } from './deflate-answer.ts'
import { host, listens, maxMessage } from './host.ts'

const { answer, takeover } = answerer(process.argv.slice(2))
const { WebSocketServer } = loadWs(true)
const server = new WebSocketServer({
  host,
  port: 0,
  maxPayload: maxMessage,
  perMessageDeflate: {
    threshold: deflateThreshold,
    zlibDeflateOptions: { level: deflateLevel },
    serverNoContextTakeover: !takeover,
    clientNoContextTakeover: !takeover,
  },
})
server.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(answer(data.toString())))
  socket.on('error', () => {})
})
server.on('listening', () => listens(server.address()))
