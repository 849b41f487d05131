/**
 * A server that lets in who has the token, and says 401 to all others. To compare with `===` would tell, by the time it
 * takes, how much of a guess was right; so hashes are compared, which are all of one length, and in constant time.
 *
 *     TOKEN=secret node token.js [port]
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { refuse, WebSocketServer } from '../lib/index.ts'

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

const token = process.env['TOKEN']
if (token === undefined) throw new Error('TOKEN has to be set')
const expected = hashOf(`Bearer ${token}`)

const server = new WebSocketServer({
  port: Number(process.argv[2] ?? 8083),
  verify({ headers: { authorization = '' } }) {
    if (timingSafeEqual(hashOf(authorization), expected)) return undefined
    return refuse(401, { headers: { 'WWW-Authenticate': 'Bearer' }, body: 'who are you?\n' })
  },
})
server.on('connection', (connection) => connection.send('welcome'))
server.on('listening', () => {
  const address = server.address()
  console.log(`listening on ${typeof address === 'object' ? address?.port : address}`)
})
process.once('SIGTERM', () => void server.close())
