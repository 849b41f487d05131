/**
 * A request for an upgrade, RFC 6455 section 4.2.1, as any bytes: through `judgeRequest`, and through Node's HTTP server
 * to a whole WebSocket server. Both must open what the rules below allow and refuse what they do not, for one of the
 * reasons that they know.
 *
 *     byte 0   how the bytes are cut
 *     the rest what comes from the network
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { judgeRequest, type RequestHead } from '../../lib/handshake.ts'
import { Refusal } from '../../lib/refusal.ts'
import { WebSocketServer } from '../../lib/server.ts'
import { parseUrl } from '../../lib/url.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns, watchProcess } from '../help/loop.ts'
import { memoryPair } from '../help/memory-pair.ts'
import { cutRandomly, destroyed } from './ended.ts'
import { headerValue } from './extension-header.ts'
import { agreeTo, readExtensions } from './extension-reference.ts'
import {
  hasWord,
  headInput,
  headOf,
  type HttpHead,
  isOdd,
  readLoosely,
  readStrictly,
  valuesOf,
} from './http-head.ts'
import { Random } from './random.ts'
import type { Target } from './target.ts'

const protocols = ['chat', 'superchat']
const policy = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
}

/** What came of the bytes on a connection of their own. */
export interface Exchange {
  /** The upgrade that Node found in them. */
  readonly request: RequestHead | undefined
  /** All that was sent back. */
  readonly answer: Buffer
  /** The connection came to its end when the client ended it. */
  readonly ended: boolean
  /** What would have ended the process. */
  readonly escaped: readonly unknown[]
}

export interface Handshakes {
  readonly judge: typeof judgeRequest
  readonly exchange: (chunks: readonly Uint8Array[]) => Promise<Exchange>
}

/** The target, around the real handshake or, to test the fuzzer itself, around a broken one. */
export function requestHeadTarget(subject: Handshakes = { judge: judgeRequest, exchange }): Target {
  return {
    name: 'request-head',
    corpus: 'request-head',
    generate: (random, corpus) => headInput(random, corpus, requestOf),
    async check(input) {
      const bytes = input.subarray(1)
      const loose = readLoosely(bytes)
      const [method, url, version = ''] = loose.start.split(' ')
      const request = { method, url, httpVersion: version.slice(5), rawHeaders: loose.rawHeaders }
      const problem = judged(request, subject.judge(request))
      if (problem !== undefined) return problem
      return answered(bytes, await subject.exchange(cutRandomly(bytes, new Random('cuts', input[0] ?? 0))))
    },
  }
}

/** What is wrong with a verdict. */
function judged(request: RequestHead, verdict: ReturnType<typeof judgeRequest>): string | undefined {
  const faults = faultsOf(request)
  const status = verdict instanceof Refusal ? verdict.status : 101
  if (faults.length === 0 ? status === 101 : faults.includes(status)) return undefined
  return `judgeRequest says ${status} where ${tell(faults)}: ${JSON.stringify(request)}`
}

/** What is wrong with an answer. */
function answered(bytes: Uint8Array, { request, answer, ended, escaped }: Exchange): string | undefined {
  if (escaped.length > 0) return `escaped: ${escaped.map(String).join(', ')}`
  if (!ended) return 'the connection does not end'
  const text = answer.toString('latin1')
  if (request === undefined) {
    // Node has refused it by itself, or handed it to those who serve other requests.
    if (!/^(?:HTTP\/1\.1 (?:4\d\d|100) |$)/.test(text)) return `unasked answer: ${text}`
    const head = readStrictly(bytes)
    if (head === undefined || !isGood(head) || isOdd(bytes)) return undefined
    return `a good request was not taken: ${head.start}`
  }
  const faults = [...faultsOf(request), ...(isFromElsewhere(request) ? [403] : [])]
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1])
  if (faults.length > 0) {
    const head = readStrictly(answer)
    const ends = head !== undefined && hasWord(head, 'connection', 'close')
    if (faults.includes(status) && ends) return undefined
  } else if (status === 101 && text.startsWith(acceptance(request))) {
    return undefined
  }
  return `${JSON.stringify(text)} where ${tell(faults)}: ${JSON.stringify(request)}`
}

