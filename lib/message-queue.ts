/** Messages that have come and that nobody has taken yet, and those who wait for one. Never both. */
import { Buffer } from 'node:buffer'
import type { Message } from './message.ts'
import { Waits } from './waits.ts'

/** Bytes of text and data that the queue holds before it counts as full. */
const maxQueuedBytes = 1024 * 1024

export class MessageQueue {
  readonly #maxMessages: number
  readonly #messages: Message[] = []
  #bytes = 0
  #waits: Waits<Message> | undefined

  constructor(maxMessages: number) {
    this.#maxMessages = maxMessages
  }

  get empty(): boolean {
    return this.#messages.length === 0
  }

  /** No further message should be read from the socket. */
  get full(): boolean {
    return this.#messages.length >= this.#maxMessages || this.#bytes >= maxQueuedBytes
  }

  /** Gives the message to whoever has waited longest; false when nobody waits. */
  handOver(message: Message): boolean {
    return this.#waits !== undefined && this.#waits.resolveNext(message)
  }

  push(message: Message): void {
    // A small view must not pin the chunk that it was found in.
    const kept =
      typeof message === 'string' || 2 * message.length >= message.buffer.byteLength ? message : copy(message)
    this.#messages.push(kept)
    this.#bytes += sizeOf(kept)
  }

  /** Puts back what was shifted. */
  unshift(message: Message): void {
    this.#messages.unshift(message)
    this.#bytes += sizeOf(message)
  }

  shift(): Message | undefined {
    const message = this.#messages.shift()
    if (message !== undefined) this.#bytes -= sizeOf(message)
    return message
  }

  /** Waits for the next message that is handed over. */
  wait(signal: AbortSignal | undefined): Promise<Message> {
    return (this.#waits ??= new Waits()).add(signal)
  }

  /** Somebody may wait for a message. */
  get awaited(): boolean {
    return this.#waits !== undefined
  }

  /** Tells those who wait that nothing more will come. */
  rejectWaits(reason: Error): void {
    this.#waits?.rejectAll(reason)
  }

  clear(): void {
    this.#messages.length = 0
    this.#bytes = 0
  }
}

function copy(bytes: Buffer): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(own)
  return own
}

function sizeOf(message: Message): number {
  return typeof message === 'string' ? 2 * message.length : message.length
}
