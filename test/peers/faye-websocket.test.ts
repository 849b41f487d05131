/** The server of the `faye-websocket` package, with its permessage-deflate. */
import { Buffer } from 'node:buffer'
import { on, once } from 'node:events'
import FayeSocket from 'faye-websocket'
import deflateExtension from 'permessage-deflate'
import t from 'tap'
import { listen, makeCertificate } from './listening.ts'
import { versionOf } from './packages.ts'
import type { Peer, PeerRecord, PeerServer } from './peer.ts'
import { everyWay } from './ways.ts'

const server: PeerServer = {
  name: 'faye-websocket',
  version: versionOf('faye-websocket'),
  transports: ['TCP', 'TLS', 'a Unix socket'],
  abilities: [],
  deflate: 'both ways',
  closesWithAnyCode: false,
  answer: (close) => close,
  differences: [
    { tests: /close with an empty Close/, why: 'takes 1000 and a Close without a code for the same' },
    { tests: /we close with 1014/, why: 'answers 1014, registered with IANA after RFC 6455, with 1002' },
  ],
  async listen(transport, { protocols, certificate, deflate }) {
    const { http, url, close } = await listen(transport, certificate)
    const extensions = deflate ? [deflateExtension] : []
    const peer = new Promise<Peer>((resolve, reject) => {
      http.once('upgrade', (request, socket, head) => {
        const theirs = new FayeSocket(request, socket, head, protocols, { extensions })
        fayePeer(theirs).then(resolve, reject)
      })
    })
    return { url, peer, close }
  },
}

async function fayePeer(socket: FayeSocket): Promise<Peer> {
  const messages = on(socket, 'message')
  const closed = recordOf(socket)
  await once(socket, 'open')
  return {
    protocol: socket.protocol,
    closed,
    send: (data) => socket.send(data),
    async receive() {
      const { value } = await messages.next()
      const [{ data }]: [{ data: string | Uint8Array }] = value
      return typeof data === 'string' ? data : Buffer.from(data)
    },
    close: (code, reason) => socket.close(code, reason),
    can: {},
  }
}

/** It tells no more than a code and a reason. */
async function recordOf(socket: FayeSocket): Promise<PeerRecord> {
  const [{ code, reason }] = await once(socket, 'close')
  return { code, reason, wasClean: code !== 1006 }
}

await everyWay(t, { server }, makeCertificate(t.testdir()))
