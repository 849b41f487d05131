/**
 * Masking, RFC 6455 section 5.3: byte i of a payload is XORed with byte i modulo 4 of the key. The same operation
 * masks and unmasks.
 *
 * A key is a 32-bit integer whose top byte is the key's first byte, as the header shows it.
 */
import { type Kernel, loadKernel } from './simd.ts'

/** From this many bytes on a DataView, which takes four at a time wherever they lie, is worth its making. */
const viewFrom = 128
/** From this many bytes on SIMD is worth its copies. */
export const simdFrom = 1024

const kernel = loadKernel(Reflect.get(globalThis, 'WebAssembly'))

/** The key as it applies to the bytes that come `count` bytes later. */
function rotate(key: number, count: number): number {
  const bits = (count & 3) << 3
  return bits === 0 ? key : (key << bits) | (key >>> (32 - bits))
}

/**
 * Masks bytes `start` to `end` in place and returns the key for the byte that follows, so that a payload may come
 * in any number of pieces: `key = mask(piece, 0, piece.length, key)`. Who masks many short pieces of the same bytes
 * has a `view` of them made once.
 */
export function mask(bytes: Uint8Array, start: number, end: number, key: number, view?: DataView): number {
  const length = end - start
  if (key === 0) return key
  if (length >= simdFrom && kernel !== undefined) maskSimd(kernel, bytes, start, end, bytes, start, key)
  else if (view !== undefined) maskWords(view, start, end, key)
  else if (length >= viewFrom) maskWords(viewOf(bytes), start, end, key)
  else maskBytes(bytes, start, end, key)
  return rotate(key, length)
}

/** For `mask`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The same on the way to another place, `at` in `target`; the source stays as it is. */
export function maskInto(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
  key: number,
): number {
  const length = end - start
  if (length < viewFrom) {
    copyBytes(source, start, end, target, at, key)
  } else if (length >= simdFrom && key !== 0 && kernel !== undefined) {
    maskSimd(kernel, source, start, end, target, at, key)
  } else {
    target.set(source.subarray(start, end), at)
    return mask(target, at, at + length, key)
  }
  return rotate(key, length)
}

function maskSimd(
  { memory, xor }: Kernel,
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
  key: number,
): void {
  const shift = at - start
  const word = swapped(key)
  for (let from = start; from < end; from += memory.length) {
    const to = Math.min(end, from + memory.length)
    memory.set(source.subarray(from, to))
    xor(0, to - from, word)
    target.set(memory.subarray(0, to - from), from + shift)
  }
}

/** The key as a word of WebAssembly's memory, which has the lowest byte first. */
function swapped(key: number): number {
  return (key << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | (key >>> 24)
}

function maskBytes(bytes: Uint8Array, start: number, end: number, key: number): void {
  const first = key >>> 24
  const second = key >>> 16
  const third = key >>> 8
  let at = start
  for (const stop = end - 3; at < stop; at += 4) {
    bytes[at]! ^= first
    bytes[at + 1]! ^= second
    bytes[at + 2]! ^= third
    bytes[at + 3]! ^= key
  }
  if (at < end) bytes[at]! ^= first
  if (at + 1 < end) bytes[at + 1]! ^= second
  if (at + 2 < end) bytes[at + 2]! ^= third
}

function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
  key: number,
): void {
  const first = key >>> 24
  const second = key >>> 16
  const third = key >>> 8
  const shift = at - start
  let from = start
  for (const stop = end - 3; from < stop; from += 4) {
    target[from + shift] = source[from]! ^ first
    target[from + shift + 1] = source[from + 1]! ^ second
    target[from + shift + 2] = source[from + 2]! ^ third
    target[from + shift + 3] = source[from + 3]! ^ key
  }
  if (from < end) target[from + shift] = source[from]! ^ first
  if (from + 1 < end) target[from + shift + 1] = source[from + 1]! ^ second
  if (from + 2 < end) target[from + shift + 2] = source[from + 2]! ^ third
}

/** Four words a round: V8 does not unroll by itself. */
function maskWords(view: DataView, start: number, end: number, key: number): void {
  let at = start
  for (const stop = end - 15; at < stop; at += 16) {
    view.setInt32(at, view.getInt32(at) ^ key)
    view.setInt32(at + 4, view.getInt32(at + 4) ^ key)
    view.setInt32(at + 8, view.getInt32(at + 8) ^ key)
    view.setInt32(at + 12, view.getInt32(at + 12) ^ key)
  }
  for (const stop = end - 3; at < stop; at += 4) view.setInt32(at, view.getInt32(at) ^ key)
  if (at < end) view.setUint8(at, view.getUint8(at) ^ (key >>> 24))
  if (at + 1 < end) view.setUint8(at + 1, view.getUint8(at + 1) ^ (key >>> 16))
  if (at + 2 < end) view.setUint8(at + 2, view.getUint8(at + 2) ^ (key >>> 8))
}

/** Masks bytes `start` to `end` of the view on their way to `at`, an earlier place in it. For short payloads. */
export function maskBack(view: DataView, start: number, end: number, at: number, key: number): void {
  const shift = at - start
  let from = start
  for (const stop = end - 3; from < stop; from += 4) view.setInt32(from + shift, view.getInt32(from) ^ key)
  if (from < end) view.setUint8(from + shift, view.getUint8(from) ^ (key >>> 24))
  if (from + 1 < end) view.setUint8(from + shift + 1, view.getUint8(from + 1) ^ (key >>> 16))
  if (from + 2 < end) view.setUint8(from + shift + 2, view.getUint8(from + 2) ^ (key >>> 8))
}
