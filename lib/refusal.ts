/** Turning a request away: any HTTP answer but 101. */
import { STATUS_CODES } from 'node:http'
import { checkHeaders, type Headers } from './header-list.ts'

/** Why a request was turned away: by which option, because it was none, or because the server could not go on. */
export type RefusalReason =
  | 'bad-request'
  | 'path'
  | 'origin'
  | 'verify'
  | 'handshake-timeout'
  | 'max-connections'
  | 'max-connections-per-address'
  | 'handler-error'
  | 'closing'

/** What the answer's framing is made of. */
const framingHeaders: ReadonlySet<string> = new Set(['connection', 'content-length', 'transfer-encoding'])

/** An answer that turns a request away. Made by `refuse`. */
export class Refusal {
  readonly reason: RefusalReason
  readonly status: number
  readonly headers: Headers
  readonly body: string | Uint8Array

  /** @throws as `refuse` does */
  constructor(reason: RefusalReason, status: number, options: RefusalOptions = {}) {
    if (!Number.isInteger(status) || status < 300 || status > 599) {
      throw new RangeError(`a refusal needs a status from 300 to 599, not ${status}`)
    }
    const { headers = {}, body = `${STATUS_CODES[status] ?? 'Refused'}\n` } = options
    checkHeaders('headers', headers, framingHeaders)
    if (typeof body !== 'string' && !(body instanceof Uint8Array))
      throw new TypeError('option "body" must be a string or bytes')
    this.reason = reason
    this.status = status
    this.headers = headers
    this.body = body
  }
}

export interface RefusalOptions {
  /** Further headers, such as WWW-Authenticate or Location. */
  readonly headers?: Headers
  /** Text or bytes; default the status's name. */
  readonly body?: string | Uint8Array
}

/**
 * A refusal for `verify` to return.
 *
 * @param status 300 to 599
 * @param options.headers further headers
 * @param options.body default the status's name
 * @throws RangeError for another status, TypeError for a header that must not be written
 */
export function refuse(status: number, options?: RefusalOptions): Refusal {
  return new Refusal('verify', status, options)
}

/** A refusal of our own. */
export function refuseFor(reason: RefusalReason, status: number, options?: RefusalOptions): Refusal {
  return new Refusal(reason, status, options)
}
