/**
 * One connection from beginning to end: a client, the network, a server, and a clock of their own that stands still
 * while anything moves. So no connection depends on the others, and each can be played again alone.
 */
import type { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { Agent, type IncomingMessage } from 'node:http'
import { connect as connectTcp, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { asError } from '../../lib/errors.ts'
import {
  type CloseInfo,
  connect,
  type ConnectionOptions,
  HandshakeError,
  WebSocketServer,
} from '../../lib/index.ts'
import { Random } from '../fuzz/random.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns } from '../help/loop.ts'
import { Endpoint, type Spoil } from './endpoint.ts'
import { Network, type NetworkEvents } from './network.ts'
import type { Cut, Plan } from './plan.ts'
import { threadPoolBusy } from './thread-pool.ts'

/** So many turns of the event loop in which nothing moves, and time passes. */
const patience = 10
/** Time passes in steps that grow, in ms; the longest is the library's heartbeat. */
const firstStep = 10
const longestStep = 1000
/** No connection may need longer than this, in ms of its own clock; the slowest passes 5 MB at 4 KB a second. */
const deadline = 3 * 3600 * 1000

/** Finds every name here. Each connection has one of its own, since to one address they open one after another. */
const agent = new Agent({
  lookup: (_name, _options, found) => found(null, [{ address: '127.0.0.1', family: 4 }]),
})

/** Bugs to plant. */
export interface Sabotage {
  readonly spoil?: (role: 'client' | 'server') => Spoil
  readonly tamper?: NetworkEvents['tamper']
}

export interface LinkResult {
  readonly faults: readonly string[]
  /** Messages that arrived, at both ends. */
  readonly received: number
  readonly opened: boolean
  readonly infos: readonly CloseInfo[]
  readonly cuts: readonly Cut[]
}

export class Link {
  readonly plan: Plan
  readonly timers = new FakeTimers()
  readonly #server: WebSocketServer
  readonly #options: ConnectionOptions
  readonly #arriving: () => boolean
  readonly #sabotage: Sabotage
  readonly #faults: string[] = []
  #network: Network | undefined
  #clientEnd: Endpoint | undefined
  #serverEnd: Endpoint | undefined
  #failure: HandshakeError | undefined
  #moves = 0
  #quiet = false

  /** `arriving`: TCP connections are on their way, of any link; no time passes then. */
  constructor(plan: Plan, arriving: () => boolean, sabotage: Sabotage) {
    this.plan = plan
    this.#arriving = arriving
    this.#sabotage = sabotage
    const random = new Random(plan.number, 'keys')
    this.#options = {
      timers: this.timers,
      keepalive: true,
      compression: plan.compression === undefined ? false : { threshold: plan.compression, level: 1 },
      random: (bytes) => bytes.set(random.bytes(bytes.length)),
    }
    const closeReply = plan.server.manualReply ? 'manual' : 'auto'
    this.#server = new WebSocketServer({ noServer: true, ...this.#options, closeReply })
    this.#server.on('handlerError', (error) => this.#faults.push(`handlerError: ${String(error)}`))
    this.#server.on('connection', (connection) => {
      if (this.#serverEnd !== undefined) this.#faults.push('opened twice')
      this.#serverEnd = this.#endpoint(connection, 'server')
    })
  }

  /** The client's TCP connection has come, and has said `head`. */
  async tie(client: Socket, head: Buffer, serverPort: number): Promise<void> {
    const server = connectTcp({ port: serverPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    await once(server, 'connect')
    this.#network = new Network(this.plan, this.timers, client, server, head, {
      moved: this.#moved,
      tamper: this.#sabotage.tamper,
    })
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#moved()
    void this.#server.handleUpgrade(request, socket, head)
  }

  async play(port: number): Promise<LinkResult> {
    const closeReply = this.plan.client.manualReply ? 'manual' : 'auto'
    const url = `ws://link-${this.plan.number}.test:${port}/${this.plan.number}`
    void connect(url, { ...this.#options, agent, closeReply }).then(
      (connection) => {
        this.#moved()
        this.#clientEnd = this.#endpoint(connection, 'client')
      },
      (error: unknown) => {
        this.#moved()
        if (error instanceof HandshakeError) this.#failure = error
        else this.#faults.push(`connect: ${asError(error).stack}`)
      },
    )
    await this.#pass(() => this.#ended)
    this.#network?.destroy()
    // What the server is still to hear of the end; a late request may even open a connection.
    await this.#pass(() => this.#network?.closed !== false && this.#serverEnd?.done !== false && this.#quiet)
    await this.#judge()
    return {
      faults: this.#faults,
      received: (this.#clientEnd?.received ?? 0) + (this.#serverEnd?.received ?? 0),
      opened: this.#clientEnd !== undefined,
      infos: [this.#clientEnd?.info, this.#serverEnd?.info].filter((info) => info !== undefined),
      cuts: this.#network?.cuts ?? [],
    }
  }

  readonly #moved = (): void => void this.#moves++

  /** Lets the event loop turn, and time pass when nothing moves, until it is over. */
  async #pass(over: () => boolean): Promise<void> {
    let seen = -1
    let still = 0
    let step = firstStep
    this.#quiet = false
    while (!over() && this.timers.now() < deadline) {
      await turns()
      if (this.#moves !== seen || this.#arriving() || threadPoolBusy()) {
        seen = this.#moves
        still = 0
        step = firstStep
        this.#quiet = false
      } else if (++still > patience) {
        this.#quiet = true
        this.timers.advance(step)
        step = Math.min(2 * step, longestStep)
      }
    }
  }

  /** Both ends have had their end; a server that never saw the request has nothing to wait for. */
  get #ended(): boolean {
    if (this.#clientEnd === undefined && this.#failure === undefined) return this.#faults.length > 0
    if (this.#serverEnd === undefined) return this.#failure !== undefined && this.#quiet
    return this.#serverEnd.done && (this.#clientEnd?.done ?? true)
  }

  #endpoint(connection: Endpoint['connection'], role: 'client' | 'server'): Endpoint {
    const { plan } = this
    const peer = role === 'client' ? plan.server : plan.client
    return new Endpoint(connection, plan[role], peer, this.#moved, this.#sabotage.spoil?.(role))
  }

  async #judge(): Promise<void> {
    const [client, server] = [this.#clientEnd, this.#serverEnd]
    if (client === undefined && this.#failure === undefined) this.#faults.push('neither opened nor failed')
    if (client !== undefined && server === undefined) this.#faults.push('open at the client alone')
    for (const [role, end, other] of [
      ['client', client, server],
      ['server', server, client],
    ] as const) {
      if (end === undefined) continue
      if (!end.done) this.#faults.push(`${role}: stuck in ${end.connection.state}`)
      for (const fault of end.faults) this.#faults.push(`${role}: ${fault}`)
      if (other !== undefined && end.received > other.sent)
        this.#faults.push(`${role}: got ${end.received} messages of ${other.sent}`)
      if (other?.saidAll === true && end.heardAll && end.received !== other.sent)
        this.#faults.push(`${role}: closed cleanly with ${end.received} of ${other.sent} messages`)
    }
    if (this.#server.connections.size > 0) this.#faults.push('the server still has the connection')
    else await this.#server.close()
    if (this.timers.armed > 0) this.#faults.push(`${this.timers.armed} timers are left`)
  }
}
