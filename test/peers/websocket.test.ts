/** The server of the `websocket` package. */
import type { Buffer } from 'node:buffer'
import { on, once } from 'node:events'
import t from 'tap'
import websocket, { type connection as Connection, type Message } from 'websocket'
import { listen, makeCertificate } from './listening.ts'
import { versionOf } from './packages.ts'
import type { Peer, PeerRecord, PeerServer } from './peer.ts'
import { everyWay } from './ways.ts'

const server: PeerServer = {
  name: 'websocket',
  version: versionOf('websocket'),
  transports: ['TCP', 'TLS', 'a Unix socket'],
  abilities: ['ping', 'terminate'],
  deflate: 'none',
  closesWithAnyCode: true,
  answer: () => ({ code: 1000, reason: '' }),
  notes: ['answers each Close with 1000 and no reason'],
  differences: [
    { tests: /they close with an empty Close/, why: 'cannot send a Close without a code' },
    {
      tests: /we close with an empty Close/,
      why: 'takes a Close without a code for a connection that is lost',
    },
    { tests: /we close with 1014/, why: 'answers 1014, registered with IANA after RFC 6455, with 1002' },
    { tests: /they close with 1014/, why: 'cannot send 1014, registered with IANA after RFC 6455' },
    {
      tests: /simultaneous-close|closeReply: manual/,
      why: 'tells its own Close for the end, whatever the answer',
    },
  ],
  async listen(transport, { protocols, certificate }) {
    const { http, url, close } = await listen(transport, certificate)
    const sizes = { maxReceivedFrameSize: 2 ** 24, maxReceivedMessageSize: 2 ** 24 }
    const server = new websocket.server({ httpServer: http, autoAcceptConnections: false, ...sizes })
    const peer = new Promise<Peer>((resolve) => {
      server.once('request', (request) => {
        const protocol = protocols.find((each) => request.requestedProtocols.includes(each))
        resolve(peerOf(request.accept(protocol)))
      })
    })
    return { url, peer, close }
  },
}

function peerOf(connection: Connection): Peer {
  const messages = on(connection, 'message')
  return {
    protocol: connection.protocol ?? '',
    closed: recordOf(connection),
    send: (data) => (typeof data === 'string' ? connection.sendUTF(data) : connection.sendBytes(data)),
    async receive() {
      const { value } = await messages.next()
      const [message]: [Message] = value
      return message.type === 'utf8' ? message.utf8Data : message.binaryData
    },
    close: (code, reason) => connection.close(code, reason ?? ''),
    can: {
      async ping(payload) {
        const pong = once(connection, 'pong')
        connection.ping(payload)
        const [answer]: Buffer[] = await pong
        return answer ?? payload.subarray(0, 0)
      },
      terminate: () => connection.drop(1006, '', true),
    },
  }
}

/** Where no reason was given it makes one up. */
async function recordOf(connection: Connection): Promise<PeerRecord> {
  const [code, reason = ''] = await once(connection, 'close')
  const madeUp = [websocket.connection.CLOSE_DESCRIPTIONS[code], 'Connection dropped by remote peer.']
  return { code, reason: madeUp.includes(reason) ? '' : reason, wasClean: code !== 1006 }
}

await everyWay(t, { server }, makeCertificate(t.testdir()))
