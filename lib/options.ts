/** The options: each with its meaning, its default and its check, once. Times are in milliseconds, sizes in bytes. */
import { constants } from 'node:buffer'
import { Agent, type IncomingMessage, type Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { Server as NetServer } from 'node:net'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { checkHeaders, type Headers, isFieldValue, isToken, lowerAscii } from './header-list.ts'
import { type Random, systemRandom } from './mask-keys.ts'
import type { Refusal } from './refusal.ts'
import { systemTimers, type Timers } from './timers.ts'
import { parseUrl } from './url.ts'

export interface KeepaliveOptions {
  /** A Ping is sent when nothing has come for this long. 1 to 2^31 - 1; default 25 000. */
  readonly interval?: number
  /** The peer is given up when nothing has come for this long after that Ping. 1 to 2^31 - 1; default 20 000. */
  readonly timeout?: number
}

export interface CompressionOptions {
  /** Messages of at least this many bytes are compressed. 0 to 2^32; default 256. */
  readonly threshold?: number
  /** zlib's level, 0 to 9. Default 6. */
  readonly level?: number
  /** zlib's memory level, 1 to 9. Default 8. */
  readonly memLevel?: number
  /** Ask for, or grant of one's own accord, that the server compresses each message by itself. Default false. */
  readonly serverNoContextTakeover?: boolean
  /** The same for the client. Default false. */
  readonly clientNoContextTakeover?: boolean
  /** The longest window of the server, as a power of two: 8 to 15. Default 15. */
  readonly serverMaxWindowBits?: number
  /** The same for the client; a server can only ask a client that offers it. Default 15. */
  readonly clientMaxWindowBits?: number
}

export interface RateLimitOptions {
  /** Frames in each interval: a message is one or several; its fragments, Pings and Pongs count too. Default no limit. */
  readonly messages?: number
  /** Bytes in each interval, as they come over the wire; set it no lower than the longest message. Default no limit. */
  readonly bytes?: number
  /** 1000 to 2^31 - 1; default 1000. An interval's worth may come at once. */
  readonly interval?: number
  /** Ends the connection with 1008, or stops reading until time has made up for it. Default `close`. */
  readonly onExcess?: 'close' | 'pause'
}

/** What both roles share. */
export interface ConnectionOptions {
  /** How long the closing handshake may take before TCP is cut. 1 to 2^31 - 1; default 10 000. */
  readonly closeTimeout?: number
  /** How long to wait for the peer's end of TCP when all has been said. 1 to 2^31 - 1; default 2 000. */
  readonly lingerTimeout?: number
  /**
   * An unfinished frame or message must come on by 1 KiB, or to the end of a frame, within this time; else 1008.
   * 1 to 2^31 - 1; default 30 000.
   */
  readonly progressTimeout?: number
  /** Pings that find out whether the peer is still there; `false` for none. Default: on a server on, on a client off. */
  readonly keepalive?: boolean | KeepaliveOptions
  /**
   * The longest message that is accepted; a longer one is answered by 1009. 1 to what a string can hold, about
   * 512 MiB; default 16 MiB.
   */
  readonly maxMessageSize?: number
  /** `send` returns false from this many buffered bytes on; at most `maxBufferedAmount`. 1 to 2^32; default 1 MiB. */
  readonly highWaterMark?: number
  /** A `send` when more than this many bytes are buffered meets `onBackpressure`. 1 to 2^32; default 16 MiB. */
  readonly maxBufferedAmount?: number
  /** Ends the connection with 1008, or drops the message (`send` returns false). Default `terminate`. */
  readonly onBackpressure?: 'terminate' | 'drop'
  /** Messages that wait for `receive` or a listener before reading stops (or 1 MiB of them). 1 to 2^32; default 64. */
  readonly maxQueuedMessages?: number
  /** How much the peer may send; more meets `onExcess`. Default false. */
  readonly rateLimit?: false | RateLimitOptions
  /** Answer the peer's Close at once, or leave it to `close()` and `closeOutput()`. Default `auto`. */
  readonly closeReply?: 'auto' | 'manual'
  /**
   * permessage-deflate (RFC 7692): offered by a client, accepted by a server. Secrets and what an attacker may choose
   * should not be compressed together (section 8). Default false.
   */
  readonly compression?: boolean | CompressionOptions
  /** The clock; for tests. */
  readonly timers?: Timers
  /** The source of masking keys; for tests. */
  readonly random?: Random
}

/** The same with everything decided. */
export interface ConnectionSettings {
  readonly closeTimeout: number
  readonly lingerTimeout: number
  readonly progressTimeout: number
  readonly keepalive: { readonly interval: number; readonly timeout: number } | false
  readonly maxMessageSize: number
  readonly highWaterMark: number
  readonly maxBufferedAmount: number
  readonly onBackpressure: 'terminate' | 'drop'
  readonly maxQueuedMessages: number
  readonly rateLimit: Required<RateLimitOptions> | false
  readonly closeReply: 'auto' | 'manual'
  readonly compression: Required<CompressionOptions> | false
  readonly timers: Timers
  readonly random: Random
}

export interface ConnectOptions extends ConnectionOptions {
  /** Subprotocols to offer, the preferred one first. Default none. */
  readonly protocols?: string | readonly string[]
  /** Further request headers, such as Cookie or Authorization; not those that the handshake itself writes. */
  readonly headers?: Headers
  /** The Origin header. Default none. */
  readonly origin?: string
  /** The agent that makes the connection. Default: a new connection, in no pool. */
  readonly agent?: Agent
  /** Options of `tls.connect` for wss: `ca`, `cert`, `key`, `servername`, `rejectUnauthorized` … */
  readonly tls?: TlsOptions
  /** Aborts the attempt at any stage; `connect` rejects with its reason. It has no say once the connection is open. */
  readonly signal?: AbortSignal
  /**
   * How long the opening handshake may take, look-ups and redirects included, waits for a turn not. 1 to 2^31 - 1;
   * default 10 000.
   */
  readonly handshakeTimeout?: number
  /**
   * How many redirects to follow; where the origin changes, credentials are dropped: Authorization, Cookie and Host of
   * `headers`, certificate, key and `servername` of `tls`. Those of an `agent` are its own. 0 to 20; default 0.
   */
  readonly followRedirects?: number
}

export interface ServerOptions<Context = undefined> extends ConnectionOptions {
  /** The port to listen on, 0 for any; a server of our own then answers other requests with 426. */
  readonly port?: number
  /** The address to listen on, with `port`. Default all. */
  readonly host?: string
  /** The HTTP or HTTPS server whose upgrades to take; it stays the caller's to listen and to close. */
  readonly server?: HttpServer | HttpsServer
  /** Nothing is listened to: every request is brought by `handleUpgrade`. */
  readonly noServer?: boolean
  /** The path to serve, without the query: exactly this, or as the function says. Default every path. */
  readonly path?: string | ((path: string) => boolean)
  /**
   * Subprotocols, the preferred one first, or a function that picks one of those offered. No match: the connection
   * opens without one. Default none.
   */
  readonly protocols?:
    | string
    | readonly string[]
    | ((offered: readonly string[], request: IncomingMessage) => string | undefined)
  /**
   * Origins that browsers may connect from: a list of origins, compared exactly, or a function. Requests without an
   * Origin do not come from a browser page; a list lets them in. Default: the same host as in Host.
   */
  readonly origins?: readonly string[] | ((origin: string | undefined, request: IncomingMessage) => boolean)
  /** Decides about a request: a Refusal turns it away, anything else becomes the `Context`. A throw is a 500. */
  readonly verify?: (request: IncomingMessage) => Context | Refusal | Promise<Context | Refusal>
  /** How long a request and `verify` may take. 1 to 2^31 - 1; default 10 000. */
  readonly handshakeTimeout?: number
  /** Connections at one time; more are refused with 503. 1 to 2^32; default no limit. */
  readonly maxConnections?: number
  /**
   * Connections at one time from one address; more are refused with 429. Behind a proxy all clients have its address, and
   * over a Unix socket they have one together. 1 to 2^32; default no limit.
   */
  readonly maxConnectionsPerAddress?: number
}

const mebibyte = 1024 * 1024
/** The longest time that a timer of Node takes. */
export const maxTime: number = 2 ** 31 - 1
const maxSize = 2 ** 32
const unlimited = Number.MAX_SAFE_INTEGER

const connectionOptionNames = [
  'closeTimeout',
  'lingerTimeout',
  'progressTimeout',
  'keepalive',
  'maxMessageSize',
  'highWaterMark',
  'maxBufferedAmount',
  'onBackpressure',
  'maxQueuedMessages',
  'rateLimit',
  'closeReply',
  'compression',
  'timers',
  'random',
] as const satisfies readonly (keyof ConnectionOptions)[]

const connectOptionNames = [
  ...connectionOptionNames,
  'protocols',
  'headers',
  'origin',
  'agent',
  'tls',
  'signal',
  'handshakeTimeout',
  'followRedirects',
] as const satisfies readonly (keyof ConnectOptions)[]

const serverOptionNames = [
  ...connectionOptionNames,
  'port',
  'host',
  'server',
  'noServer',
  'path',
  'protocols',
  'origins',
  'verify',
  'handshakeTimeout',
  'maxConnections',
  'maxConnectionsPerAddress',
] as const satisfies readonly (keyof ServerOptions)[]

/** @throws TypeError or RangeError that names the option */
export function connectionSettings(
  options: ConnectionOptions,
  role: 'client' | 'server',
): ConnectionSettings {
  optional('timers', options.timers, 'object')
  optional('random', options.random, 'function')
  return {
    closeTimeout: integer('closeTimeout', options.closeTimeout, 10_000, 1, maxTime),
    lingerTimeout: integer('lingerTimeout', options.lingerTimeout, 2_000, 1, maxTime),
    progressTimeout: integer('progressTimeout', options.progressTimeout, 30_000, 1, maxTime),
    keepalive: keepaliveSettings(options.keepalive === undefined ? role === 'server' : options.keepalive),
    maxMessageSize: integer(
      'maxMessageSize',
      options.maxMessageSize,
      16 * mebibyte,
      1,
      constants.MAX_STRING_LENGTH,
    ),
    highWaterMark: integer('highWaterMark', options.highWaterMark, mebibyte, 1, maxSize),
    maxBufferedAmount: integer('maxBufferedAmount', options.maxBufferedAmount, 16 * mebibyte, 1, maxSize),
    onBackpressure: oneOf('onBackpressure', options.onBackpressure, ['terminate', 'drop']),
    maxQueuedMessages: integer('maxQueuedMessages', options.maxQueuedMessages, 64, 1, maxSize),
    rateLimit: rateLimitSettings(options.rateLimit),
    closeReply: oneOf('closeReply', options.closeReply, ['auto', 'manual']),
    compression: compressionSettings(options.compression),
    timers: options.timers ?? systemTimers,
    random: options.random ?? systemRandom,
  }
}

const compressionOptionNames = [
  'threshold',
  'level',
  'memLevel',
  'serverNoContextTakeover',
  'clientNoContextTakeover',
  'serverMaxWindowBits',
  'clientMaxWindowBits',
] as const satisfies readonly (keyof CompressionOptions)[]

/** @throws TypeError or RangeError that names the option */
export function compressionSettings(
  option: boolean | CompressionOptions = false,
): ConnectionSettings['compression'] {
  if (option === false) return false
  const given = option === true ? {} : object('compression', option, compressionOptionNames)
  optional('compression.serverNoContextTakeover', given.serverNoContextTakeover, 'boolean')
  optional('compression.clientNoContextTakeover', given.clientNoContextTakeover, 'boolean')
  return {
    threshold: integer('compression.threshold', given.threshold, 256, 0, maxSize),
    level: integer('compression.level', given.level, 6, 0, 9),
    memLevel: integer('compression.memLevel', given.memLevel, 8, 1, 9),
    serverNoContextTakeover: given.serverNoContextTakeover ?? false,
    clientNoContextTakeover: given.clientNoContextTakeover ?? false,
    serverMaxWindowBits: integer('compression.serverMaxWindowBits', given.serverMaxWindowBits, 15, 8, 15),
    clientMaxWindowBits: integer('compression.clientMaxWindowBits', given.clientMaxWindowBits, 15, 8, 15),
  }
}

const rateLimitOptionNames = [
  'messages',
  'bytes',
  'interval',
  'onExcess',
] as const satisfies readonly (keyof RateLimitOptions)[]

function keepaliveSettings(option: boolean | KeepaliveOptions): ConnectionSettings['keepalive'] {
  if (option === false) return false
  const { interval, timeout } = option === true ? {} : object('keepalive', option, ['interval', 'timeout'])
  return {
    interval: integer('keepalive.interval', interval, 25_000, 1, maxTime),
    timeout: integer('keepalive.timeout', timeout, 20_000, 1, maxTime),
  }
}

function rateLimitSettings(option: false | RateLimitOptions = false): ConnectionSettings['rateLimit'] {
  if (option === false) return false
  const { messages, bytes, interval, onExcess } = object('rateLimit', option, rateLimitOptionNames)
  if (messages === undefined && bytes === undefined)
    throw new TypeError('option "rateLimit" must hold "messages" or "bytes"')
  return {
    messages: integer('rateLimit.messages', messages, unlimited, 1, unlimited),
    bytes: integer('rateLimit.bytes', bytes, unlimited, 1, unlimited),
    // What is paused is looked at once a second.
    interval: integer('rateLimit.interval', interval, 1000, 1000, maxTime),
    onExcess: oneOf('rateLimit.onExcess', onExcess, ['close', 'pause']),
  }
}

/** Checks what is `connect`'s alone. @throws TypeError or RangeError that names the option */
export function checkConnectOptions(options: ConnectOptions): void {
  object('options', options, connectOptionNames)
  if (options.headers !== undefined) {
    checkHeaders('headers', options.headers, handshakeHeaders)
    for (const [name, value] of Object.entries(options.headers)) {
      if (singleHeaders.has(lowerAscii(name)) && typeof value !== 'string')
        throw new TypeError(`option "headers" must hold one value for "${name}" (RFC 9112 3.2)`)
    }
  }
  optional('origin', options.origin, 'string')
  if (options.origin !== undefined && !isFieldValue(options.origin))
    throw new TypeError('option "origin" holds a character that no header may hold (RFC 9110 5.5)')
  if (options.agent !== undefined && !(options.agent instanceof Agent))
    throw new TypeError('option "agent" must be an http.Agent or https.Agent')
  optional('tls', options.tls, 'object')
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal))
    throw new TypeError('option "signal" must be an AbortSignal')
  protocolList(options.protocols)
  handshakeTimeout(options)
  integer('followRedirects', options.followRedirects, 0, 0, 20)
}

