/** The client's half of the opening handshake: RFC 6455 section 4.1 over `node:http` and `node:https`. */
import { Buffer } from 'node:buffer'
import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
  type RequestOptions,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import { connecting, namedHost } from './connecting.ts'
import { Connection } from './connection.ts'
import { DirectInput } from './direct-input.ts'
import { HandshakeError } from './errors.ts'
import { offer } from './deflate/parameters.ts'
import { judgeResponse, type Offer, upgradeHeaders } from './handshake.ts'
import { type Headers, lowerAscii } from './header-list.ts'
import { hostLookup, lookupInTurn } from './host-lookup.ts'
import {
  checkConnectOptions,
  type ConnectOptions,
  connectionSettings,
  handshakeTimeout,
  protocolList,
} from './options.ts'
import { type Random, systemRandom } from './mask-keys.ts'
import { TimeLimit } from './time-limit.ts'
import { systemTimers } from './timers.ts'
import { parseTarget, type Target } from './url.ts'

/** How much of a refusal's body is kept, in bytes. */
const maxBody = 16 * 1024

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** What belongs to one origin and is not shown to another. */
const credentialHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  'proxy-authorization',
  'host',
])

/** The same of the options for TLS, and the name that the first server was to show a certificate for. */
const credentialOptions: ReadonlySet<string> = new Set([
  'cert',
  'key',
  'passphrase',
  'pfx',
  'pskCallback',
  'secureContext',
  'servername',
  'session',
])

/**
 * Opens a connection. To one IP address and port they are opened one after another (RFC 6455 section 4.1), whatever
 * names lead there, so a server that lets a handshake wait holds up the others, each for as long as its
 * `handshakeTimeout`. That limits the look-up of the name, TCP, TLS and the request together, without the wait for the
 * turn in between; `signal` ends that as well. With an `agent`, which may leave the look-up to a proxy, each name counts
 * as a host of its own.
 *
 * Rejects with `HandshakeError`, which holds the server's answer if there was one, and with the signal's reason when
 * that aborts.
 *
 * @param url `ws:`, `wss:`, `http:`, `https:`, or `ws+unix:/path/to/socket:/request/path`
 * @throws SyntaxError for a URL that is none (RFC 6455 section 3); TypeError or RangeError that names a wrong option
 */
export function connect(url: string | URL, options: ConnectOptions = {}): Promise<Connection> {
  checkConnectOptions(options)
  connectionSettings(options, 'client')
  const target = parseTarget(url)
  const opened = open(target, options)
  opened.catch(() => {})
  return opened
}

async function open(first: Target, options: ConnectOptions): Promise<Connection> {
  const { signal, followRedirects = 0, timers = systemTimers } = options
  signal?.throwIfAborted()
  const attempt = new AbortController()
  const onAbort = (): void => attempt.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  const timeout = handshakeTimeout(options)
  // One for all requests.
  const limit = new TimeLimit(timers, timeout, () => {
    attempt.abort(new HandshakeError(`the opening handshake took longer than ${timeout} ms`))
  })
  const askInTurn = async (target: Target, terms: ConnectOptions): Promise<Connection | HandshakeError> => {
    const turn = connecting.turn()
    const inTurn = async (hosts: readonly string[]): Promise<void> => {
      limit.stop() // The wait for those before is none of this server's time.
      await turn.comes(hosts, attempt.signal)
      limit.start()
    }
    limit.start()
    try {
      return await ask(target, terms, attempt.signal, inTurn)
    } finally {
      turn.end()
      limit.stop()
    }
  }
  try {
    let target = first
    let terms = options
    let answer = await askInTurn(target, terms)
    for (let left = followRedirects; !(answer instanceof Connection); left--) {
      const next = left > 0 ? redirectTarget(target, answer) : undefined
      if (next === undefined) throw answer
      if (next.origin === target.origin) {
        target = { ...next, credentials: next.credentials ?? target.credentials }
      } else {
        target = next
        terms = withoutCredentials(terms)
      }
      answer = await askInTurn(target, terms)
    }
    return answer
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

/** One request: resolves with the connection, or with the refusal when it might be a redirect. */
async function ask(
  target: Target,
  options: ConnectOptions,
  signal: AbortSignal,
  inTurn: (hosts: readonly string[]) => Promise<void>,
): Promise<Connection | HandshakeError> {
  const settings = connectionSettings(options, 'client')
  const offered: Offer = {
    key: newKey(options.random ?? systemRandom),
    protocols: protocolList(options.protocols),
    deflate: settings.compression === false ? undefined : offer(settings.compression),
  }
  const byName = hostLookup(target, options)
  if (byName === undefined) await inTurn([namedHost(target)])
  const lookup = byName && lookupInTurn(byName, target.port, inTurn)
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const input = new DirectInput()
    const request = send(target, options, upgradeHeaders(offered, options.origin), input, lookup)
    request.on('socket', (socket) => input.attach(socket))
    const onAbort = (): void => {
      reject(signal.reason)
      request.destroy()
    }
    signal.addEventListener('abort', onAbort, { once: true })

    request.on('upgrade', (response, socket, head) => {
      signal.removeEventListener('abort', onAbort)
      const verdict = judgeResponse(response, offered) // Node takes no other status than 101 here.
      if ('fault' in verdict) {
        // 4.1: the connection is failed; no frame has been or will be looked at.
        socket.on('error', () => {})
        socket.destroy()
        reject(new HandshakeError(`${verdict.fault} (RFC 6455 4.1)`, answerOf(response)))
        return
      }
      if (head.length > 0) socket.unshift(head)
      resolve(
        new Connection(socket, {
          role: 'client',
          settings,
          protocol: verdict.protocol,
          deflate: verdict.deflate,
          url: target.url,
          input,
        }),
      )
    })
    const onError = (error: Error): void => {
      reject(new HandshakeError(`the connection could not be opened: ${error.message}`, {}, { cause: error }))
    }
    request.on('error', onError)
    request.on('response', (response) => {
      // What is wrong behind the head spoils the body, not the answer.
      request.off('error', onError).on('error', () => {})
      void readBody(response).then((body) => {
        resolve(new HandshakeError(refused(response), { ...answerOf(response), body }))
        request.destroy()
      })
    })
    request.on('close', () => signal.removeEventListener('abort', onAbort))
  })
}

