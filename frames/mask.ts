/**
 * Masking, RFC 6455 section 5.3: byte i of a payload is XORed with byte i modulo 4 of the key. The same operation
 * masks and unmasks.
 *
 * A key is a 32-bit integer whose top byte is the key's first byte, as the header shows it.
 */
import { type Kernel, loadKernel } from './simd.ts'

/** Below this many bytes a plain loop beats the making of an Int32Array (about 100 ns). */
const wordsFrom = 128
/** From this many bytes on SIMD is worth its copies. */
const simdFrom = 1024

const kernel = loadKernel(Reflect.get(globalThis, 'WebAssembly'))

const keyWord = new Int32Array(1)
const keyBytes = new Uint8Array(keyWord.buffer)

/** The key as a word of memory, first byte first. */
function wordOf(key: number): number {
  keyBytes[0] = key >>> 24
  keyBytes[1] = key >>> 16
  keyBytes[2] = key >>> 8
  keyBytes[3] = key
  return keyWord[0]!
}

/** The key as it applies to the bytes that come `count` bytes later. */
function rotate(key: number, count: number): number {
  const bits = (count & 3) << 3
  return bits === 0 ? key : (key << bits) | (key >>> (32 - bits))
}

/**
 * Masks bytes `start` to `end` in place and returns the key for the byte that follows, so that a payload may come
 * in any number of pieces: `key = mask(piece, 0, piece.length, key)`.
 */
export function mask(bytes: Uint8Array, start: number, end: number, key: number): number {
  const length = end - start
  if (key === 0) return key
  if (length < wordsFrom) {
    maskBytes(bytes, start, end, key)
    return rotate(key, length)
  }
  if (length >= simdFrom && kernel !== undefined) {
    maskSimd(kernel, bytes, start, end, bytes, start, wordOf(key))
    return rotate(key, length)
  }
  const lead = -(bytes.byteOffset + start) & 3
  const count = (length - lead) >>> 2
  const wordsEnd = start + lead + (count << 2)
  maskBytes(bytes, start, start + lead, key)
  const aligned = rotate(key, lead)
  maskWords(new Int32Array(bytes.buffer, bytes.byteOffset + start + lead, count), aligned)
  maskBytes(bytes, wordsEnd, end, aligned)
  return rotate(key, length)
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
  if (length >= simdFrom && key !== 0 && kernel !== undefined) {
    maskSimd(kernel, source, start, end, target, at, wordOf(key))
    return rotate(key, length)
  }
  target.set(source.subarray(start, end), at)
  return mask(target, at, at + length, key)
}

function maskSimd(
  { memory, xor }: Kernel,
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
  word: number,
): void {
  const shift = at - start
  for (let from = start; from < end; from += memory.length) {
    const to = Math.min(end, from + memory.length)
    memory.set(source.subarray(from, to))
    xor(0, to - from, word)
    target.set(memory.subarray(0, to - from), from + shift)
  }
}

function maskBytes(bytes: Uint8Array, start: number, end: number, key: number): void {
  let rolling = key
  for (let at = start; at < end; at++) {
    rolling = (rolling << 8) | (rolling >>> 24)
    bytes[at]! ^= rolling
  }
}

/** Eight words a round: V8 does not unroll by itself, and this is four times as fast as one word a round. */
function maskWords(words: Int32Array, key: number): void {
  const word = wordOf(key)
  const rounds = words.length & ~7
  let at = 0
  for (; at < rounds; at += 8) {
    words[at]! ^= word
    words[at + 1]! ^= word
    words[at + 2]! ^= word
    words[at + 3]! ^= word
    words[at + 4]! ^= word
    words[at + 5]! ^= word
    words[at + 6]! ^= word
    words[at + 7]! ^= word
  }
  for (; at < words.length; at++) words[at]! ^= word
}
