/** A client with the interface of browsers: that of undici with the argument `undici`, else the runtime's own. */
import { loadUndici, type WhatwgSocket } from '../../packages.ts'
import { connects, host, serviceArgs } from '../host.ts'
import { serviceOf } from './service.ts'

declare const WebSocket: new (url: string) => WhatwgSocket

const Client = serviceArgs.includes('undici') ? loadUndici().WebSocket : WebSocket
connects((port) => {
  const socket = new Client(`ws://${host}:${port}`)
  socket.binaryType = 'arraybuffer'
  const { message, closed } = serviceOf({
    send: (data) => socket.send(data),
    close: () => socket.close(),
  })
  socket.addEventListener('message', message)
  socket.addEventListener('close', closed)
  socket.addEventListener('error', () => {})
})
