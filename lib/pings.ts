/** Pings of ours that wait for their Pong: RFC 6455 sections 5.5.2 and 5.5.3. */
import { Buffer } from 'node:buffer'
import { type Wait, wait } from './wait.ts'

interface SentPing {
  readonly payload: Buffer
  readonly sentAt: number
  readonly end: Wait<number>
}

export class Pings {
  #sent: SentPing[] = []
  #count = 0

  /** A payload that no other ping of this connection has had lately. */
  nextPayload(): Buffer {
    const payload = Buffer.allocUnsafe(4)
    payload.writeUInt32BE(this.#count++ >>> 0)
    return payload
  }

  /** Resolves with the round trip in milliseconds once a Pong answers this ping or a later one. */
  sent(payload: Buffer, now: number, signal: AbortSignal | undefined): Promise<number> {
    return wait<number>(
      signal,
      (end) => this.#sent.push({ payload, sentAt: now, end }),
      (end) => (this.#sent = this.#sent.filter((ping) => ping.end !== end)),
    )
  }

  /** A Pong also answers the pings before the one it repeats (5.5.3); one that repeats none is unsolicited. */
  pong(payload: Buffer, now: number): void {
    const index = this.#sent.findIndex((ping) => ping.payload.equals(payload))
    for (const ping of this.#sent.splice(0, index + 1)) ping.end.resolve(now - ping.sentAt)
  }

  rejectAll(reason: Error): void {
    for (const ping of this.#sent.splice(0)) ping.end.reject(reason)
  }
}
