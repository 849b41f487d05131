/**
 * The honest and the hostile peers of a soak, in a process of their own: so many connections that send now and then
 * and check each echo, some of which leave and are replaced all the time.
 */
import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { type CloseTrigger, connect, type Connection, type Message } from 'farewell'
import { Random } from '../fuzz/random.ts'
import { beSoaked } from './child.ts'
import { beHostile } from './hostile.ts'

export interface LoadOptions {
  readonly port: number
  readonly seed: number
  /** Connections at one time, and how many of them are hostile. */
  readonly connections: number
  readonly hostile: number
  /** Connections that are replaced, and messages that are sent, in a second. */
  readonly churn: number
  readonly messages: number
}

const options: LoadOptions = JSON.parse(process.argv[2] ?? '{}')
const tick = 20
const hostileTime = 8000
/** Messages of one connection whose echo has not come, and connections that leave at one time. */
const unanswered = 4
const atOnce = 100
const largest = 1024 * 1024
const random = new Random(options.seed, 'load')
const material = Buffer.concat([
  Buffer.from('the quick brown fox jumps over the lazy dog, '.repeat(largest / 40)),
  Buffer.from(random.bytes(largest)),
])
const prose = material.toString('latin1', 0, largest)

/** How a connection between two honest peers never ends, however slow the machine is. */
const faulty: ReadonlySet<CloseTrigger> = new Set(['protocol-error', 'handler-error', 'limit'])

class Visitor {
  readonly connection: Connection
  readonly #expected: Message[] = []

  constructor(connection: Connection) {
    this.connection = connection
    connection.on('message', (message) => this.#echoed(message))
    connection.on('close', ({ trigger }) => {
      visitors.delete(this)
      leaving.delete(this)
      add('closed')
      add(`end: ${trigger}`)
      if (faulty.has(trigger)) fault(`an honest connection ended with ${trigger}`)
    })
  }

  send(message: Message): void {
    if (this.connection.state !== 'open' || this.#expected.length >= unanswered) return
    this.#expected.push(message)
    this.connection.send(message)
  }

  /** Ends in one of the ways in which connections end. */
  leave(): void {
    const { connection } = this
    visitors.delete(this)
    leaving.add(this)
    const way = random.below(10)
    if (way === 0) connection.terminate()
    else if (way === 1) void connection.closeOutput(1000)
    else if (way === 2) connection.send('close me')
    else void connection.close(1000, 'bye')
  }

  #echoed(message: Message): void {
    const expected = this.#expected.shift()
    const same =
      typeof message === 'string' || typeof expected === 'string'
        ? message === expected
        : expected !== undefined && message.equals(expected)
    if (!same) fault('an echo that is not what was sent')
    add('echoes')
  }
}

/** Those who stay, and those who have begun to leave. */
const visitors = new Set<Visitor>()
const leaving = new Set<Visitor>()
const hostileSockets = new Set<Socket>()
const counts: Record<string, number> = {}
const faults: Record<string, number> = {}
const arriving = new Set<Promise<void>>()
let hostile = 0
let stopped = false

function add(name: string): void {
  counts[name] = (counts[name] ?? 0) + 1
}

function fault(name: string): void {
  faults[name] = (faults[name] ?? 0) + 1
}

async function arrive(): Promise<void> {
  add('opened')
  try {
    const compression = random.once(2)
    visitors.add(new Visitor(await connect(`ws://127.0.0.1:${options.port}/`, { compression })))
  } catch (error) {
    // A machine that is busy with other things lets both sides' time limits pass.
    if (/took longer than| 408 /.test(String(error))) add('came too late')
    else if (!stopped) fault(`connect: ${String(error)}`)
  }
}

function begin(what: Promise<void>): void {
  arriving.add(what)
  void what.finally(() => arriving.delete(what))
}

async function attack(): Promise<void> {
  hostile++
  const name = await beHostile(options.port, random, hostileSockets, hostileTime)
  hostile--
  add(`hostile: ${name}`)
}

/** Mostly short, now and then long, up to 1 MiB. */
function nextMessage(): Message {
  const most = random.pick([200, 200, 200, 200, 200, 200, 4096, 4096, 4096, 65_536])
  const size = random.below(1 + (random.once(200) ? largest : most))
  const start = random.below(prose.length - size)
  if (random.once(2)) return prose.slice(start, start + size)
  const from = random.below(material.length - size)
  return material.subarray(from, from + size)
}

function someVisitor(): Visitor | undefined {
  return [...visitors][random.below(visitors.size)]
}

await beSoaked(async () => {
  const owed = { churn: 0, messages: 0 }
  let before = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    // A machine that falls behind is not given more to do for it.
    const seconds = Math.min((now - before) / 1000, 0.1)
    before = now
    owed.churn += options.churn * seconds
    owed.messages += options.messages * seconds
    const all = [...visitors]
    for (; owed.messages >= 1; owed.messages--) all[random.below(all.length)]?.send(nextMessage())
    for (; owed.churn >= 1; owed.churn--) {
      if (leaving.size < atOnce) someVisitor()?.leave()
    }
    while (hostile < options.hostile) void attack()
    const missing = options.connections - options.hostile - visitors.size - arriving.size
    // As a crowd that comes, not as one burst.
    for (let each = 0; each < Math.min(missing, 10); each++) begin(arrive())
  }, tick)
  return {
    port: options.port,
    count: () => ({
      ...counts,
      connections: visitors.size + leaving.size,
      faults: Object.keys(faults).length,
    }),
    async stop() {
      stopped = true
      clearInterval(timer)
      await Promise.all(arriving)
      // It is the server that takes leave.
      await Promise.all([...visitors, ...leaving].map(({ connection }) => connection.closed))
      for (const socket of hostileSockets) socket.destroy()
      return { counts, faults }
    },
  }
})
