/** The server: takes upgrades, keeps the connections, and closes them all in the end. */
import { EventEmitter } from 'node:events'
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http'
import { type AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { CloseCode } from '../frames/close-code.ts'
import { encodeClosePayload } from '../frames/close-payload.ts'
import { Admission } from './admission.ts'
import type { CloseInfo } from './close-info.ts'
import { Connection, coreOf } from './connection.ts'
import { asError, clientLeft, HandshakeError } from './errors.ts'
import { judgeRequest, refusalHeaders, upgradeRequired, writeAcceptance, writeRefusal } from './handshake.ts'
import {
  checkServerOptions,
  type ConnectionSettings,
  connectionSettings,
  handshakeTimeout,
  integer,
  maxTime,
  type ServerOptions,
} from './options.ts'
import { Refusal, refuseFor, type RefusalReason } from './refusal.ts'
import type { Data } from './payload.ts'
import { PreparedMessage } from './prepared-message.ts'
import type { Cancel } from './timers.ts'
import { turnAway } from './turn-away.ts'
import { type Route, routerOf } from './upgrade-router.ts'

export interface ServerEvents<Context> {
  /** `context` is what `verify` returned. */
  connection: [connection: Connection, request: IncomingMessage, context: Context]
  /** A client was turned away. On a port of our own, so is a request that is no upgrade. */
  refused: [refused: RefusedClient]
  /** On a port of our own: `address` tells which. */
  listening: []
  /** The port could not be listened on. */
  error: [error: Error]
  /**
   * What a listener or callback of the application threw or rejected with, and the connection that was closed for
   * it; undefined where a callback of the handshake failed and the request got a 500.
   */
  handlerError: [error: unknown, connection: Connection | undefined]
  /** `close` has done all that it does. */
  close: []
}

/** The events that concern no connection. */
type Telling = 'refused' | 'listening' | 'error' | 'close'

/** Who was turned away, and why. */
export interface RefusedClient {
  readonly reason: RefusalReason
  /** The status of the answer. */
  readonly status: number
  /** Undefined where it is no TCP connection. */
  readonly address: string | undefined
  /** Undefined where none came to its end: it was malformed, or took longer than `handshakeTimeout`. */
  readonly request: IncomingMessage | undefined
}

export interface CloseOptions {
  /** Default 1001. */
  readonly code?: number
  /** At most 123 bytes of UTF-8; default empty. */
  readonly reason?: string
  /** When the connections that are left are terminated, in ms. 0 to 2^31 - 1; default 5 000. */
  readonly timeout?: number
}

/** How the connections ended that were there when the server closed. */
export interface CloseCounts {
  readonly clean: number
  readonly unclean: number
  /** Those that did not end in time. */
  readonly terminated: number
}

/** How often Node looks for requests that take too long, in ms: they are cut at most this late. */
const requestCheckInterval = 1000
const shutdownTimeout = 5000
const requestTimeout = 'ERR_HTTP_REQUEST_TIMEOUT'
/** What is answered to what Node cannot read as a request; anything else is a 400. */
const unreadStatuses: Readonly<Record<string, number>> = {
  [requestTimeout]: 408,
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
}

export class WebSocketServer<Context = undefined>
  extends EventEmitter<ServerEvents<Context>>
  implements AsyncDisposable
{
  readonly #options: ServerOptions<Context>
  readonly #settings: ConnectionSettings
  readonly #admission: Admission<Context>
  /** Our own HTTP server, in `port` mode. */
  readonly #http: HttpServer | undefined
  /** It listens, or cannot: a server that is not bound yet cannot be closed. */
  #bound: Promise<void> | undefined
  readonly #route: Route

  readonly #connections = new Set<Connection>()
  /** Sockets on their way to a connection. */
  readonly #opening = new Set<Duplex>()
  /** Sockets that are being turned away. */
  readonly #refused = new Set<Duplex>()
  /** Connections and those that are to become one, by address. */
  readonly #addresses = new Map<string, number>()
  #closing: Promise<CloseCounts> | undefined
  /** Of `close`: each call may have brought one. */
  readonly #deadlines: Cancel[] = []
  /** How those ended that a deadline terminated. */
  readonly #late = new Set<CloseInfo>()
  readonly #onHandlerError = (error: unknown, failed: Connection): void => this.#report(error, failed)
  readonly #onClosed = (closed: Connection): boolean => this.#connections.delete(closed)

  static {
    // Node calls this when a listener's promise is rejected, because of `captureRejections`.
    WebSocketServer.prototype[EventEmitter.captureRejectionSymbol] = function (
      this: WebSocketServer<unknown>,
      error: Error,
      event: unknown,
      ...detail: unknown[]
    ) {
      const [connection] = detail
      if (event === 'connection' && connection instanceof Connection) coreOf(connection).handlerFailed(error)
      else if (event === 'handlerError') process.emitWarning(asError(error))
      else this.#report(error, undefined)
    }
  }

  /** @throws TypeError or RangeError that names the wrong option */
  constructor(options: ServerOptions<Context>) {
    super({ captureRejections: true })
    checkServerOptions(options)
    this.#options = options
    this.#settings = connectionSettings(options, 'server')
    this.#admission = new Admission(options)
    this.#route = {
      serves: (request) => this.#serves(request),
      upgrade: (request, socket, head) => void this.handleUpgrade(request, socket, head),
    }
    if (options.port !== undefined) this.#http = this.#listen(options.port, options.host)
    const http = this.#http ?? options.server
    if (http !== undefined) routerOf(http).add(this.#route)
  }

  /** The connections that are not closed. */
  get connections(): ReadonlySet<Connection> {
    return this.#connections
  }

  /** Where the server listens, as `net.Server.address` has it; null where it does not. */
  address(): AddressInfo | string | null {
    return (this.#http ?? this.#options.server)?.address() ?? null
  }

  /**
   * Makes the handshake on a request that the caller's HTTP server brought: for `noServer`, or for a routing of your
   * own. The `connection` event comes too.
   *
   * Rejects with `HandshakeError` when the request was turned away, which has been answered then.
   */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<Connection> {
    const opened = this.#upgrade(request, socket, head)
    opened.catch(() => {})
    return opened
  }

  /**
   * Sends one message to all connections that are open, framed and compressed once. One that opens later misses it.
   *
   * @throws TypeError for data of another type
   */
  broadcast(data: Data, options: { readonly except?: Connection } = {}): void {
    const message = new PreparedMessage(data)
    for (const connection of this.#connections) {
      if (connection !== options.except) coreOf(connection).sendPrepared(message)
    }
  }

  /**
   * Takes no new connections (an upgrade gets 503), closes all there are at once and waits for them, at most
   * `timeout`; frees the port. An HTTP server of the caller's goes on serving. Called again it returns the same
   * promise; a `timeout` that is given then can only bring the end forward.
   *
   * @throws RangeError or TypeError as `Connection.close` does
   */
  close(options: CloseOptions = {}): Promise<CloseCounts> {
    const { code = CloseCode.goingAway, reason = '' } = options
    encodeClosePayload(code, reason)
    const timeout = integer('timeout', options.timeout, shutdownTimeout, 0, maxTime)
    if (this.#closing === undefined || options.timeout !== undefined) this.#terminateAfter(timeout)
    this.#closing ??= this.#close(code, reason)
    return this.#closing
  }

  /** Closes with 1001. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // Opening

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<Connection> {
    // Node has taken its listeners off the socket, and the client may leave at any time.
    const ignore = (): void => {}
    socket.on('error', ignore)
    if (socket.destroyed) throw clientLeft()
    // Before anything more is read: it could be the end, and nothing goes back behind that.
    if (head.length > 0) socket.unshift(head)
    // Only where it counts: a socket that was asked for its address keeps an object for it.
    const counts = this.#options.maxConnectionsPerAddress !== undefined
    const address = counts && socket instanceof Socket ? socket.remoteAddress : undefined
    const crowded = this.#crowded(address)
    const leave = this.#enter(socket, address)

    const admitted = crowded ?? (await this.#decide(request, socket))
    if (admitted instanceof Refusal || this.#closing !== undefined) {
      leave()
      const refusal = admitted instanceof Refusal ? admitted : shuttingDown()
      this.#turnAway(socket, refusal, request)
      throw new HandshakeError(`the request was refused with ${refusal.status}`, { status: refusal.status })
    }
    if (socket.destroyed) throw clientLeft()

    socket.write(writeAcceptance(admitted))
    const connection = new Connection(socket, {
      role: 'server',
      settings: this.#settings,
      protocol: admitted.protocol,
      deflate: admitted.deflate,
      onHandlerError: this.#onHandlerError,
      onClosed: this.#onClosed,
    })
    socket.off('error', ignore)
    // An open connection is among `connections`. Only where addresses count does it hold its place until the socket closes.
    if (counts) this.#opening.delete(socket)
    else leave()
    this.#connections.add(connection)
    try {
      this.emit('connection', connection, request, admitted.context)
    } catch (error) {
      coreOf(connection).handlerFailed(error)
    }
    return connection
  }

  #serves(request: IncomingMessage): boolean {
    try {
      return this.#admission.serves(request)
    } catch {
      return true // `decide` meets the same error, and answers it.
    }
  }

  async #decide(
    request: IncomingMessage,
    socket: Duplex,
  ): Promise<Refusal | Awaited<ReturnType<Admission<Context>['decide']>>> {
    if (this.#closing !== undefined) return shuttingDown()
    try {
      return await this.#admission.decide(request, socket)
    } catch (error) {
      if (socket.destroyed) throw clientLeft()
      this.#report(error, undefined)
      return refuseFor('handler-error', 500)
    }
  }

  #crowded(address: string | undefined): Refusal | undefined {
    const { maxConnections = Infinity, maxConnectionsPerAddress = Infinity } = this.#options
    if (this.#connections.size + this.#opening.size >= maxConnections)
      return refuseFor('max-connections', 503, { body: 'too many connections\n' })
    const fromThere = this.#addresses.get(address ?? '') ?? 0
    return fromThere >= maxConnectionsPerAddress
      ? refuseFor('max-connections-per-address', 429, { body: 'too many connections from this address\n' })
      : undefined
  }

  /** Counts the socket until it closes or is turned away, whichever comes first. */
  #enter(socket: Duplex, address = ''): () => void {
    this.#opening.add(socket)
    this.#addresses.set(address, (this.#addresses.get(address) ?? 0) + 1)
    const leave = (): void => {
      socket.off('close', leave)
      this.#opening.delete(socket)
      const left = this.#addresses.get(address)! - 1
      if (left === 0) this.#addresses.delete(address)
      else this.#addresses.set(address, left)
    }
    socket.on('close', leave)
    return leave
  }

  #turnAway(socket: Duplex, refusal: Refusal, request: IncomingMessage | undefined): void {
    const { timers, lingerTimeout } = this.#settings
    this.#refused.add(socket)
    socket.once('close', () => this.#refused.delete(socket))
    turnAway(socket, writeRefusal(refusal, request?.method), lingerTimeout, timers, () => {
      if (this.#closing !== undefined) socket.destroy() // Nobody who is turned away holds up `close`.
    })
    this.#tellRefused(socket, refusal, request)
  }

  #tellRefused(socket: Duplex, { reason, status }: Refusal, request: IncomingMessage | undefined): void {
    const address = socket instanceof Socket ? socket.remoteAddress : undefined
    this.#tell('refused', { reason, status, address, request })
  }

  // Our own HTTP server

  #listen(port: number, host: string | undefined): HttpServer {
    const timeout = handshakeTimeout(this.#options)
    const http = createServer({
      headersTimeout: timeout,
      requestTimeout: timeout,
      connectionsCheckingInterval: Math.min(requestCheckInterval, timeout),
    })
    http.on('clientError', (error, socket) => this.#answerUnread(error, socket))
    http.on('request', (request, response) => this.#answer(request, response))
    // Node would hang up without an answer; CONNECT is refused as any other method than GET.
    http.on('connect', (request, socket, head) => this.#route.upgrade(request, socket, head))
    this.#bound = new Promise((resolve) => {
      http.on('listening', () => {
        resolve()
        this.#tell('listening')
      })
      http.on('error', (error) => {
        resolve()
        this.#tell('error', error)
      })
    })
    return http.listen(port, host)
  }

  /** No request has come: what came cannot be read, or nothing more came in time. */
  #answerUnread(error: NodeJS.ErrnoException, socket: Duplex): void {
    const { code = '' } = error
    const unread = code.startsWith('HPE_') || code === requestTimeout
    if (!unread || !socket.writable || (socket instanceof Socket && socket.bytesWritten > 0)) {
      // There is nobody to answer, or it has been done.
      if (!this.#refused.has(socket)) socket.destroy()
      return
    }
    const reason = code === requestTimeout ? 'handshake-timeout' : 'bad-request'
    this.#turnAway(socket, refuseFor(reason, unreadStatuses[code] ?? 400), undefined)
  }

  /** Answers a request that is no upgrade. */
  #answer(request: IncomingMessage, response: ServerResponse): void {
    const judged = this.#serves(request) ? judgeRequest(request) : refuseFor('path', 404)
    const refusal =
      this.#closing !== undefined ? shuttingDown() : judged instanceof Refusal ? judged : upgradeRequired()
    for (const [name, value] of Object.entries(refusalHeaders(refusal))) response.setHeader(name, value)
    response.writeHead(refusal.status).end(refusal.body)
    request.resume()
    this.#tellRefused(request.socket, refusal, request)
  }

  // Closing

  /** Whoever has called `close` first does not keep another from terminating earlier. */
  #terminateAfter(timeout: number): void {
    if (this.#connections.size === 0) return
    const cancel = this.#settings.timers.after(timeout, () => {
      for (const connection of this.#connections) {
        void connection.closed.then((info) => this.#late.add(info))
        connection.terminate()
      }
    })
    this.#deadlines.push(cancel)
  }

  async #close(code: number, reason: string): Promise<CloseCounts> {
    const open = [...this.#connections]
    const http = this.#http
    if (http?.listening === false) await this.#bound
    const portFree =
      http === undefined ? undefined : new Promise<void>((resolve) => void http.close(() => resolve()))
    this.#admission.refuseUndecided(shuttingDown())
    const counts = { clean: 0, unclean: 0, terminated: 0 }
    const infos = await Promise.all(open.map((connection) => connection.close(code, reason)))
    for (const cancel of this.#deadlines) cancel()
    for (const info of infos)
      counts[this.#late.has(info) ? 'terminated' : info.wasClean ? 'clean' : 'unclean']++

    // Silent sockets and those being turned away have nothing more to wait for.
    http?.closeAllConnections()
    for (const socket of this.#refused) socket.destroy()
    await portFree
    const router = http ?? this.#options.server
    if (router !== undefined) routerOf(router).delete(this.#route)
    this.#tell('close')
    return counts
  }

  // Handlers

  #tell<E extends Telling>(event: E, ...detail: ServerEvents<Context>[E]): void {
    const [error] = detail
    if (error instanceof Error && this.listenerCount(event) === 0) {
      process.emitWarning(error) // Node would end the process.
      return
    }
    try {
      this.emit<Telling>(event, ...detail)
    } catch (thrown) {
      this.#report(thrown, undefined)
    }
  }

  #report(error: unknown, connection: Connection | undefined): void {
    try {
      if (this.emit('handlerError', error, connection)) return
      process.emitWarning(asError(error))
    } catch (thrown) {
      process.emitWarning(asError(thrown))
    }
  }
}

function shuttingDown(): Refusal {
  return refuseFor('closing', 503, { body: 'the server is shutting down\n' })
}
