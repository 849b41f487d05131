/** A client of `ws`; with the argument `addon` it has its native add-on. */
import { loadWs } from '../../packages.ts'
import { connects, host, maxMessage, serviceArgs } from '../host.ts'
import { serviceOf } from './service.ts'

const { WebSocket } = loadWs(serviceArgs.includes('addon'))
connects((port) => {
  const socket = new WebSocket(`ws://${host}:${port}`, { perMessageDeflate: false, maxPayload: maxMessage })
  const { message, closed } = serviceOf({
    send: (data) => socket.send(data),
    close: () => socket.close(),
  })
  socket.on('message', message)
  socket.on('close', closed)
  socket.on('error', () => {})
})
