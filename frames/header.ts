/** The frame header as it is written: RFC 6455 section 5.2. Reading one is the decoder's business. */
import type { Buffer } from 'node:buffer'

export const finBit = 0x80
export const rsv1Bit = 0x40
export const maskBit = 0x80

/** The longest header: 2 bytes, 8 of extended length, 4 of masking key. */
export const maxHeaderSize = 14

/** The longest payload of a control frame, in bytes: section 5.5. */
export const maxControlPayload = 125

/** The header's size in bytes for a payload of `length` bytes, the shortest form that fits (section 5.2). */
export function headerSize(length: number, masked: boolean): number {
  return (length < 126 ? 2 : length < 0x10000 ? 4 : 10) + (masked ? 4 : 0)
}

/**
 * Writes a header at `at` and returns where the payload goes. `first` is the frame's first byte: FIN, RSV bits and
 * opcode. A `key` sets the mask bit and is written behind the length; undefined leaves the frame unmasked.
 */
export function writeHeader(
  target: Buffer,
  at: number,
  first: number,
  length: number,
  key: number | undefined,
): number {
  const mask = key === undefined ? 0 : maskBit
  target[at] = first
  let next = at + 2
  if (length < 126) {
    target[at + 1] = mask | length
  } else if (length < 0x10000) {
    target[at + 1] = mask | 126
    target[at + 2] = length >>> 8
    target[at + 3] = length
    next = at + 4
  } else {
    target[at + 1] = mask | 127
    target.writeUInt32BE(Math.floor(length / 0x1_0000_0000), at + 2)
    target.writeUInt32BE(length >>> 0, at + 6)
    next = at + 10
  }
  if (key === undefined) return next
  target.writeInt32BE(key | 0, next)
  return next + 4
}