function tell(faults: readonly number[]): string {
  return faults.length === 0 ? 'all is well' : `only ${faults.join(' or ')} is right`
}

/** A request that Node's parser must let through, and we too. */
function isGood({ start, rawHeaders }: HttpHead): boolean {
  const [, url] = /^GET (\/[\x21-\x7e]*) HTTP\/1\.1$/.exec(start) ?? []
  if (url === undefined) return false
  const request = { method: 'GET', url, httpVersion: '1.1', rawHeaders }
  return faultsOf(request).length === 0 && !isFromElsewhere(request)
}

/** The status for each rule that the request breaks. */
function faultsOf(request: RequestHead): number[] {
  const { method, url = '', httpVersion } = request
  const all = (name: string): string[] => valuesOf(request, name)
  const has = (name: string): boolean => all(name).length > 0
  const [host = ''] = all('host')
  const [key = ''] = all('sec-websocket-key')
  const [version = ''] = all('sec-websocket-version')
  const offered = all('sec-websocket-protocol').join(',')
  const rules: readonly [holds: boolean, status: number][] = [
    [httpVersion === '1.1', 400],
    [method === 'GET' || (method === 'HEAD' && !has('upgrade')), 405],
    [all('host').length === 1 && host !== '' && !/[\s/?#@\\,]/.test(host), 400],
    [url.startsWith('/') || (/^(?:http|ws)s?:\/\//i.test(url) && parseUrl(url) !== undefined), 400],
    [!has('transfer-encoding') && all('content-length').every((length) => length === '0'), 400],
    [!has('expect'), 417],
    [hasWord(request, 'upgrade', 'websocket'), 426],
    [hasWord(request, 'connection', 'upgrade'), 400],
    [all('sec-websocket-version').length === 1, 400],
    [version === '13' || !isByte(version), 426],
    [isByte(version), 400],
    [all('sec-websocket-key').length === 1 && /^[\w+/-]{22}==$/.test(key) && !/[_-]/.test(key), 400],
    [!has('sec-websocket-protocol') || areTokens(offered), 400],
    [!has('sec-websocket-extensions') || readExtensions(extensionsOf(request)) !== undefined, 400],
    [all('origin').length <= 1, 400],
  ]
  return rules.filter(([holds]) => !holds).map(([, status]) => status)
}

function isByte(text: string): boolean {
  return (
    `${Number(text)}` === text && Number(text) >= 0 && Number(text) <= 255 && Number.isInteger(Number(text))
  )
}

/** At least one, each a token, and none of them twice. */
function areTokens(list: string): boolean {
  const words = list.split(',').map((word) => word.replaceAll(/^[\t ]+|[\t ]+$/g, ''))
  const given = words.filter((word) => word !== '')
  // Such a list of extensions is one of names alone.
  const read = readExtensions(list)
  return (
    new Set(given).size === given.length && read?.every(({ parameters }) => parameters.length === 0) === true
  )
}

/** The default of `origins`. */
function isFromElsewhere(request: RequestHead): boolean {
  const [origin] = valuesOf(request, 'origin')
  const [host = ''] = valuesOf(request, 'host')
  if (origin === undefined) return false
  const page = parseUrl(origin)
  if (page === undefined || page.host === '') return true
  return parseUrl(`${page.protocol}//${host}`)?.host !== page.host
}

/** How the 101 begins that the request must get. */
function acceptance(request: RequestHead): string {
  const [key = ''] = valuesOf(request, 'sec-websocket-key')
  const digest = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  const protocol = protocols.find((each) => hasExactly(request, 'sec-websocket-protocol', each))
  const offers = readExtensions(extensionsOf(request)) ?? []
  const terms = agreeTo(offers, policy)
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${digest}`,
    ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
    // What stands behind it is the business of the target `extension-header`.
    terms === undefined ? '\r\n' : 'Sec-WebSocket-Extensions: permessage-deflate',
  ]
  return lines.join('\r\n')
}

function hasExactly(request: RequestHead, name: string, word: string): boolean {
  return valuesOf(request, name)
    .join(',')
    .split(/[\t ]*,[\t ]*/)
    .includes(word)
}

function extensionsOf(request: RequestHead): string {
  return valuesOf(request, 'sec-websocket-extensions').join(',')
}

/** Gives the bytes to a server, and then the client's end of TCP. */
export async function exchange(chunks: readonly Uint8Array[]): Promise<Exchange> {
  const watch = watchProcess()
  const [ours, theirs] = memoryPair()
  const http = createServer()
  const timers = new FakeTimers()
  const server = new WebSocketServer({
    server: http,
    timers,
    keepalive: false,
    protocols,
    compression: true,
  })
  const faults: unknown[] = []
  server.on('handlerError', (error) => faults.push(error))
  let request: IncomingMessage | undefined
  http.prependListener('upgrade', (upgrade) => (request = upgrade))
  // One request a connection, so that there is one answer.
  http.on('request', (other) => other.socket.destroy())
  http.on('connect', (_request, socket) => socket.destroy())
  const answer: Buffer[] = []
  theirs.on('data', (chunk: Buffer) => answer.push(chunk))
  theirs.on('error', () => {})
  http.emit('connection', ours)
  for (const chunk of chunks) theirs.write(chunk)
  theirs.end()
  // What comes behind a refusal is read a while later, but all of it long before the linger time of 2 s is over.
  for (let passed = 0; passed < 1000 && !ours.destroyed; passed += 10) {
    await turns()
    timers.advance(10)
  }
  const ended = await destroyed(ours)
  await turns(2)
  theirs.destroy()
  return { request, answer: Buffer.concat(answer), ended, escaped: [...faults, ...(await watch.stop())] }
}

const usual = [
  'Host: example.com',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
]
const others = [
  'Sec-WebSocket-Protocol: chat',
  'Sec-WebSocket-Protocol: superchat, chat',
  'Sec-WebSocket-Protocol: other',
  'Sec-WebSocket-Protocol: chat, chat',
  'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  'Sec-WebSocket-Extensions: x-other, permessage-deflate',
  'Origin: http://example.com',
  'Origin: https://example.com:443',
  'Origin: https://elsewhere.example',
  'Origin: null',
  'Host: example.com:80',
  'Connection: keep-alive, Upgrade',
  'Upgrade: h2c, websocket',
  'Content-Length: 0',
  'Content-Length: 5',
  'Transfer-Encoding: chunked',
  'Expect: 100-continue',
  'Sec-WebSocket-Version: 8',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  'Sec-WebSocket-Key: short==',
  'Cookie: a=b; c=d',
  'X-Empty:',
] as const
const starts = [
  'GET /chat?room=1 HTTP/1.1',
  'GET http://example.com/chat HTTP/1.1',
  'GET * HTTP/1.1',
  'GET / HTTP/1.0',
  'GET /a#b HTTP/1.1',
  'POST / HTTP/1.1',
  'HEAD / HTTP/1.1',
  'CONNECT example.com:80 HTTP/1.1',
  'OPTIONS / HTTP/1.1',
] as const

/** A request, and now and then what a client sends behind it. */
function requestOf(random: Random): Uint8Array {
  const start = random.once(4) ? random.pick(starts) : 'GET / HTTP/1.1'
  const fields = random.once(6) ? [...usual, `Sec-WebSocket-Extensions: ${headerValue(random)}`] : usual
  const head = headOf(random, start, { usual: fields, others })
  return random.once(6) ? Buffer.concat([head, random.bytes(random.below(20))]) : head
}
