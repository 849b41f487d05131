/** Pings of ours that wait for their Pong: RFC 6455 sections 5.5.2 and 5.5.3. */
import { Buffer } from 'node:buffer'
import { Waits } from './waits.ts'

interface SentPing {
  readonly payload: Buffer
  readonly sentAt: number
  readonly answered: Promise<number>
}

export class Pings {
  readonly #waits = new Waits<number>()
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
    const answered = this.#waits.add(signal)
    this.#sent = this.#sent.filter((ping) => this.#waits.has(ping.answered))
    this.#sent.push({ payload, sentAt: now, answered })
    return answered
  }

  /** A Pong also answers the pings before the one that it repeats (5.5.3); one that repeats none is unsolicited. */
  pong(payload: Buffer, now: number): void {
    const index = this.#sent.findIndex((ping) => ping.payload.equals(payload))
    for (const { answered, sentAt } of this.#sent.splice(0, index + 1))
      this.#waits.resolve(answered, now - sentAt)
  }

  rejectAll(reason: Error): void {
    this.#sent = []
    this.#waits.rejectAll(reason)
  }
}