/** Checks what is the server's alone. @throws TypeError or RangeError that names the option */
export function checkServerOptions<Context>(options: ServerOptions<Context>): void {
  object('options', options, serverOptionNames)
  const sources = [options.port !== undefined, options.server !== undefined, options.noServer === true]
  if (sources.filter(Boolean).length !== 1)
    throw new TypeError('give exactly one of the options "port", "server" and "noServer"')
  if (options.port !== undefined) integer('port', options.port, 0, 0, 65535)
  optional('host', options.host, 'string')
  if (options.host !== undefined && options.port === undefined)
    throw new TypeError('option "host" needs "port"; a server of yours is told where to listen by you')
  if (options.server !== undefined && !(options.server instanceof NetServer))
    throw new TypeError('option "server" must be an http.Server or https.Server')
  optional('noServer', options.noServer, 'boolean')
  if (options.path !== undefined && typeof options.path !== 'function') {
    optional('path', options.path, 'string')
    if (!options.path.startsWith('/')) throw new TypeError('option "path" must start with a slash')
    // What no request can have would be a 404 for all of them.
    if (parseUrl(`ws://host${options.path}`)?.pathname !== options.path)
      throw new TypeError('option "path" must be as a request has it: percent-encoded, without a query')
  }
  if (typeof options.protocols !== 'function') protocolList(options.protocols)
  if (options.origins !== undefined && typeof options.origins !== 'function') {
    if (!Array.isArray(options.origins)) throw new TypeError('option "origins" must be a list or a function')
    options.origins.forEach(checkOrigin)
  }
  optional('verify', options.verify, 'function')
  handshakeTimeout(options)
  integer('maxConnections', options.maxConnections, maxSize, 1, maxSize)
  integer('maxConnectionsPerAddress', options.maxConnectionsPerAddress, maxSize, 1, maxSize)
}

