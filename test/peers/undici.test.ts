import { Buffer } from 'node:buffer'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { Agent, ping, WebSocket } from 'undici'
import { makeCertificate } from './listening.ts'
import { versionOf } from './packages.ts'
import type { PeerClient } from './peer.ts'
import { everyWay } from './ways.ts'
import { undici, whatwgPeer } from './whatwg-peer.ts'

const undiciClient: PeerClient = {
  ...undici,
  name: 'undici',
  version: versionOf('undici'),
  abilities: ['ping'],
  async open(url, { protocols, ca }) {
    const dispatcher = new Agent({ connect: { ca } })
    const socket = new WebSocket(url, { protocols, dispatcher })
    return whatwgPeer(socket, { ping: (payload) => pingWith(socket, payload) })
  },
}

/** There is no event for a Pong, but there is a channel for all of them. */
function pingWith(socket: WebSocket, payload: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const onPong = (message: unknown): void => {
      if (typeof message !== 'object' || message === null) return
      if (!('websocket' in message && message.websocket === socket && 'payload' in message)) return
      unsubscribe('undici:websocket:pong', onPong)
      if (Buffer.isBuffer(message.payload)) resolve(message.payload)
      else reject(new TypeError('a Pong without a payload'))
    }
    subscribe('undici:websocket:pong', onPong)
    ping(socket, payload)
  })
}

await everyWay(t, { client: undiciClient }, makeCertificate(t.testdir()))
