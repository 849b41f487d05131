/** A server of farewell with permessage-deflate. Arguments: direction, size, takeover. */
import { WebSocketServer } from '../../lib/index.ts'
import { deflateLevel, deflateThreshold } from '../deflate-workload.ts'
import { answerer } from './deflate-answer.ts'
import { host, listens } from './host.ts'

const { answer, takeover } = answerer(process.argv.slice(2))
const server = new WebSocketServer({
  host,
  port: 0,
  // The load answers no Pings.
  keepalive: false,
  compression: {
    level: deflateLevel,
    threshold: deflateThreshold,
    serverNoContextTakeover: !takeover,
    clientNoContextTakeover: !takeover,
  },
})
server.on('connection', (connection) => {
  connection.on('message', (message) => connection.send(answer(message.toString())))
})
server.on('listening', () => listens(server.address()))
