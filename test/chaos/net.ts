/** `npm run chaos:net`: two ends in networks of their own, and what the kernel can do to a connection; see the README. */
import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  addresses,
  allow,
  limitRate,
  lose,
  makeNamespaces,
  plug,
  removeNamespaces,
  reset,
  type Side,
  startIn,
} from './namespaces.ts'
import type { News, Talk } from './net-peer.ts'

/** Nothing here may take longer than this, in ms. */
const patience = 90_000
const [brisk, patient] = [1000, 20_000]
const usual: Talk = { messages: 300, largest: 2000, pace: 5, closes: true, keepalive: brisk }

/** An end, and what it has told that nobody has looked at. */
class Peer {
  readonly process: ChildProcess
  #news: News[] = []
  #wake: () => void = () => {}

  constructor(side: Side, ...args: string[]) {
    this.process = startIn(side, fileURLToPath(new URL('net-peer.js', import.meta.url)), side, ...args)
    this.process.on('message', (news: News) => {
      this.#news.push(news)
      this.#wake()
    })
  }

  async told<Kind extends News['kind']>(kind: Kind): Promise<Extract<News, { kind: Kind }>> {
    const late = sleep(patience, undefined, { ref: false }).then(() => this.#wake())
    const begin = performance.now()
    for (;;) {
      const at = this.#news.findIndex((news) => news.kind === kind)
      const [found] = at < 0 ? [] : this.#news.splice(at, 1)
      if (found !== undefined) return found as Extract<News, { kind: Kind }>
      if (performance.now() - begin >= patience) throw new Error(`stuck: ${kind} never came, ${this.#story}`)
      await Promise.race([late, new Promise<void>((resolve) => (this.#wake = resolve))])
    }
  }

  forget(): void {
    this.#news = []
  }

  get #story(): string {
    return JSON.stringify(this.#news)
  }
}

type Ending = Extract<News, { kind: 'closed' }>

interface Scenario {
  readonly name: string
  readonly talk: Talk
  /** What is done before the connection is made. */
  readonly before?: () => void
  /** What is done while they talk, after the client has told of that. */
  readonly during?: () => void | Promise<void>
  readonly after?: 'progress' | 'received-all'
  /** How both ends must have ended. */
  readonly ends: 'clean' | 'not clean'
}

const idle = { ...usual, messages: 10, closes: false }
const long = { ...usual, messages: 100_000, pace: 1, closes: false }

const scenarios: readonly Scenario[] = [
  { name: 'nothing is wrong', talk: usual, ends: 'clean' },
  {
    name: '5 % of the packets are lost',
    talk: { ...usual, keepalive: patient },
    before: () => {
      lose('server', 0.05)
      lose('client', 0.05)
    },
    ends: 'clean',
  },
  {
    name: '1 Mbit/s in both directions',
    talk: { ...usual, largest: 3000, pace: 0, keepalive: patient },
    before: () => {
      limitRate('server', '1mbit')
      limitRate('client', '1mbit')
    },
    ends: 'clean',
  },
  {
    name: 'the plug is out for a second',
    talk: { ...usual, pace: 10, keepalive: patient },
    after: 'progress',
    during: async () => {
      plug('down')
      await sleep(1000)
      plug('up')
    },
    ends: 'clean',
  },
  {
    name: 'R2: the plug is pulled while nothing is said',
    talk: idle,
    after: 'received-all',
    during: () => plug('down'),
    ends: 'not clean',
  },
  {
    name: 'R2: the plug is pulled while both send',
    talk: long,
    after: 'progress',
    during: () => plug('down'),
    ends: 'not clean',
  },
  {
    name: 'R2: all packets are dropped',
    talk: idle,
    after: 'received-all',
    during: () => {
      lose('server', 1)
      lose('client', 1)
    },
    ends: 'not clean',
  },
  {
    name: 'R2: packets to the client are dropped while both send',
    talk: long,
    after: 'progress',
    during: () => lose('client', 1),
    ends: 'not clean',
  },
  {
    name: 'R1: packets to the client are answered by a reset',
    talk: long,
    after: 'progress',
    during: () => reset('client'),
    ends: 'not clean',
  },
  {
    name: 'R1: packets to the server are answered by a reset',
    talk: long,
    after: 'progress',
    during: () => reset('server'),
    ends: 'not clean',
  },
]

/** What is wrong with how the ends told their story. */
function faultsOf(scenario: Scenario, server: Ending, client: Ending): string[] {
  const faults = [...server.faults, ...client.faults]
  const clean = scenario.ends === 'clean'
  for (const [side, end, other] of [
    ['server', server, client],
    ['client', client, server],
  ] as const) {
    if (end.wasClean !== clean) faults.push(`${side}: ${clean ? 'not ' : ''}clean`)
    if (end.received > other.sent) faults.push(`${side}: more received than sent`)
    if (clean && end.received !== other.sent)
      faults.push(`${side}: ${end.received} of ${other.sent} received`)
  }
  return faults
}

function restore(scenario: Scenario): void {
  allow()
  plug('up')
  if (scenario.name.startsWith('1 Mbit'))
    for (const side of ['server', 'client'] as const) limitRate(side, undefined)
}

async function play(scenario: Scenario, server: Peer, client: Peer): Promise<string[]> {
  server.forget()
  client.forget()
  scenario.before?.()
  const begin = performance.now()
  client.process.send(scenario.talk)
  if (scenario.after !== undefined) await client.told(scenario.after)
  await scenario.during?.()
  const faulted = performance.now()
  const [atServer, atClient] = await Promise.all([server.told('closed'), client.told('closed')])
  const [whole, since] = [performance.now() - begin, performance.now() - faulted].map((ms) =>
    (ms / 1000).toFixed(1),
  )
  const time = scenario.ends === 'clean' ? `${whole} s` : `both know ${since} s after the fault`
  const story = ({ trigger, received }: Ending): string => `${trigger} after ${received} messages`
  console.log(`${scenario.name}: server ${story(atServer)}, client ${story(atClient)}; ${time}`)
  return faultsOf(scenario, atServer, atClient)
}

/** A server that cannot be reached. */
async function connectInVain(client: Peer): Promise<string[]> {
  client.forget()
  lose('server', 1)
  client.process.send(usual)
  const { message } = await client.told('failed')
  console.log(`C12: no packet reaches the server: ${message}`)
  return message.includes('took longer than 3000 ms') ? [] : [`connect: ${message}`]
}

const reason =
  process.platform === 'linux' && process.getuid?.() === 0
    ? makeNamespaces()
    : 'it takes Linux and the rights of root'
if (reason !== undefined) {
  console.log(`skipped: no network namespaces here (${reason})`)
  process.exit()
}
process.on('exit', removeNamespaces)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

const server = new Peer('server', addresses.server, String(brisk), String(patient))
const client = new Peer('client', addresses.server)
process.on('exit', () => {
  for (const { process } of [server, client]) process.kill()
})
await Promise.all([server.told('listening'), client.told('listening')])
const faults: string[] = []
for (const scenario of scenarios) {
  const found = await play(scenario, server, client)
  restore(scenario)
  faults.push(...found.map((fault) => `${scenario.name}: ${fault}`))
}
faults.push(...(await connectInVain(client)))
for (const fault of faults) console.log(`VIOLATION ${fault}`)
console.log(`violations = ${faults.length}`)
process.exit(faults.length === 0 ? 0 : 1)
