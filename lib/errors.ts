/** The errors that a caller can meet. The peer's fault is never thrown: it comes in a rejection or in `CloseInfo`. */
import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import type { Violation, ViolationName } from '../frames/violation.ts'
import { type CloseInfo, describeClose } from './close-info.ts'

/** The peer broke a rule of the protocol or one of our limits. Found in `CloseInfo.error`. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  /** Stable, for programs: `reserved-bit`, `message-too-big` … */
  readonly code: ViolationName
  /** The close code that the peer was sent. */
  readonly closeCode: number
  /** The section that was broken, such as `RFC 6455 5.2`. */
  readonly section: string

  constructor(violation: Violation) {
    super(`${violation.message} (${violation.section})`)
    this.code = violation.name
    this.closeCode = violation.closeCode
    this.section = violation.section
  }
}

/** What was waited for cannot come any more: the connection is closing or closed. */
export class ConnectionClosedError extends Error {
  override readonly name = 'ConnectionClosedError'
  /** How the connection ended or, while it is still ending, how it stands. */
  readonly info: CloseInfo

  constructor(info: CloseInfo) {
    super(`the connection is closed: ${describeClose(info)}`)
    this.info = info
  }
}

/** The opening handshake did not succeed (RFC 6455 section 4.1). */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError'
  /** The HTTP status of the answer, undefined when there was none. */
  readonly status: number | undefined
  /** The answer's headers, names in lower case; repeated ones joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** The answer's body, cut at 16 KiB. */
  readonly body: Buffer

  constructor(
    message: string,
    answer: { status?: number | undefined; headers?: Readonly<Record<string, string>>; body?: Buffer } = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.status = answer.status
    this.headers = answer.headers ?? {}
    this.body = answer.body ?? Buffer.alloc(0)
  }
}

/** For a server: there is nobody to answer. */
export function clientLeft(): HandshakeError {
  return new HandshakeError('the client left during the handshake')
}

/** What was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`a handler threw ${inspect(thrown)}`)
}
