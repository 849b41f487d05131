/** The payload of a Close frame, RFC 6455 section 5.5.1: nothing, or a close code and a reason in UTF-8. */
import { Buffer } from 'node:buffer'
import { isWireCloseCode } from './close-code.ts'
import { maxControlPayload } from './header.ts'
import { decodeUtf8 } from './utf8.ts'
import { type Violation, violation } from './violation.ts'

/** What one Close frame said. */
export interface ClosePayload {
  /** Undefined when the frame was empty; the application then sees 1005 (RFC 6455 section 7.1.5). */
  readonly code: number | undefined
  /** At most 123 bytes of UTF-8; empty when there was none. */
  readonly reason: string
}

/**
 * Encodes a Close payload: empty when `code` is undefined.
 *
 * @throws RangeError for a code that must not stand in a frame (section 7.4) or a reason over 123 bytes (5.5.1)
 * @throws TypeError for a reason without a code, or arguments of the wrong type
 */
export function encodeClosePayload(code?: number, reason = ''): Buffer {
  if (typeof reason !== 'string') throw new TypeError('the close reason must be a string')
  if (code === undefined) {
    if (reason !== '') throw new TypeError('a close reason needs a close code (RFC 6455 5.5.1)')
    return Buffer.alloc(0)
  }
  if (typeof code !== 'number') throw new TypeError('the close code must be a number')
  if (!isWireCloseCode(code)) throw new RangeError(`close code ${code} must not be sent (RFC 6455 7.4)`)
  const length = Buffer.byteLength(reason)
  if (length > maxControlPayload - 2) {
    throw new RangeError(`the close reason is ${length} bytes of UTF-8; 123 fit (RFC 6455 5.5.1)`)
  }
  const payload = Buffer.allocUnsafe(2 + length)
  payload.writeUInt16BE(code, 0)
  payload.write(reason, 2)
  return payload
}

/** Decodes a Close payload, or names what is wrong with it. */
export function decodeClosePayload(payload: Buffer): ClosePayload | Violation {
  if (payload.length === 0) return { code: undefined, reason: '' }
  if (payload.length === 1) return violation('short-close')
  const code = payload.readUInt16BE(0)
  if (!isWireCloseCode(code)) return violation('bad-close-code')
  const reason = decodeUtf8(payload, 2, payload.length)
  return reason === undefined ? violation('bad-close-reason') : { code, reason }
}
