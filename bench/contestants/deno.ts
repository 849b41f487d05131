/** Deno's own server. To be run by Deno. */
import { chosen, closeBegins, host, listens } from './host.ts'

interface DenoSocket extends EventTarget {
  binaryType: string
  send(data: string | ArrayBuffer): void
  close(): void
  addEventListener(type: 'open' | 'close', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { data: string | ArrayBuffer }) => void): void
}
/** As much of Deno as is used here. */
declare const Deno: {
  serve(
    options: { hostname: string; port: number; onListen(address: { port: number }): void },
    handler: (request: unknown) => unknown,
  ): unknown
  upgradeWebSocket(request: unknown): { socket: DenoSocket; response: unknown }
}

const sockets = new Set<DenoSocket>()
const serve = chosen<(socket: DenoSocket) => void>({
  echo: (socket) => socket.addEventListener('message', ({ data }) => socket.send(data)),
  broadcast: (socket) =>
    socket.addEventListener('message', ({ data }) => {
      for (const each of sockets) each.send(data)
    }),
  close: (socket) =>
    socket.addEventListener('message', () => {
      socket.addEventListener('close', closeBegins())
      socket.close()
    }),
})
Deno.serve({ hostname: host, port: 0, onListen: listens }, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request)
  socket.binaryType = 'arraybuffer'
  socket.addEventListener('open', () => sockets.add(socket))
  socket.addEventListener('close', () => sockets.delete(socket))
  serve(socket)
  return response
})
