/** Peers that behave badly, over raw TCP, each a row of the attack matrix (test/attack). All are gone after some seconds. */
import { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import { deflateRawSync } from 'node:zlib'
import { encodeFrame, Opcode } from 'farewell/frames'
import type { Random } from '../fuzz/random.ts'
import { requestHead } from '../wire/raw-peer.ts'

type Deed = (socket: Socket) => void

const maskKey = 0x5eed1e55
const frame = (opcode: Opcode, payload: string | Uint8Array, fin = true, rsv1 = false): Buffer =>
  encodeFrame({ opcode, payload, fin, rsv1, maskKey })

const bomb = deflateRawSync(Buffer.alloc(8 * 1024 * 1024))
const withDeflate = requestHead.replace(
  '\r\n\r\n',
  '\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n',
)

/** What is sent behind a handshake, and how it goes on. */
const deeds: Readonly<Record<string, Deed>> = {
  'F2 a reserved opcode': (socket) => socket.write(Buffer.from([0x83, 0x80, 0, 0, 0, 0])),
  'F8 an unmasked frame': (socket) => socket.write(encodeFrame({ opcode: Opcode.text, payload: 'bare' })),
  'F3 2^62 bytes announced': (socket) =>
    socket.write(Buffer.from([0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])),
  'F5 fragments of one byte without end': (socket) => {
    socket.write(frame(Opcode.text, 'x', false))
    for (let count = 0; count < 5000; count++) socket.write(frame(Opcode.continuation, 'y', false))
  },
  'F6 empty fragments without end': (socket) => {
    socket.write(frame(Opcode.text, '', false))
    for (let count = 0; count < 2000; count++) socket.write(frame(Opcode.continuation, '', false))
  },
  'F7 half a frame, then silence': (socket) =>
    socket.write(frame(Opcode.text, 'x'.repeat(5000)).subarray(0, 3000)),
  'F9 Pings without reading': (socket) => {
    socket.pause()
    for (let count = 0; count < 5000; count++) socket.write(frame(Opcode.ping, 'x'.repeat(125)))
  },
  'F11 bad UTF-8': (socket) => socket.write(frame(Opcode.text, Buffer.from([0xc3, 0x28]))),
  'Z1 a bomb': (socket) => socket.write(frame(Opcode.binary, bomb, true, true)),
  'Z4 a corrupt stream': (socket) => socket.write(frame(Opcode.binary, Buffer.alloc(100, 0xa7), true, true)),
  'K1 no answer to a Close': (socket) => socket.write(frame(Opcode.text, 'close me')),
  'S3 echoes that it does not read': (socket) => {
    socket.pause()
    for (let count = 0; count < 100; count++) socket.write(frame(Opcode.binary, Buffer.alloc(64 * 1024)))
  },
  'R1 RST in the middle of a message': (socket) =>
    socket.write(frame(Opcode.text, 'x'.repeat(5000)).subarray(0, 3000), () => socket.resetAndDestroy()),
  'R1 FIN without a Close': (socket) => socket.end(frame(Opcode.text, 'bye')),
}

/** Before there is a connection. */
const openings: Readonly<Record<string, Deed>> = {
  'H1 half a request': (socket) => socket.write(requestHead.slice(0, 40)),
  'B2 no request': () => {},
  'H2 no HTTP': (socket) => socket.write('\x16\x03\x01 hello\r\n\r\n'),
  'R3 RST right behind the request': (socket) => socket.write(requestHead, () => socket.resetAndDestroy()),
}

export const hostileNames: readonly string[] = [...Object.keys(deeds), ...Object.keys(openings)]

/** One hostile connection, until the server has ended it or its time is over. Tells what it did. */
export async function beHostile(
  port: number,
  random: Random,
  sockets: Set<Socket>,
  time: number,
): Promise<string> {
  const name = hostileNames[random.below(hostileNames.length)]!
  const socket = connect(port, '127.0.0.1')
  sockets.add(socket)
  socket.on('error', () => {})
  const event = (name: string): Promise<unknown> => new Promise((resolve) => socket.once(name, resolve))
  const closed = event('close')
  const timer = setTimeout(() => socket.resetAndDestroy(), time)
  try {
    await Promise.race([event('connect'), closed])
    if (openings[name] !== undefined) {
      openings[name](socket)
      socket.resume()
    } else {
      socket.write(random.once(2) || name.startsWith('Z') ? withDeflate : requestHead)
      await Promise.race([event('data'), closed])
      socket.resume()
      if (!socket.destroyed) deeds[name]?.(socket)
    }
    await closed
  } finally {
    clearTimeout(timer)
    sockets.delete(socket)
  }
  return name
}
