/** What a client does with a message, whatever library it is of. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { chosen, closeBegins, serviceArgs } from '../host.ts'

export interface Peer {
  send(data: Buffer): void
  close(): void
}

export interface Service {
  /** To be called for each message. */
  readonly message: () => void
  /** To be called when the connection is closed. */
  readonly closed: () => void
}

export const [size = 0, batch = 0] = serviceArgs.map(Number)
export const acknowledgement: Buffer = Buffer.from([1])
export const payload: Buffer = randomBytes(size || 0)

export const serviceOf: (peer: Peer) => Service = chosen<(peer: Peer) => Service>({
  receive(peer) {
    let received = 0
    return {
      message() {
        if (++received % batch === 0) peer.send(acknowledgement)
      },
      closed() {},
    }
  },
  send: (peer) => ({
    message() {
      for (let left = batch; left > 0; left--) peer.send(payload)
    },
    closed() {},
  }),
  close(peer) {
    let closed: () => void = () => {}
    return {
      message() {
        closed = closeBegins()
        peer.close()
      },
      closed: () => closed(),
    }
  },
})