export function handshakeTimeout(options: { readonly handshakeTimeout?: number }): number {
  return integer('handshakeTimeout', options.handshakeTimeout, 10_000, 1, maxTime)
}

/** The subprotocols as a list. @throws TypeError for one that is no token or stands twice (RFC 6455 section 4.1) */
export function protocolList(option: string | readonly string[] | undefined): readonly string[] {
  const protocols = option === undefined ? [] : typeof option === 'string' ? [option] : option
  if (!Array.isArray(protocols)) throw new TypeError('option "protocols" must be a list of strings')
  protocols.forEach((protocol: unknown, index) => {
    if (typeof protocol !== 'string' || !isToken(protocol)) {
      throw new TypeError(
        `option "protocols" holds ${JSON.stringify(protocol)}, which is no token (RFC 6455 4.1)`,
      )
    }
    if (protocols.indexOf(protocol) !== index)
      throw new TypeError(`option "protocols" holds "${protocol}" twice (RFC 6455 4.1)`)
  })
  return protocols
}

/** What the handshake writes itself, or what would make the request another one. */
const handshakeHeaders: ReadonlySet<string> = new Set([
  'connection',
  'upgrade',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
  'sec-websocket-accept',
  'content-length',
  'transfer-encoding',
  'expect',
])

/** A request with two of them is refused. */
const singleHeaders: ReadonlySet<string> = new Set(['host', 'origin'])

