/** Messages to compress, and zlib as a peer would use it. */
import { Buffer } from 'node:buffer'
import { constants, deflateRawSync, inflateRawSync, type ZlibOptions } from 'node:zlib'
import { Random } from '../../fuzz/random.ts'

/** Text that compresses well and repeats nothing for long. */
export function textOf(size: number, seed: number | string = 0): string {
  const random = new Random('text', seed)
  const words = Array.from({ length: 200 }, () => random.next().toString(36))
  let text = ''
  while (text.length < size) text += `${words[random.below(words.length)]} `
  return text.slice(0, size)
}

export function jsonOf(at: number): Buffer {
  return Buffer.from(JSON.stringify({ id: at, name: `user ${at % 7}`, tags: ['a', 'b'], at: at * 7919 }))
}

/** Bytes that do not compress. */
export function noise(size: number, seed: number | string = 0): Buffer {
  const random = new Random('noise', seed)
  const bytes = Buffer.allocUnsafe(size)
  for (let at = 0; at < size; at++) bytes[at] = random.next() >>> 11
  return bytes
}

/** The payload of a compressed message, its tail removed; with the window of the messages before it. */
export function compress(
  message: Uint8Array | string,
  before?: Uint8Array,
  options: ZlibOptions = {},
): Buffer {
  const whole = deflateRawSync(message, {
    finishFlush: constants.Z_SYNC_FLUSH,
    ...(before === undefined || before.length === 0 ? {} : { dictionary: before }),
    ...options,
  })
  return whole.subarray(0, -4)
}

/** What a peer makes of a payload. */
export function decompress(payload: Uint8Array, before?: Uint8Array, options: ZlibOptions = {}): Buffer {
  return inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]), {
    finishFlush: constants.Z_SYNC_FLUSH,
    ...(before === undefined || before.length === 0 ? {} : { dictionary: before }),
    ...options,
  })
}
