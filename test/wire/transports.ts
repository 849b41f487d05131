/** What a WebSocket runs over here: the suites of this folder are functions of one of these. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect as connectNet, createServer as createNetServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import type { Test } from 'tap'
import { connect, Connection, type ConnectionOptions, type Role, WebSocketServer } from '../../lib/index.ts'
import { memoryPair } from '../help/memory-pair.ts'
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

/** All that is opened ends with the test. */
export interface Transport {
  readonly name: string
  /** It knows RST. */
  readonly resets: boolean
  /** A connection of that role, and a raw peer in the other one. */
  one(t: Test, role: Role, options?: ConnectionOptions): Promise<OneEnd>
  both(t: Test, client?: ConnectionOptions, server?: ConnectionOptions): Promise<BothEnds>
}

const memory: Transport = {
  name: 'memory',
  resets: true,
  one(t, role, options = {}) {
    const [ours, theirs] = memoryPair()
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
    const [one, other] = memoryPair()
    const client = new Connection(one, { ...clientOptions, role: 'client' })
    const server = new Connection(other, { ...serverOptions, role: 'server' })
    endWith(t, client)
    endWith(t, server)
    return Promise.resolve({ client, server })
  },
}

/** Where servers of that kind listen, and how clients reach them. */
interface SocketKind {
  readonly name: string
  readonly resets: boolean
  httpServer(): HttpServer
  /** A server of raw sockets. */
  rawServer(): Server
  /** The event of `rawServer` that brings them. */
  readonly rawEvent: 'connection' | 'secureConnection'
  /** `tcp` is what a raw client's own TCP socket is, `wire` what it reads and writes. */
  rawClient(place: Place): { tcp: Socket; wire: Duplex; ready: string }
  listen(server: Server): Promise<Place>
}

interface Place {
  readonly url: string
  readonly address: { port: number; host: string } | { path: string }
  forget(): void
}

function overSockets(kind: SocketKind): Transport {
  async function withServer(
    t: Test,
    options: ConnectionOptions,
  ): Promise<{ server: WebSocketServer; place: Place; handlerErrors: unknown[] }> {
    const http = kind.httpServer()
    const server = new WebSocketServer({ ...options, server: http })
    const handlerErrors: unknown[] = []
    server.on('handlerError', (error) => handlerErrors.push(error))
    const place = await kind.listen(http)
    t.teardown(async () => {
      for (const connection of server.connections) connection.terminate()
      await server.close()
      await closed(http)
      place.forget()
    })
    return { server, place, handlerErrors }
  }

  return {
    name: kind.name,
    resets: kind.resets,
    async one(t, role, options = {}) {
      if (role === 'server') {
        const { server, place, handlerErrors } = await withServer(t, options)
        const { tcp, wire, ready } = kind.rawClient(place)
        const peer = new RawPeer(wire, 'client', () => tcp.resetAndDestroy(), true)
        await once(wire, ready)
        const opened = once(server, 'connection')
        await peer.open()
        const [connection] = await opened
        if (!(connection instanceof Connection)) throw new TypeError('the server opened something else')
        endWith(t, connection, peer)
        return { connection, peer, handlerErrors }
      }
      const server = kind.rawServer()
      const place = await kind.listen(server)
      const tcp = once(server, 'connection')
      const wire = once(server, kind.rawEvent)
      const opening = connect(place.url, { ...options, tls: { ca: localhost.cert } })
      const raw: Socket = (await tcp)[0]
      const peer = new RawPeer((await wire)[0], 'server', () => raw.resetAndDestroy(), true)
      await peer.open()
      const connection = await opening
      endWith(t, connection, peer)
      t.teardown(async () => {
        await closed(server)
        place.forget()
      })
      return { connection, peer, handlerErrors: [] }
    },
    async both(t, clientOptions = {}, serverOptions = {}) {
      const { server, place } = await withServer(t, serverOptions)
      const opened = once(server, 'connection')
      const client = await connect(place.url, { ...clientOptions, tls: { ca: localhost.cert } })
      const [connection] = await opened
      endWith(t, client)
      return { client, server: connection }
    },
  }
}

async function listenOnPort(server: Server, scheme: string): Promise<Place> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { url: `${scheme}://127.0.0.1:${port}/`, address: { port, host: '127.0.0.1' }, forget() {} }
}

function rawNet({ address }: Place): Socket {
  return connectNet({ ...address, allowHalfOpen: true })
}

function rawTcpClient(place: Place): { tcp: Socket; wire: Duplex; ready: string } {
  const tcp = rawNet(place)
  return { tcp, wire: tcp, ready: 'connect' }
}

const tcp = overSockets({
  name: 'TCP',
  resets: true,
  httpServer: () => createHttpServer(),
  rawServer: () => createNetServer({ allowHalfOpen: true }),
  rawEvent: 'connection',
  rawClient: rawTcpClient,
  listen: (server) => listenOnPort(server, 'ws'),
})

const tls = overSockets({
  name: 'TLS',
  resets: true,
  httpServer: () => createHttpsServer(localhost),
  rawServer: () => createTlsServer({ ...localhost, allowHalfOpen: true }),
  rawEvent: 'secureConnection',
  rawClient: (place) => {
    const tcp = rawNet(place)
    return { tcp, wire: connectTls({ socket: tcp, ca: localhost.cert }), ready: 'secureConnect' }
  },
  listen: (server) => listenOnPort(server, 'wss'),
})

const unix = overSockets({
  name: 'a Unix socket',
  resets: false,
  httpServer: () => createHttpServer(),
  rawServer: () => createNetServer({ allowHalfOpen: true }),
  rawEvent: 'connection',
  rawClient: rawTcpClient,
  async listen(server) {
    const folder = mkdtempSync(join(tmpdir(), 'farewell-'))
    const path = join(folder, 'socket')
    server.listen(path)
    await once(server, 'listening')
    return { url: `ws+unix:${path}:/`, address: { path }, forget: () => rmSync(folder, { recursive: true }) }
  },
})

export const transports: readonly Transport[] = [memory, tcp, tls, unix]
export { memory, tcp }

export function otherRole(role: Role): Role {
  return role === 'client' ? 'server' : 'client'
}

async function closed(server: Server): Promise<void> {
  const over = once(server, 'close')
  server.close()
  await over
}

function endWith(t: Test, connection: Connection, peer?: RawPeer): void {
  t.teardown(async () => {
    connection.terminate()
    peer?.socket.destroy()
    await connection.closed
    await peer?.until(() => peer.closed)
  })
}