function checkOrigin(origin: unknown): void {
  const parsed = typeof origin === 'string' ? parseUrl(origin) : undefined
  if (typeof origin !== 'string' || parsed?.origin !== origin) {
    throw new TypeError(
      `option "origins" holds ${JSON.stringify(origin)}; an origin looks like "https://example.com:8443"`,
    )
  }
}

/** A whole number in those bounds. @throws TypeError or RangeError that names the option */
export function integer(
  name: string,
  value: number | undefined,
  byDefault: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return byDefault
  if (typeof value !== 'number') throw new TypeError(`option "${name}" must be a number`)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`option "${name}" must be a whole number from ${min} to ${max}, not ${value}`)
  }
  return value
}

function oneOf<T extends string>(name: string, value: T | undefined, choices: readonly [T, ...T[]]): T {
  if (value === undefined) return choices[0]
  if (!choices.includes(value))
    throw new TypeError(`option "${name}" must be ${choices.map((each) => `"${each}"`).join(' or ')}`)
  return value
}

function optional(name: string, value: unknown, type: 'string' | 'boolean' | 'function' | 'object'): void {
  if (value !== undefined && (typeof value !== type || value === null))
    throw new TypeError(`option "${name}" must be ${type === 'object' ? 'an' : 'a'} ${type}`)
}

/** An object all of whose keys are known: a misspelt option must not pass for its default. */
function object<T extends object>(name: string, value: T, known?: readonly string[]): T {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError(`"${name}" must be an object`)
  if (known !== undefined) {
    for (const key of Object.keys(value)) {
      if (!known.includes(key))
        throw new TypeError(`unknown option "${name === 'options' ? key : `${name}.${key}`}"`)
    }
  }
  return value
}
