/** Turns a frame into bytes: RFC 6455 section 5.2. */
import { Buffer } from 'node:buffer'
import { finBit, headerSize, maxControlPayload, rsv1Bit, writeHeader } from './header.ts'
import { mask, maskInto } from './mask.ts'
import { isControl, Opcode } from './opcode.ts'

export interface Frame {
  readonly opcode: Opcode
  /** Bytes as they are, a string as UTF-8 (lone surrogates become U+FFFD). */
  readonly payload: Uint8Array | string
  /** The last frame of its message; default true. */
  readonly fin?: boolean
  /** An extension's bit; default false. */
  readonly rsv1?: boolean
  /** A client's masking key, 32 bits of strong randomness, new for each frame (section 5.3); a server has none. */
  readonly maskKey?: number | undefined
}

const opcodes: ReadonlySet<number> = new Set(Object.values(Opcode))

/**
 * One frame in one buffer of its own. The payload is copied, never modified.
 *
 * @throws TypeError for a payload of another type; RangeError for an opcode that does not exist (section 5.2), and for a control frame that is fragmented or has more than 125 bytes (section 5.5)
 */
export function encodeFrame(frame: Frame): Buffer {
  const { opcode, payload, fin = true, rsv1 = false, maskKey } = frame
  if (typeof payload !== 'string' && !(payload instanceof Uint8Array))
    throw new TypeError('the payload of a frame must be a string or a Uint8Array')
  const length = payloadSize(payload)
  if (!opcodes.has(opcode)) throw new RangeError(`opcode ${opcode} does not exist (RFC 6455 5.2)`)
  if (isControl(opcode)) {
    if (!fin) throw new RangeError('a control frame cannot be fragmented (RFC 6455 5.5)')
    if (length > maxControlPayload) {
      throw new RangeError(`a control frame holds at most 125 bytes, not ${length} (RFC 6455 5.5)`)
    }
  }
  const first = (fin ? finBit : 0) | (rsv1 ? rsv1Bit : 0) | opcode
  const bytes = Buffer.allocUnsafe(headerSize(length, maskKey !== undefined) + length)
  writeFrame(bytes, 0, first, payload, length, maskKey)
  return bytes
}

/** How many bytes a payload takes on the wire. */
export function payloadSize(payload: Uint8Array | string): number {
  return typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
}

/**
 * Writes header and payload at `at`, where there must be room for both, and returns where the frame ends. `first`
 * is the frame's first byte, `length` the payload's size as `payloadSize` gives it.
 */
export function writeFrame(
  target: Buffer,
  at: number,
  first: number,
  payload: Uint8Array | string,
  length: number,
  maskKey: number | undefined,
): number {
  const start = writeHeader(target, at, first, length, maskKey)
  const end = start + length
  // Latin-1 is the quicker way to write a string that is all ASCII, and only such a one has as many bytes as characters.
  if (typeof payload === 'string') {
    target.write(payload, start, length, length === payload.length ? 'latin1' : 'utf8')
    if (maskKey !== undefined) mask(target, start, end, maskKey)
  } else if (maskKey === undefined) {
    target.set(payload, start)
  } else {
    maskInto(payload, 0, length, target, start, maskKey)
  }
  return end
}
