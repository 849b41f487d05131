/** Bun's own server. To be run by Bun. */
import { chosen, closeBegins, host, listens, maxMessage } from './host.ts'

interface BunSocket {
  data: { closed: () => void }
  send(data: string | Uint8Array): number
  subscribe(topic: string): void
  close(): void
}
interface BunServer {
  readonly port: number
  upgrade(request: unknown, options: { data: BunSocket['data'] }): boolean
  publish(topic: string, data: string | Uint8Array): number
}
/** As much of Bun as is used here. */
declare const Bun: {
  serve(options: {
    hostname: string
    port: number
    fetch(request: unknown, server: BunServer): undefined
    websocket: {
      perMessageDeflate: boolean
      maxPayloadLength: number
      open(socket: BunSocket): void
      message(socket: BunSocket, message: string | Uint8Array): void
      close(socket: BunSocket): void
    }
  }): BunServer
}

const topic = 'all'
const message = chosen<(socket: BunSocket, data: string | Uint8Array) => void>({
  echo: (socket, data) => socket.send(data),
  broadcast: (_, data) => server.publish(topic, data),
  close: (socket) => {
    socket.data.closed = closeBegins()
    socket.close()
  },
})
const server = Bun.serve({
  hostname: host,
  port: 0,
  fetch(request, upgrader) {
    upgrader.upgrade(request, { data: { closed() {} } })
    return undefined
  },
  websocket: {
    perMessageDeflate: false,
    maxPayloadLength: maxMessage,
    open: (socket) => socket.subscribe(topic),
    message,
    close: (socket) => socket.data.closed(),
  },
})
listens(server)
