/**
 * Messages on their way from the receiver to the application while some of them are being decompressed. A long one
 * takes its time in the thread pool; what comes behind it waits, but for Pings and Pongs that come before the next
 * message (RFC 7692 section 6.2).
 */
import type { Buffer } from 'node:buffer'
import { type ControlOpcode, type MessageOpcode, Opcode } from '../../frames/opcode.ts'
import { decodeUtf8 } from '../../frames/utf8.ts'
import { type Violation, violation } from '../../frames/violation.ts'
import type { Budget } from '../budget.ts'
import type { Message, MessageSink } from '../message.ts'
import type { Inflated, Inflater } from './inflater.ts'

export interface InflationSink extends Omit<MessageSink, 'compressed'> {
  /** Something waits: the caller holds the decoder, so that nothing more comes. */
  fellBehind(): void
  /** Nothing waits any more. */
  caughtUp(): void
}

export class Inflation implements MessageSink {
  readonly #inflater: Inflater
  readonly #budget: Budget
  readonly #sink: InflationSink
  #busy = false
  /** What came behind the message that is being decompressed, and its size. */
  #next: { readonly bytes: number; readonly run: () => void } | undefined
  #stopped = false
  #charged = 0

  constructor(inflater: Inflater, budget: Budget, sink: InflationSink) {
    this.#inflater = inflater
    this.#budget = budget
    this.#sink = sink
  }

  /** A message is being decompressed. */
  get busy(): boolean {
    return this.#busy
  }

  /** Something waits behind it, so nothing more should be read. */
  get behind(): boolean {
    return this.#next !== undefined
  }

  /** Some time has gone by. */
  beat(): void {
    if (!this.#busy) this.#inflater.beat()
  }

  message(message: Message): void {
    if (!this.#busy) return this.#sink.message(message)
    this.#inOrder(message.length, () => this.#sink.message(message))
  }

  compressed(opcode: MessageOpcode, pieces: readonly Buffer[], size: number): void {
    this.#inOrder(size, () => this.#inflate(opcode, pieces, size))
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    if (opcode === Opcode.close) this.#inOrder(0, () => this.#sink.control(opcode, payload))
    else this.#sink.control(opcode, payload)
  }

  violation(fault: Violation): void {
    this.#inOrder(0, () => this.#sink.violation(fault))
  }

  /** Nothing is wanted any more; what zlib still does is thrown away. */
  stop(): void {
    this.#stopped = true
    this.#inflater.stop()
    this.#next = undefined
    this.#budget.release(this.#charged)
    this.#charged = 0
  }

  #inOrder(bytes: number, run: () => void): void {
    if (!this.#busy) return run()
    if (!this.#charge(bytes)) return
    this.#next = { bytes, run }
    this.#sink.fellBehind()
  }

  #inflate(opcode: MessageOpcode, pieces: readonly Buffer[], size: number): void {
    const inflated = this.#inflater.inflate(pieces)
    if (!(inflated instanceof Promise)) return this.#deliver(opcode, inflated)
    this.#busy = true
    if (!this.#charge(size)) return
    void inflated.then((message) => {
      if (this.#stopped) return
      this.#busy = false
      this.#release(size)
      this.#deliver(opcode, message)
      this.#catchUp()
    })
  }

  #catchUp(): void {
    const next = this.#next
    this.#next = undefined
    if (next !== undefined) {
      this.#release(next.bytes)
      next.run()
    }
    this.#sink.caughtUp()
  }

  #deliver(opcode: MessageOpcode, inflated: Inflated): void {
    if (inflated === 'too-big') return this.#sink.violation(violation('message-too-big'))
    if (inflated === 'corrupt') return this.#sink.violation(violation('bad-deflate'))
    if (opcode === Opcode.binary) return this.#sink.message(inflated)
    const text = decodeUtf8(inflated, 0, inflated.length)
    if (text === undefined) this.#sink.violation(violation('bad-utf8'))
    else this.#sink.message(text)
  }

  #charge(bytes: number): boolean {
    if (!this.#budget.charge(bytes)) {
      this.#sink.violation(violation('process-budget'))
      return false
    }
    this.#charged += bytes
    return true
  }

  #release(bytes: number): void {
    this.#charged -= bytes
    this.#budget.release(bytes)
  }
}
