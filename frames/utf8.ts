/** UTF-8 as RFC 3629 section 4 has it: no overlong form, no surrogate, nothing above U+10FFFF. */
import { type Buffer, isAscii, isUtf8 } from 'node:buffer'

/** From this many bytes on, copying a text that is all ASCII saves more than checking whether it is costs. */
const longText = 4096

/** The text that bytes `start` to `end` are, which must be valid UTF-8. */
export function utf8Text(bytes: Buffer, start: number, end: number): string {
  const copied = end - start >= longText && isAscii(bytes.subarray(start, end))
  return bytes.toString(copied ? 'latin1' : 'utf8', start, end)
}

/**
 * Decodes bytes `start` to `end`, or returns undefined when they are not valid UTF-8. A byte order mark is data and
 * stays (RFC 3629 section 6).
 */
export function decodeUtf8(bytes: Buffer, start: number, end: number): string | undefined {
  const text = utf8Text(bytes, start, end)
  // Node puts U+FFFD in the place of bad bytes, so only a text that holds one can have come from bad bytes.
  if (text.includes('\uFFFD') && !isUtf8(bytes.subarray(start, end))) return undefined
  return text
}

/**
 * Checks UTF-8 that comes in pieces and fails at the first byte that no valid text can hold, even in the middle of
 * a character (RFC 6455 section 8.1).
 */
export class Utf8Checker {
  /** Continuation bytes that the character under way still lacks. */
  #lacking = 0
  /** The range that the next continuation byte must be in: narrower behind E0, ED, F0 and F4. */
  #low = 0x80
  #high = 0xbf

  /** Takes bytes `start` to `end`; false when they cannot go on what came before, and then it is over. */
  push(bytes: Buffer, start: number, end: number): boolean {
    let at = start
    while (this.#lacking > 0 && at < end) {
      if (!this.#step(bytes[at++]!)) return false
    }
    const whole = wholeCharactersEnd(bytes, at, end)
    if (whole > at && !isUtf8(bytes.subarray(at, whole))) return false
    for (at = whole; at < end; at++) {
      if (!this.#step(bytes[at]!)) return false
    }
    return true
  }

  /** True when the text may end here: no character is half done. */
  get complete(): boolean {
    return this.#lacking === 0
  }

  #step(byte: number): boolean {
    if (this.#lacking > 0) {
      if (byte < this.#low || byte > this.#high) return false
      this.#lacking--
      this.#low = 0x80
      this.#high = 0xbf
      return true
    }
    // No ASCII gets here: between characters only the lead byte of one that is cut short does.
    if (byte < 0xc2 || byte > 0xf4) return false
    this.#lacking = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3
    if (byte === 0xe0) this.#low = 0xa0
    else if (byte === 0xed) this.#high = 0x9f
    else if (byte === 0xf0) this.#low = 0x90
    else if (byte === 0xf4) this.#high = 0x8f
    return true
  }
}

/** Where the character begins that bytes `start` to `end` cut short, or `end`. */
function wholeCharactersEnd(bytes: Buffer, start: number, end: number): number {
  for (let at = end - 1; at >= start && at >= end - 3; at--) {
    const byte = bytes[at]!
    if (byte < 0x80) return end
    if (byte >= 0xc0) {
      const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
      return at + length > end ? at : end
    }
  }
  return end
}