function send(
  target: Target,
  options: ConnectOptions,
  own: Record<string, string>,
  onread: DirectInput,
  lookup: LookupFunction | undefined,
): ClientRequest {
  const { host, port, path, socketPath, authority, credentials } = target
  const request: RequestOptions = {
    ...(socketPath === undefined ? { host, port } : { socketPath }),
    path,
    ...(credentials === undefined ? {} : { auth: credentials }),
    // Ours, then the caller's Host or Origin in their place; the rest of ours was checked to be ours alone.
    headers: overlay({ Host: authority, ...own }, options.headers ?? {}),
    agent: options.agent ?? new (target.secure ? HttpsAgent : HttpAgent)({ onread }),
    ...(lookup === undefined ? {} : { lookup }),
  }
  const sent = target.secure ? httpsRequest({ ...options.tls, ...request }) : httpRequest(request)
  sent.end()
  return sent
}

/** Both; where the names are the same in any case, the second one's. */
function overlay(first: Headers, second: Headers): Record<string, string | string[]> {
  const replaced = new Set(Object.keys(second).map(lowerAscii))
  const all = [
    ...Object.entries(first).filter(([name]) => !replaced.has(lowerAscii(name))),
    ...Object.entries(second),
  ]
  return Object.fromEntries(
    all.map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
  )
}

function withoutCredentials(options: ConnectOptions): ConnectOptions {
  const { headers = {}, tls = {} } = options
  return {
    ...options,
    headers: Object.fromEntries(
      Object.entries(headers).filter(([name]) => !credentialHeaders.has(lowerAscii(name))),
    ),
    tls: Object.fromEntries(Object.entries(tls).filter(([name]) => !credentialOptions.has(name))),
  }
}

/** Where a redirect leads; undefined where it is none that may be followed: never from wss to ws, nor to a Unix socket. */
function redirectTarget(from: Target, answer: HandshakeError): Target | undefined {
  const { location } = answer.headers
  if (answer.status === undefined || !redirects.has(answer.status) || location === undefined) return undefined
  try {
    const target = parseTarget(location, from.url)
    return (from.secure && !target.secure) || target.socketPath !== undefined ? undefined : target
  } catch {
    return undefined
  }
}

/** 16 random bytes in base64 (section 4.1 item 7). */
function newKey(random: Random): string {
  const bytes = Buffer.alloc(16)
  random(bytes)
  return bytes.toString('base64')
}

function refused({ statusCode, statusMessage }: IncomingMessage): string {
  if (statusCode === 101) return 'the 101 response does not upgrade (RFC 6455 4.1)'
  return `the server answered ${statusCode} ${statusMessage} instead of 101`
}

function answerOf(response: IncomingMessage): {
  status: number | undefined
  headers: Record<string, string>
} {
  const headers = Object.entries(response.headersDistinct).map(([name, values = []]) => [
    name,
    values.join(', '),
  ])
  return { status: response.statusCode, headers: Object.fromEntries(headers) }
}

/** The beginning of the body; a body that breaks off is what has come of it. */
function readBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  return new Promise((resolve) => {
    const done = (): void => resolve(Buffer.concat(chunks).subarray(0, maxBody))
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (size >= maxBody) done()
    })
    response.on('end', done)
    response.on('error', done)
    response.on('close', done)
  })
}
