/**
 * What an endpoint makes of the frames that a decoder finds, as plainly as can be: messages joined, text and Close
 * payloads judged, each event told as a line of text. The tests and the fuzzer compare such lines.
 *
 *     text 68656c6c6f · binary 00 · rsv1 text c9c907 · ping 61 · pong · close 1000 "bye" · fail 1002 reserved-bit
 */
import { Buffer } from 'node:buffer'
import { decodeClosePayload } from '../../frames/close-payload.ts'
import { Decoder, type DecoderOptions, type FrameSink } from '../../frames/decoder.ts'
import { type ControlOpcode, type MessageOpcode, Opcode } from '../../frames/opcode.ts'
import { Utf8Checker } from '../../frames/utf8.ts'
import { type Violation, violation } from '../../frames/violation.ts'

export class Endpoint implements FrameSink {
  readonly decoder: Decoder
  readonly events: string[] = []
  /** Called at the end of each call of the decoder, while it runs. */
  hook: (() => void) | undefined
  #parts: Buffer[] = []
  #utf8 = new Utf8Checker()
  /** A Close or a failure came: the decoder was stopped. */
  over = false

  constructor(options: DecoderOptions) {
    this.decoder = new Decoder(this, options)
  }

  /** Feeds chunks one after the other. The decoder changes what it is given, so it is given copies. */
  feed(chunks: Iterable<Uint8Array>): this {
    for (const chunk of chunks) this.decoder.push(Buffer.from(chunk))
    return this
  }

  /** The TCP connection has ended. */
  end(): void {
    if (!this.over) this.events.push('lost 1006')
  }

  /** What has come of the message under way, as hex. */
  get partial(): string {
    return Buffer.concat(this.#parts).toString('hex')
  }

  data(opcode: MessageOpcode, chunk: Buffer, start: number, end: number, last: boolean, rsv1: boolean): void {
    this.#parts.push(Buffer.from(chunk.subarray(start, end)))
    const text = opcode === Opcode.text
    if (text && !rsv1) {
      const good = this.#utf8.push(chunk, start, end)
      if (!good || (last && !this.#utf8.complete)) return this.violation(violation('bad-utf8'))
    }
    if (last) {
      this.events.push(`${rsv1 ? 'rsv1 ' : ''}${text ? 'text' : 'binary'} ${this.partial}`.trimEnd())
      this.#parts = []
    }
    this.hook?.()
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    if (opcode === Opcode.close) {
      const said = decodeClosePayload(payload)
      if ('name' in said) return this.violation(said)
      this.#finish(`close ${said.code ?? 1005} ${JSON.stringify(said.reason)}`)
      return
    }
    this.events.push(`${opcode === Opcode.ping ? 'ping' : 'pong'} ${payload.toString('hex')}`.trimEnd())
    this.hook?.()
  }

  violation(violation: Violation): void {
    this.#finish(`fail ${violation.closeCode} ${violation.name}`)
  }

  #finish(event: string): void {
    this.events.push(event)
    this.over = true
    this.decoder.stop()
  }
}
