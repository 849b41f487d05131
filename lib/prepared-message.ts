/** A message for many connections: framed once, and compressed once for each window size that was agreed on. */
import type { Buffer } from 'node:buffer'
import { encodeFrame, payloadSize } from '../frames/encoder.ts'
import type { MessageOpcode } from '../frames/opcode.ts'
import type { Deflater } from './deflate/deflater.ts'
import { type Data, opcodeOf, payloadOf } from './payload.ts'

export class PreparedMessage {
  readonly opcode: MessageOpcode
  readonly payload: Buffer
  /** The frame of a server, not compressed. */
  readonly frame: Buffer
  readonly #compressed = new Map<number, Promise<Buffer | undefined> | Buffer | undefined>()

  constructor(data: Data) {
    this.opcode = opcodeOf(data)
    const payload = payloadOf(data)
    this.frame = encodeFrame({ opcode: this.opcode, payload })
    this.payload = this.frame.subarray(this.frame.length - payloadSize(payload))
  }

  /** The compressed frame, undefined where compressing gains nothing. It refers to no earlier message. */
  compressedFor(deflater: Deflater): Promise<Buffer | undefined> | Buffer | undefined {
    const { windowBits } = deflater
    if (!this.#compressed.has(windowBits)) this.#compressed.set(windowBits, this.#compress(deflater))
    return this.#compressed.get(windowBits)
  }

  #compress(deflater: Deflater): Promise<Buffer | undefined> | Buffer | undefined {
    const compressed = deflater.deflateAlone(this.payload)
    return compressed instanceof Promise
      ? compressed.then((payload) => this.#frame(payload))
      : this.#frame(compressed)
  }

  #frame(payload: Buffer | undefined): Buffer | undefined {
    return payload === undefined ? undefined : encodeFrame({ opcode: this.opcode, payload, rsv1: true })
  }
}
