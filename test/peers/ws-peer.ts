/** The `ws` package, client and server. */
import { Buffer } from 'node:buffer'
import { on, once } from 'node:events'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import type { CloseBody, Peer, PeerClient, PeerRecord, PeerServer } from './peer.ts'
import { listen } from './listening.ts'
import { versionOf } from './packages.ts'

const ws = {
  name: 'ws',
  version: versionOf('ws'),
  transports: ['TCP', 'TLS', 'a Unix socket'],
  abilities: ['ping', 'fragment', 'terminate', 'pause', 'resume'],
  closesWithAnyCode: true,
  deflate: 'both ways',
  answer: (close: CloseBody) => close,
} as const

export const wsClient: PeerClient = {
  ...ws,
  async open(url, { protocols, ca, deflate }) {
    const perMessageDeflate = deflate && { threshold: 0 }
    const socket = new WebSocket(url, protocols, { ca, perMessageDeflate })
    const peer = wsPeer(socket)
    await once(socket, 'open')
    return peer
  },
}

export const wsServer: PeerServer = {
  ...ws,
  async listen(transport, { protocols, certificate, deflate }) {
    const listening = await listen(transport, certificate)
    const server = new WebSocketServer({
      server: listening.http,
      perMessageDeflate: deflate && { threshold: 0 },
      handleProtocols: (offered) => protocols.find((each) => offered.has(each)) ?? false,
    })
    const peer = new Promise<Peer>((resolve) => {
      server.once('connection', (socket) => resolve(wsPeer(socket)))
    })
    return { url: listening.url, peer, close: listening.close }
  },
}

function wsPeer(socket: WebSocket): Peer {
  const messages = on(socket, 'message')
  // A lost connection is an error to it; the record says so too.
  socket.on('error', () => {})
  const closed = new Promise<PeerRecord>((resolve) => {
    socket.addEventListener('close', ({ code, reason, wasClean }) => resolve({ code, reason, wasClean }))
  })
  return {
    closed,
    get protocol() {
      return socket.protocol
    },
    send: (data) => socket.send(data),
    async receive() {
      const { value } = await messages.next()
      const [data, isBinary]: [RawData, boolean] = value
      const bytes = bytesOf(data)
      return isBinary ? bytes : bytes.toString()
    },
    close: (code, reason) => socket.close(code, reason),
    can: {
      async ping(payload) {
        const pong = once(socket, 'pong')
        socket.ping(payload)
        const [answer]: Buffer[] = await pong
        return answer ?? Buffer.alloc(0)
      },
      fragment: (part, options) => socket.send(part, options),
      terminate: () => socket.terminate(),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    },
  }
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data)
  return Buffer.isBuffer(data) ? data : Buffer.from(data)
}
