/** Changes to bytes that no target minds: any bytes are an input. */
import { Buffer } from 'node:buffer'
import type { Random } from './random.ts'

/** Bytes that matter to the frame codec: headers, lengths, and the borders of UTF-8. */
export const interesting = [
  0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0b, 0x40, 0x41, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x88,
  0x89, 0x8a, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xf5, 0xfd, 0xfe, 0xff,
] as const

/** One change: a bit, a byte, or a piece that is taken out, repeated, put in or cut off. */
export function mutate(
  random: Random,
  bytes: Uint8Array,
  pieces: readonly [number, ...number[]] = interesting,
): Uint8Array {
  const at = random.below(bytes.length + 1)
  const to = Math.min(bytes.length, at + 1 + random.below(random.once(4) ? 200 : 8))
  const head = bytes.subarray(0, at)
  switch (random.below(7)) {
    case 0:
      return changed(bytes, at, (bytes[at] ?? 0) ^ (1 << random.below(8)))
    case 1:
      return changed(bytes, at, random.pick(pieces))
    case 2:
      return Buffer.concat([head, bytes.subarray(to)])
    case 3:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)])
    case 4:
      return Buffer.concat([head, random.bytes(1 + random.below(4)), bytes.subarray(at)])
    case 5:
      return head
    default:
      return Buffer.concat([bytes, bytes.subarray(at, to)])
  }
}

function changed(bytes: Uint8Array, at: number, byte: number): Uint8Array {
  const copy = bytes.slice()
  copy[at] = byte // Beyond the end nothing happens.
  return copy
}
