/**
 * The opening handshake, RFC 6455 section 4, without any I/O: judge a request, judge a response, write both. Node's
 * parser has read the head; what it lets through and this protocol does not is refused here.
 */
import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import { type DeflateAgreement, judgeAnswer } from './deflate/parameters.ts'
import {
  type Extension,
  formatExtensions,
  type Headers,
  isToken,
  lowerAscii,
  parseExtensions,
  parseTokens,
  trim,
} from './header-list.ts'
import { type Refusal, refuseFor } from './refusal.ts'
import { parseUrl } from './url.ts'

/** Of a request or a response, as `http.IncomingMessage` has it. */
interface Head {
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
}

export interface RequestHead extends Head {
  readonly method?: string | undefined
  readonly url?: string | undefined
}

/** What a good request asks for. */
export interface UpgradeRequest {
  readonly key: string
  /** The path of the target, without the query. */
  readonly path: string
  readonly host: string
  readonly origin: string | undefined
  readonly protocols: readonly string[]
  readonly extensions: readonly Extension[]
}

const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Sec-WebSocket-Accept for a key, RFC 6455 section 4.2.2. */
export function acceptFor(key: string): string {
  return hash('sha1', key + guid, 'base64')
}

/** 16 bytes in base64 (section 4.1); spare bits may be set, as in the RFC's own example. */
export function isKey(key: string): boolean {
  return /^[A-Za-z0-9+/]{22}==$/.test(key)
}

