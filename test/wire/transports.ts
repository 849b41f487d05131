/** What a WebSocket runs over here: the suites of this folder are functions of one of these. */
import { once } from 'node:events'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect as connectNet, createServer as createNetServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { connect as connectTls, createSecureContext, createServer as createTlsServer } from 'node:tls'
import type { Test } from 'tap'
import { connect, Connection, type ConnectionOptions, type Role, WebSocketServer } from '../../lib/index.ts'
import { memoryPair, type MemoryPairOptions } from '../help/memory-pair.ts'
import { localhost } from '../help/tls.ts'
import { RawPeer } from './raw-peer.ts'

/** A connection of ours, and the end that speaks with it byte by byte. */
export interface OneEnd {
  readonly connection: Connection
  readonly peer: RawPeer
  /** What the server was told by `handlerError`. A client tells the process, by a warning. */
  readonly handlerErrors: unknown[]
}

export interface BothEnds {
  readonly client: Connection
  readonly server: Connection
}

/** All that is opened ends with its test. One test at a time. */
export interface Transport {
  readonly name: string
  /** It knows RST. */
  readonly resets: boolean
  /** A connection of that role, and a raw peer in the other one. */
  one(t: Test, role: Role, options?: ConnectionOptions): Promise<OneEnd>
  both(t: Test, client?: ConnectionOptions, server?: ConnectionOptions): Promise<BothEnds>
  /** Stops listening. */
  stop(): Promise<void>
}

function overMemory(name: string, pairOptions: MemoryPairOptions): Transport {
  return {
    name,
    resets: true,
    one(t, role, options = {}) {
      const [ours, theirs] = memoryPair(pairOptions)
      const handlerErrors: unknown[] = []
      const connection = new Connection(ours, {
        ...options,
        role,
        ...(role === 'server' ? { onHandlerError: (error) => void handlerErrors.push(error) } : {}),
      })
      const peer = new RawPeer(theirs, otherRole(role), () => theirs.reset())
      endWith(t, connection, peer)
      return Promise.resolve({ connection, peer, handlerErrors })
    },
    both(t, clientOptions = {}, serverOptions = {}) {
      const [one, other] = memoryPair(pairOptions)
      const client = new Connection(one, { ...clientOptions, role: 'client' })
      const server = new Connection(other, { ...serverOptions, role: 'server' })
      endWith(t, client)
      endWith(t, server)
      return Promise.resolve({ client, server })
    },
    stop: () => Promise.resolve(),
  }
}

const memory = overMemory('memory', {})
const atOnce = overMemory('memory that delivers at once', { atOnce: true, highWaterMark: 16 * 1024 })

/** A server that listens, once for all tests. */
interface Listening<S> {
  readonly server: S
  readonly url: string
  readonly address: { port: number; host: string } | { path: string }
}

/** One kind of socket. */
interface SocketKind {
  readonly name: string
  readonly resets: boolean
  readonly scheme: 'ws' | 'wss' | 'ws+unix'
  httpServer(): HttpServer
  /** A server of raw sockets. */
  rawServer(): Server
  /** The event of `rawServer` that brings them. */
  readonly rawEvent: 'connection' | 'secureConnection'
  /** What a raw client reads and writes over its TCP socket, and the event that says it may. */
  rawClient(tcp: Socket): { wire: Duplex; ready: string }
}

