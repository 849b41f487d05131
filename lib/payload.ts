/** What the application gives to be sent, and what it becomes in a frame: RFC 6455 section 5.6. */
import { Buffer } from 'node:buffer'
import { isArrayBuffer } from 'node:util/types'
import { type MessageOpcode, Opcode } from '../frames/opcode.ts'

/** What may be sent: a string as text, anything else as binary. */
export type Data = string | ArrayBuffer | ArrayBufferView

/** The bytes of `data`, without a copy; a string stays one. @throws TypeError for anything else */
export function payloadOf(data: Data): Uint8Array | string {
  if (typeof data === 'string' || data instanceof Uint8Array) return data
  if (isArrayBuffer(data)) return new Uint8Array(data)
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  throw new TypeError('data must be a string, an ArrayBuffer, a typed array, a DataView or a Buffer')
}

export function opcodeOf(data: Data): MessageOpcode {
  return typeof data === 'string' ? Opcode.text : Opcode.binary
}

/** The payload as a Buffer: over the same memory where it is bytes already. */
export function bufferOf(payload: Uint8Array | string): Buffer {
  if (typeof payload === 'string') return Buffer.from(payload)
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
}
