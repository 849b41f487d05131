/** A client that has the `WebSocket` of WHATWG. */
import { Buffer } from 'node:buffer'
import { on, once } from 'node:events'
import type { Abilities, CloseBody, Peer, PeerRecord } from './peer.ts'

/** As much of that interface as is needed here. */
export interface WhatwgSocket {
  binaryType: string
  readonly protocol: string
  send(data: string | Buffer): void
  close(code?: number, reason?: string): void
  addEventListener(type: string, listener: (event: Event) => void): void
  removeEventListener(type: string, listener: (event: Event) => void): void
}

/** What undici, which is also in Node, makes of it: its answer to a Close has our code and no reason. */
export const undici = {
  transports: ['TCP', 'TLS'],
  deflate: 'inflates only',
  closesWithAnyCode: false,
  answer: ({ code }: CloseBody) => ({ code, reason: '' }),
  notes: ['answers with our code and no reason', 'never compresses, only decompresses'],
} as const

/** Resolves when the socket is open. */
export async function whatwgPeer(socket: EventTarget & WhatwgSocket, can: Abilities = {}): Promise<Peer> {
  socket.binaryType = 'arraybuffer'
  const messages = on(socket, 'message')
  const closed = recordOf(socket)
  await once(socket, 'open')
  return {
    closed,
    get protocol() {
      return socket.protocol
    },
    send: (data) => socket.send(data),
    async receive() {
      const { value } = await messages.next()
      const [{ data }]: [{ data: string | ArrayBuffer }] = value
      return typeof data === 'string' ? data : Buffer.from(data)
    },
    close: (code, reason) => socket.close(code, reason),
    can,
  }
}

async function recordOf(socket: EventTarget): Promise<PeerRecord> {
  const [{ code, reason, wasClean }] = await once(socket, 'close')
  return { code, reason, wasClean }
}
