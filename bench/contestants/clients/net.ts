/** The limit: a TCP client that makes the handshake, then counts the bytes of frames, or sends frames made beforehand. */
import { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import { headerSize } from '../../../frames/header.ts'
import { encodeFrame, Opcode } from '../../../frames/index.ts'
import { chosen, connects, host } from '../host.ts'
import { acknowledgement, batch, payload, size } from './service.ts'

const maskKey = 0x37fa213d
const acknowledging = encodeFrame({ opcode: Opcode.binary, payload: acknowledgement, maskKey })

/** What to do with so many bytes of frames. */
const taker = chosen<(socket: Socket) => (length: number) => void>({
  receive(socket) {
    const batchSize = batch * (headerSize(size, false) + size)
    let received = 0
    return (length) => {
      received += length
      if (received < batchSize) return
      received -= batchSize
      socket.write(acknowledging)
    }
  },
  send(socket) {
    const frame = encodeFrame({ opcode: Opcode.binary, payload, maskKey })
    const frames = Buffer.concat(Array.from({ length: batch }, () => frame))
    return () => socket.write(frames)
  },
})

connects((port) => {
  const socket = connect({ host, port, noDelay: true })
  socket.on('error', () => {})
  socket.write(
    `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
  )
  const take = taker(socket)
  // The answer's head may have frames behind it.
  socket.once('data', (head: Buffer) => {
    const frames = head.length - (head.indexOf('\r\n\r\n') + 4)
    if (frames > 0) take(frames)
    socket.on('data', ({ length }) => take(length))
  })
})
