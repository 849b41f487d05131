/**
 * A server's answer to our request, RFC 6455 section 4.1, as any bytes: through `judgeResponse`, and through Node's HTTP
 * client to `connect`. Both must take what the rules below allow and nothing else, and `connect` must leave no socket.
 *
 *     byte 0   bit 0: we offer subprotocols · bit 1: we offer permessage-deflate · the rest: how the bytes are cut
 *     the rest what comes from the network
 */
import { Buffer } from 'node:buffer'
import { Agent } from 'node:http'
import { inspect, isDeepStrictEqual } from 'node:util'
import { connect } from '../../lib/client.ts'
import type { Connection } from '../../lib/connection.ts'
import { offer } from '../../lib/deflate/parameters.ts'
import { HandshakeError } from '../../lib/errors.ts'
import { judgeResponse, type Offer } from '../../lib/handshake.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns, watchProcess } from '../help/loop.ts'
import { memoryPair, type MemorySocket } from '../help/memory-pair.ts'
import { comes, cutRandomly, destroyed, ended } from './ended.ts'
import { headerValue } from './extension-header.ts'
import { readExtensions, takeAnswer, type Terms } from './extension-reference.ts'
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

/** Of 16 zero bytes: the random source of these clients. */
const key = 'AAAAAAAAAAAAAAAAAAAAAA=='
const accept = 'ICX+Yqv66kxgM0FcWaLWlFLwTAI='

/** What came of an answer. */
export interface Attempt {
  /** The subprotocol of the connection that opened. */
  readonly opened: string | undefined
  /** What `connect` rejected with. */
  readonly refusal: unknown
  /** The socket was destroyed in the end, and the connection, if there was one, told so. */
  readonly ended: boolean
  /** What would have ended the process. */
  readonly escaped: readonly unknown[]
}

export interface Client {
  readonly judge: typeof judgeResponse
  readonly attempt: (offered: Offer, chunks: readonly Uint8Array[]) => Promise<Attempt>
}

/** The target, around the real client or, to test the fuzzer itself, around a broken one. */
export function responseHeadTarget(subject: Client = { judge: judgeResponse, attempt }): Target {
  return {
    name: 'response-head',
    corpus: 'response-head',
    generate: (random, corpus) => headInput(random, corpus, responseOf),
    async check(input) {
      const [settings = 0] = input
      const offered = offerOf(settings)
      const bytes = input.subarray(1)
      const problem = judged(readLoosely(bytes), offered, subject)
      if (problem !== undefined) return problem
      const attempted = await subject.attempt(offered, cutRandomly(bytes, new Random('cuts', settings)))
      return answered(bytes, offered, attempted)
    },
  }
}

function offerOf(settings: number): Offer {
  const bits = { serverMaxWindowBits: 12, clientMaxWindowBits: 15 }
  const takeover = { serverNoContextTakeover: false, clientNoContextTakeover: false }
  return {
    key,
    protocols: (settings & 1) === 0 ? [] : ['chat', 'superchat'],
    deflate: (settings & 2) === 0 ? undefined : offer({ ...bits, ...takeover }),
  }
}

function judged(head: HttpHead, offered: Offer, { judge }: Client): string | undefined {
  const httpVersion = head.start.split(' ', 1).join('').slice('HTTP/'.length)
  const verdict = judge({ httpVersion, rawHeaders: head.rawHeaders }, offered)
  const agreed = httpVersion === '1.1' ? agreement(head, offered) : undefined
  const right = 'fault' in verdict ? agreed === undefined : isDeepStrictEqual(verdict, agreed)
  return right ? undefined : `wanted ${JSON.stringify(agreed)}\n  found  ${JSON.stringify(verdict)}`
}

function answered(bytes: Uint8Array, offered: Offer, attempted: Attempt): string | undefined {
  const { opened, refusal, ended, escaped } = attempted
  if (escaped.length > 0) return `escaped: ${escaped.map(String).join(', ')}`
  if (opened === undefined && !(refusal instanceof HandshakeError)) return `rejected with ${inspect(refusal)}`
  if (!ended) return 'the socket is left'
  const strict = readStrictly(bytes)
  if (opened === undefined) {
    const good = strict !== undefined && isGood(strict, offered) && !isOdd(bytes)
    return good ? `a good answer was refused: ${inspect(refusal)}` : undefined
  }
  // Other answers of the class 1xx may come first.
  const loose = lastHead(bytes)
  const terms = agreement(loose, offered)
  if (/^HTTP\/1\.1 101(?: |$)/.test(loose.start) && terms?.protocol === opened) return undefined
  return `opened with ${JSON.stringify(opened)} by a wrong answer: ${JSON.stringify(loose)}`
}

function isGood(head: HttpHead, offered: Offer): boolean {
  return /^HTTP\/1\.1 101 [\t\x20-\x7e\x80-\xff]*$/.test(head.start) && agreement(head, offered) !== undefined
}

