/** Plays the connections of a seed, some at a time, over TCP on this machine, and counts what came of them. */
import type { Buffer } from 'node:buffer'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { turns, until } from '../help/loop.ts'
import { portOf } from '../help/serve.ts'
import { Link, type LinkResult, type Sabotage } from './link.ts'
import { planOf } from './plan.ts'

export interface ChaosOptions {
  readonly seed: number
  /** Connections are opened until so many messages have arrived. */
  readonly messages: number
  /** Only the connection of this number. */
  readonly only?: number
  readonly atOnce?: number
  readonly sabotage?: Sabotage
  /** Is told the messages so far, about once a second. */
  readonly onProgress?: (messages: number) => void
}

export interface ChaosResult {
  readonly connections: number
  readonly failed: number
  readonly messages: number
  readonly clean: number
  readonly unclean: number
  /** How often each cut came to pass, and how often each trigger ended a connection. */
  readonly cuts: Readonly<Record<string, number>>
  readonly triggers: Readonly<Record<string, number>>
  /** What should not be, with the number of its connection. */
  readonly violations: readonly Violation[]
}

export interface Violation {
  /** -1 where it is no single connection's. */
  readonly connection: number
  readonly fault: string
}

/** After so many the rest does not help. */
const enough = 20

export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, messages, only, atOnce = 64, sabotage = {} } = options
  const links = new Map<number, Link>()
  const http = createHttpServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 })
  http.on('upgrade', (request, socket, head) => linkOf(links, request.url)?.upgrade(request, socket, head))
  // The client opens one connection to an address at a time, so each player has a network of its own.
  const players = only === undefined ? atOnce : 1
  const proxies = Array.from({ length: players }, () => createServer({ allowHalfOpen: true, noDelay: true }))
  const openSockets = countSockets([http, ...proxies])
  // Connections that were begun and have not got through to the server: the event loop takes one in a turn.
  let awaited = 0
  const arriving = (): boolean => awaited > 0
  http.on('connection', () => awaited--)
  for (const server of [http, ...proxies]) server.listen(0, '127.0.0.1')
  await Promise.all([http, ...proxies].map((server) => once(server, 'listening')))
  const httpPort = portOf(http)
  for (const proxy of proxies) proxy.on('connection', (socket) => tie(links, socket, httpPort))

  const tally = new Tally()
  const escaped = watchEscapes()
  let next = only ?? 0
  let told = performance.now()
  const more = (): boolean =>
    tally.violations.length < enough &&
    (only === undefined ? tally.messages < messages : tally.connections === 0 && next === only)
  const play = async (proxy: Server): Promise<void> => {
    while (more()) {
      const number = next++
      const link = new Link(planOf(seed, number), arriving, sabotage)
      awaited++
      links.set(number, link)
      tally.add(number, await link.play(portOf(proxy)))
      links.delete(number)
      if (performance.now() - told < 1000) continue
      told = performance.now()
      options.onProgress?.(tally.messages)
    }
  }
  await Promise.all(proxies.map(play))

  for (const server of [http, ...proxies]) server.close()
  for (let turn = 0; turn < 1000 && openSockets() > 0; turn++) await turns()
  if (openSockets() > 0) tally.fault(-1, `${openSockets()} sockets are left`)
  http.closeAllConnections()
  await until(() => [http, ...proxies].every(({ listening }) => !listening))
  for (const fault of await escaped()) tally.fault(-1, fault)
  return tally
}

function tie(links: ReadonlyMap<number, Link>, socket: Socket, httpPort: number): void {
  socket.on('error', () => {})
  // The client says its request at once and whole; no byte goes further before the plan is known.
  socket.once('data', (head: Buffer) => {
    const path = /^GET (\S+) /.exec(head.toString('latin1'))?.[1]
    void linkOf(links, path)?.tie(socket, head, httpPort)
  })
}

function linkOf(links: ReadonlyMap<number, Link>, path = ''): Link | undefined {
  return links.get(Number(path.slice(1)))
}

function countSockets(servers: readonly Server[]): () => number {
  let open = 0
  for (const server of servers) {
    server.on('connection', (socket) => {
      open++
      socket.on('close', () => open--)
    })
  }
  return () => open
}

/** What nobody is meant to see: escaped errors and warnings, until it is asked for. */
function watchEscapes(): () => Promise<string[]> {
  const seen: string[] = []
  const record = (what: unknown): void =>
    void seen.push(`escaped: ${what instanceof Error ? (what.stack ?? what.message) : String(what)}`)
  const events = ['uncaughtException', 'unhandledRejection', 'warning'] as const
  for (const event of events) process.on(event, record)
  return async () => {
    await turns(2)
    for (const event of events) process.off(event, record)
    return seen
  }
}

class Tally implements ChaosResult {
  connections = 0
  failed = 0
  messages = 0
  clean = 0
  unclean = 0
  readonly cuts: Record<string, number> = {}
  readonly triggers: Record<string, number> = {}
  readonly violations: Violation[] = []

  add(number: number, result: LinkResult): void {
    this.connections++
    this.messages += result.received
    if (!result.opened) this.failed++
    for (const { kind } of result.cuts) this.cuts[kind] = (this.cuts[kind] ?? 0) + 1
    for (const { trigger, wasClean } of result.infos) {
      this.triggers[trigger] = (this.triggers[trigger] ?? 0) + 1
      if (wasClean) this.clean++
      else this.unclean++
    }
    for (const fault of result.faults) this.fault(number, fault)
  }

  fault(connection: number, fault: string): void {
    this.violations.push({ connection, fault })
  }
}