function overSockets(kind: SocketKind): Transport {
  let http: Promise<Listening<HttpServer>> | undefined
  let raw: Promise<Listening<Server>> | undefined

  async function serve(t: Test, options: ConnectionOptions): Promise<WebSocketServer> {
    http ??= listen(kind.httpServer(), kind.scheme)
    const server = new WebSocketServer({ ...options, server: (await http).server })
    t.teardown(async () => {
      for (const connection of server.connections) connection.terminate()
      await server.close()
    })
    return server
  }

  async function client(t: Test, url: string, options: ConnectionOptions): Promise<Connection> {
    const connection = await connect(url, { ...options, tls: { secureContext: trusting } })
    endWith(t, connection)
    return connection
  }

  return {
    name: kind.name,
    resets: kind.resets,
    async one(t, role, options = {}) {
      if (role === 'server') {
        const server = await serve(t, options)
        const handlerErrors: unknown[] = []
        server.on('handlerError', (error) => handlerErrors.push(error))
        http ??= listen(kind.httpServer(), kind.scheme)
        const { address } = await http
        const tcp = connectNet({ ...address, allowHalfOpen: true, noDelay: true })
        const { wire, ready } = kind.rawClient(tcp)
        const peer = new RawPeer(wire, 'client', () => tcp.resetAndDestroy(), true)
        await once(wire, ready)
        const opened = once(server, 'connection')
        await peer.open()
        const connection: Connection = (await opened)[0]
        endWith(t, connection, peer)
        return { connection, peer, handlerErrors }
      }
      raw ??= listen(kind.rawServer(), kind.scheme)
      const { server, url } = await raw
      const accepted = once(server, 'connection')
      const secured = once(server, kind.rawEvent)
      const connecting = client(t, url, options)
      const tcp: Socket = (await accepted)[0]
      const peer = new RawPeer((await secured)[0], 'server', () => tcp.resetAndDestroy(), true)
      await peer.open()
      const connection = await connecting
      endWith(t, connection, peer)
      return { connection, peer, handlerErrors: [] }
    },
    async both(t, clientOptions = {}, serverOptions = {}) {
      const server = await serve(t, serverOptions)
      http ??= listen(kind.httpServer(), kind.scheme)
      const opened = once(server, 'connection')
      const connection = await client(t, (await http).url, clientOptions)
      return { client: connection, server: (await opened)[0] }
    },
    async stop() {
      for (const listening of [await http, await raw]) {
        if (listening === undefined) continue
        const closed = once(listening.server, 'close')
        listening.server.close()
        await closed
      }
    },
  }
}

async function listen<S extends Server>(server: S, scheme: string): Promise<Listening<S>> {
  if (scheme === 'ws+unix') {
    const path = join(tmpdir(), `farewell-${process.pid}-${sockets++}`)
    server.listen(path)
    await once(server, 'listening')
    return { server, url: `${scheme}:${path}:/`, address: { path } }
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { server, url: `${scheme}://127.0.0.1:${port}/`, address: { port, host: '127.0.0.1' } }
}

let sockets = 0

const trusting = createSecureContext({ ca: localhost.cert })

const tcp = overSockets({
  name: 'TCP',
  resets: true,
  scheme: 'ws',
  httpServer: () => createHttpServer(),
  rawServer: () => createNetServer({ allowHalfOpen: true, noDelay: true }),
  rawEvent: 'connection',
  rawClient: (tcp) => ({ wire: tcp, ready: 'connect' }),
})

const tls = overSockets({
  name: 'TLS',
  resets: true,
  scheme: 'wss',
  httpServer: () => createHttpsServer(localhost),
  rawServer: () => createTlsServer({ ...localhost, allowHalfOpen: true, noDelay: true }),
  rawEvent: 'secureConnection',
  rawClient: (tcp) => ({
    wire: connectTls({ socket: tcp, secureContext: trusting }),
    ready: 'secureConnect',
  }),
})

const unix = overSockets({
  name: 'a Unix socket',
  resets: false,
  scheme: 'ws+unix',
  httpServer: () => createHttpServer(),
  rawServer: () => createNetServer({ allowHalfOpen: true, noDelay: true }),
  rawEvent: 'connection',
  rawClient: (tcp) => ({ wire: tcp, ready: 'connect' }),
})

export { memory }
export const transports: readonly Transport[] = [memory, atOnce, tcp, tls, unix]

export function otherRole(role: Role): Role {
  return role === 'client' ? 'server' : 'client'
}

function endWith(t: Test, connection: Connection, peer?: RawPeer): void {
  t.teardown(async () => {
    connection.terminate()
    peer?.socket.destroy()
    await connection.closed
    await peer?.until(() => peer.closed)
  })
}