/** Judges the client's request: RFC 6455 section 4.2.1. */
export function judgeRequest(request: RequestHead): UpgradeRequest | Refusal {
  const fields = new Fields(request.rawHeaders)
  const bad = (why: string): Refusal => refuseFor('bad-request', 400, { body: `${why}\n` })

  if (request.httpVersion !== '1.1') return bad('a WebSocket handshake needs HTTP/1.1') // 4.2.1 item 1
  // HEAD is answered as GET would be (RFC 9110 9.3.2), but upgrades nothing (RFC 6455 4.1).
  if (request.method !== 'GET' && (request.method !== 'HEAD' || fields.has('upgrade'))) {
    return refuseFor('bad-request', 405, {
      headers: { Allow: 'GET' },
      body: 'a WebSocket handshake is a GET\n',
    }) // RFC 9110 15.5.6
  }
  const [host, ...otherHosts] = fields.all('host')
  if (host === undefined || otherHosts.length > 0 || !/^[^\s/?#@\\,]+$/.test(host))
    return bad('one Host is needed') // RFC 9112 3.2
  const path = pathOf(request.url ?? '')
  if (path === undefined) return bad('the request target is not a path')
  if (fields.has('transfer-encoding') || fields.all('content-length').some((length) => length !== '0')) {
    return bad('a WebSocket handshake has no body') // Its bytes would pass for frames.
  }
  if (fields.has('expect')) return refuseFor('bad-request', 417, { body: 'no expectation can be met\n' }) // RFC 9110 10.1.1

  if (!fields.hasToken('upgrade', 'websocket')) return upgradeRequired() // item 3
  if (!fields.hasToken('connection', 'upgrade')) return bad('Connection lacks "upgrade"') // item 4
  const versions = fields.all('sec-websocket-version')
  const [version] = versions
  if (version === undefined || versions.length > 1) return bad('one Sec-WebSocket-Version is needed') // item 6
  if (version !== '13')
    return isVersion(version) ? upgradeRequired() : bad('Sec-WebSocket-Version is malformed') // 4.4
  const keys = fields.all('sec-websocket-key')
  const [key] = keys
  if (key === undefined || keys.length > 1 || !isKey(key))
    return bad('one Sec-WebSocket-Key of 16 bytes is needed') // item 5

  let protocols: string[] | undefined = []
  if (fields.has('sec-websocket-protocol')) {
    protocols = parseTokens(fields.all('sec-websocket-protocol').join(',')) // 11.3.4: may be repeated
    if (protocols === undefined || protocols.length === 0 || new Set(protocols).size < protocols.length) {
      return bad('Sec-WebSocket-Protocol is malformed')
    }
  }
  let extensions: Extension[] | undefined = []
  if (fields.has('sec-websocket-extensions')) {
    extensions = parseExtensions(fields.all('sec-websocket-extensions').join(',')) // 9.1: may be repeated
    if (extensions === undefined) return bad('Sec-WebSocket-Extensions is malformed')
  }
  const [origin, ...otherOrigins] = fields.all('origin')
  if (otherOrigins.length > 0) return bad('one Origin at most') // RFC 6454 7.3: which one would be judged?
  return { key, path, host, origin, protocols, extensions }
}

/** The answer to whom speaks another version or no WebSocket at all: RFC 6455 section 4.4, RFC 9110 section 15.5.22. */
export function upgradeRequired(): Refusal {
  return refuseFor('bad-request', 426, {
    headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
    body: 'this is a WebSocket server; it speaks version 13\n',
  })
}

/** The default of `origins`: the page was loaded from the host that it connects to (section 10.2). */
export function isSameOrigin(origin: string | undefined, host: string): boolean {
  if (origin === undefined) return true
  const page = parseUrl(origin)
  if (page === undefined || page.host === '') return false
  // Whether TLS ended at a proxy cannot be seen here, so host and port decide, with the page's default port.
  return parseUrl(`${page.protocol}//${host}`)?.host === page.host
}

/** The head of the 101: section 4.2.2. */
export function writeAcceptance(terms: {
  readonly key: string
  readonly protocol: string
  readonly extensions: readonly Extension[]
}): string {
  const { key, protocol, extensions } = terms
  return (
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${acceptFor(key)}\r\n` +
    (protocol === '' ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`) +
    (extensions.length === 0 ? '' : `Sec-WebSocket-Extensions: ${formatExtensions(extensions)}\r\n`) +
    '\r\n'
  )
}

/** The headers of a refusal. It ends the exchange (RFC 9112 section 9.6). */
export function refusalHeaders({ headers, body }: Refusal): Headers {
  const given = new Set(Object.keys(headers).map(lowerAscii))
  return {
    ...headers,
    ...(given.has('content-type') ? {} : { 'Content-Type': 'text/plain; charset=utf-8' }),
    'Content-Length': `${Buffer.byteLength(body)}`,
    Connection: given.has('upgrade') ? 'Upgrade, close' : 'close', // RFC 9110 7.8
  }
}

/** A refusal as bytes. */
export function writeRefusal(refusal: Refusal, method: string | undefined): Buffer {
  const { status, body } = refusal
  const head = lines(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}`, refusalHeaders(refusal))
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(method === 'HEAD' ? '' : body)])
}

/** What a client asks for. */
export interface Offer {
  readonly key: string
  readonly protocols: readonly string[]
  /** Its offer of permessage-deflate; undefined for none. */
  readonly deflate: Extension | undefined
}

/** The request's headers beside Host and the caller's own: section 4.1. */
export function upgradeHeaders(
  { key, protocols, deflate }: Offer,
  origin: string | undefined,
): Record<string, string> {
  return {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': key,
    'Sec-WebSocket-Version': '13',
    ...(protocols.length === 0 ? {} : { 'Sec-WebSocket-Protocol': protocols.join(', ') }),
    ...(deflate === undefined ? {} : { 'Sec-WebSocket-Extensions': formatExtensions([deflate]) }),
    ...(origin === undefined ? {} : { Origin: origin }),
  }
}

/** What a good response agreed to; or what is wrong with it, and the section. */
export type ResponseVerdict =
  { readonly protocol: string; readonly deflate: DeflateAgreement | undefined } | { readonly fault: string }

/** Judges the server's 101: RFC 6455 section 4.1, the list behind "Once the client's opening handshake has been sent". */
export function judgeResponse(response: Head, offer: Offer): ResponseVerdict {
  const fields = new Fields(response.rawHeaders)
  if (response.httpVersion !== '1.1') return fault('the response is not HTTP/1.1')
  const [upgrade, ...otherUpgrades] = fields.all('upgrade')
  if (upgrade === undefined || otherUpgrades.length > 0 || lowerAscii(upgrade) !== 'websocket')
    return fault('Upgrade is not "websocket"') // item 2
  if (!fields.hasToken('connection', 'upgrade')) return fault('Connection lacks "upgrade"') // item 3
  const accept = fields.all('sec-websocket-accept')
  if (accept.length !== 1 || accept[0] !== acceptFor(offer.key))
    return fault('Sec-WebSocket-Accept does not answer our key') // item 4
  if (fields.has('transfer-encoding') || fields.all('content-length').some((length) => length !== '0')) {
    return fault('a 101 response has a body', 'RFC 9110 8.6')
  }
  let deflate: DeflateAgreement | undefined
  if (fields.has('sec-websocket-extensions')) {
    // 11.3.2: one header, but what two would say together is judged all the same.
    const [answered, ...others] = parseExtensions(fields.all('sec-websocket-extensions').join(',')) ?? []
    if (answered === undefined) return fault('Sec-WebSocket-Extensions is malformed') // 9.1
    if (offer.deflate === undefined || others.length > 0 || answered.name !== offer.deflate.name)
      return fault('an extension was answered that was not offered') // item 5
    deflate = judgeAnswer(offer.deflate, answered)
    if (deflate === undefined)
      return fault('the answer to permessage-deflate is not acceptable', 'RFC 7692 7.1')
  }
  const protocols = fields.all('sec-websocket-protocol')
  const [protocol = ''] = protocols
  if (protocols.length > 1) return fault('more than one subprotocol was answered')
  if (protocols.length === 1 && !(isToken(protocol) && offer.protocols.includes(protocol))) {
    return fault(`the subprotocol ${JSON.stringify(protocol)} was not offered`) // item 6
  }
  return { protocol, deflate }
}

function fault(what: string, section = 'RFC 6455 4.1'): ResponseVerdict {
  return { fault: `${what} (${section})` }
}

/** The path of a request target in origin form or absolute form (RFC 9112 section 3.2); undefined for another. */
export function pathOf(target: string): string | undefined {
  if (target.startsWith('/')) return target.replace(/\?.*/s, '')
  return /^(?:https?|wss?):\/\//i.test(target) ? parseUrl(target)?.pathname : undefined
}

/** 0 to 255 in decimal without a leading zero: section 4.3. */
function isVersion(version: string): boolean {
  return /^(?:0|[1-9]\d{0,2})$/.test(version) && Number(version) <= 255
}

function lines(start: string, headers: Headers): string {
  const fields = Object.entries(headers).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).map((each) => `${name}: ${each}\r\n`),
  )
  return `${start}\r\n${fields.join('')}\r\n`
}

/** Header fields as they came: Node's own view drops or joins the repeated ones that matter here. */
class Fields {
  readonly #values = new Map<string, string[]>()

  constructor(rawHeaders: readonly string[]) {
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
      const name = lowerAscii(rawHeaders[at]!)
      const values = this.#values.get(name)
      if (values === undefined) this.#values.set(name, [rawHeaders[at + 1]!])
      else values.push(rawHeaders[at + 1]!)
    }
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  /** Whether a list field holds that token, in any ASCII case. */
  hasToken(name: string, token: string): boolean {
    return this.all(name).some((value) =>
      value.split(',').some((element) => lowerAscii(trim(element)) === token),
    )
  }
}
