/** A client that has the `WebSocket` of WHATWG. */
import { Buffer } from 'node:buffer'
import { on, once } from 'node:events'
import type { Peer, PeerAbilities } from './peer.ts'

/** As much of that interface as is needed here. */
export interface WhatwgSocket {
  binaryType: string
  readonly protocol: string
  send(data: string | Buffer): void
  close(code?: number, reason?: string): void
  addEventListener(type: string, listener: (event: Event) => void): void
  removeEventListener(type: string, listener: (event: Event) => void): void
}

/** Its application may only close with 1000 and from 3000 on; undici answers with our code and no reason. */
export const whatwgClosing = { repeatsReason: false, anyCode: false }

/** Resolves when the socket is open. */
export async function whatwgPeer(socket: EventTarget & WhatwgSocket, can: PeerAbilities = {}): Promise<Peer> {
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

async function recordOf(socket: EventTarget): Promise<{ code: number; reason: string; wasClean: boolean }> {
  const [{ code, reason, wasClean }] = await once(socket, 'close')
  return { code, reason, wasClean }
}