/** The first head that is no 100, 102 or 103. */
function lastHead(bytes: Uint8Array): HttpHead {
  const text = Buffer.from(bytes).toString('latin1')
  const rest = text.replace(/^(?:[\r\n]*HTTP\/1\.[01] 1(?!01)\d\d[^]*?\r?\n\r?\n)+/, '')
  return readLoosely(Buffer.from(rest, 'latin1'))
}

/** What the answer agrees to; undefined where it breaks a rule. */
function agreement(
  head: HttpHead,
  offered: Offer,
): { readonly protocol: string; readonly deflate: Terms | undefined } | undefined {
  const all = (name: string): string[] => valuesOf(head, name)
  const chosen = all('sec-websocket-protocol')
  const answers = all('sec-websocket-extensions')
  const elements = answers.length === 0 ? [] : readExtensions(answers.join(','))
  const [element] = elements ?? []
  const deflate =
    element === undefined || offered.deflate === undefined ? undefined : takeAnswer(offered.deflate, element)
  const rules = [
    all('upgrade').length === 1 && all('upgrade')[0]?.toLowerCase() === 'websocket',
    hasWord(head, 'connection', 'upgrade'),
    all('sec-websocket-accept').join('\n') === accept,
    all('transfer-encoding').length === 0 && all('content-length').every((length) => length === '0'),
    elements !== undefined && elements.length <= 1,
    element === undefined || deflate !== undefined,
    chosen.length === 0 || (chosen.length === 1 && offered.protocols.includes(chosen[0] ?? '')),
  ]
  return rules.includes(false) ? undefined : { protocol: chosen[0] ?? '', deflate }
}

/** Makes connections that end in memory. */
class MemoryAgent extends Agent {
  readonly #socket: MemorySocket

  constructor(socket: MemorySocket) {
    super()
    this.#socket = socket
  }

  override createConnection(): MemorySocket {
    return this.#socket
  }
}

/** Connects to a server that gives those bytes for an answer, and then its end of TCP. */
export async function attempt(offered: Offer, chunks: readonly Uint8Array[]): Promise<Attempt> {
  const watch = watchProcess()
  const [ours, theirs] = memoryPair()
  theirs.on('error', () => {})
  theirs.once('data', () => {
    for (const chunk of chunks) theirs.write(chunk)
    theirs.end()
  })
  let refusal: unknown
  let connection: Connection | undefined
  connect('ws://localhost/', {
    agent: new MemoryAgent(ours),
    timers: new FakeTimers(),
    random: () => {},
    protocols: offered.protocols,
    compression: offered.deflate === undefined ? false : { serverMaxWindowBits: 12 },
  }).then(
    (opened) => (connection = opened),
    (error: unknown) => (refusal = error),
  )
  await comes(() => connection !== undefined || refusal !== undefined)
  const gone = (await destroyed(ours)) && (connection === undefined || (await ended(connection)))
  await turns(2)
  theirs.destroy()
  return { opened: connection?.protocol, refusal, ended: gone, escaped: await watch.stop() }
}

const usual = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`]
const others = [
  'Sec-WebSocket-Protocol: chat',
  'Sec-WebSocket-Protocol: superchat',
  'Sec-WebSocket-Protocol: other',
  'Sec-WebSocket-Protocol: Chat',
  'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12',
  'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=13',
  'Sec-WebSocket-Extensions: x-other',
  'Connection: keep-alive, Upgrade',
  'Connection: close',
  'Upgrade: h2c',
  'Content-Length: 0',
  'Content-Length: 5',
  'Transfer-Encoding: chunked',
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
  'Location: ws://elsewhere.example/',
  'Set-Cookie: a=b',
  'X-Empty:',
] as const
const starts = [
  'HTTP/1.1 101 ',
  'HTTP/1.1 101',
  'HTTP/1.0 101 Switching Protocols',
  'HTTP/1.1 200 OK',
  'HTTP/1.1 204 No Content',
  'HTTP/1.1 302 Found',
  'HTTP/1.1 401 Unauthorized',
  'HTTP/1.1 426 Upgrade Required',
  'HTTP/2 101 Switching Protocols',
] as const
const before = ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'] as const

/** An answer, now and then behind another one, or before some bytes of the connection. */
function responseOf(random: Random): Uint8Array {
  const start = random.once(5) ? random.pick(starts) : 'HTTP/1.1 101 Switching Protocols'
  const fields = random.once(6) ? [...usual, `Sec-WebSocket-Extensions: ${headerValue(random)}`] : usual
  return Buffer.concat([
    random.once(10) ? Buffer.from(random.pick(before)) : new Uint8Array(),
    headOf(random, start, { usual: fields, others }),
    random.once(6) ? random.bytes(random.below(20)) : new Uint8Array(),
  ])
}
