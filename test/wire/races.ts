/**
 * What both sides may call, in every order and at every moment, inside listeners too. Runs as a worker: the hooks of
 * a test runner on every promise would take ten times as long as the races.
 */
import { Buffer } from 'node:buffer'
import { parentPort, workerData } from 'node:worker_threads'
import {
  type CloseInfo,
  Connection,
  ConnectionClosedError,
  type ConnectionEvents,
  type ConnectionState,
  type Message,
  type Role,
} from '../../lib/index.ts'
import { beginLife, type Life, step } from '../../lib/lifecycle.ts'
import { Random } from '../fuzz/random.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns } from '../help/loop.ts'
import { MemorySocket } from '../help/memory-pair.ts'
import { FrameRecord, lineOf } from './raw-peer.ts'

/** Schedules that share the turns of the event loop. */
const atOnce = 100

class HandlerError extends Error {}

/** One end of a race: what it called, and what came of it. */
class Racer {
  readonly role: Role
  readonly socket: MemorySocket
  readonly connection: Connection
  readonly stories: CloseInfo[] = []
  readonly states: ConnectionState[] = ['open']
  /** What it wrote. */
  readonly record = new FrameRecord()
  readonly got: Message[] = []
  readonly faults: string[] = []
  promises = 0
  settled = 0
  /** It may have thrown messages away. */
  terminated = false
  readonly #random: Random
  readonly #timers: FakeTimers
  #sent = 0
  /** What it may still do inside listeners. */
  #inside: number
  #abort = new AbortController()

  constructor(role: Role, socket: MemorySocket, random: Random, timers: FakeTimers) {
    this.role = role
    this.socket = socket
    socket.onWrite = (bytes) => this.record.push(Buffer.from(bytes))
    this.#random = random
    this.#timers = timers
    this.#inside = random.below(4)
    this.connection = new Connection(socket, {
      role,
      timers,
      keepalive: random.once(2),
      closeReply: random.once(4) ? 'manual' : 'auto',
      highWaterMark: random.pick([1, 100, 1024 * 1024]),
      onHandlerError: (error) => {
        if (!(error instanceof HandlerError)) this.faults.push(`a handler error: ${String(error)}`)
      },
    })
    this.connection.on('close', (info) => this.stories.push(info))
    this.connection.on('state', (state) => this.states.push(state))
    const events = ['state', 'ping', 'pong', 'drain', 'close'] as const
    for (const event of events) this.connection.on<keyof ConnectionEvents>(event, () => this.#reenter())
    if (!random.once(3)) this.#listen()
  }

  act(): void {
    const { connection } = this
    const random = this.#random
    const text = `${this.role} ${this.#sent++}`
    switch (random.below(22)) {
      case 0:
      case 1:
      case 2:
        connection.send(text)
        break
      case 3:
        connection.send(Buffer.from(text.padEnd(random.pick([20, 3000, 20_000]))))
        break
      case 4:
        this.#watch(connection.sendFragments([text, ' in', ' parts']))
        break
      case 5:
        this.#watch(connection.sendFragments(slowly(text)))
        break
      case 6:
        this.#watch(connection.ping())
        break
      case 7:
        this.#watch(connection.ping(text, { signal: this.#abort.signal }))
        break
      case 8:
        this.#watch(connection.drained({ signal: this.#abort.signal }))
        break
      case 9:
        this.#watch(connection.drained())
        break
      case 10:
        this.#receive({})
        break
      case 11:
        this.#receive({ signal: this.#abort.signal })
        break
      case 12:
        this.#abort.abort(new HandlerError('aborted'))
        this.#abort = new AbortController()
        break
      case 13:
        connection.pause()
        break
      case 14:
        connection.resume()
        break
      case 15:
      case 16:
        this.close()
        break
      case 17:
        this.#watch(connection.closeOutput(1000, 'half'))
        break
      case 18:
        if (!random.once(3)) break
        this.terminated = true
        connection.terminate()
        break
      case 19:
        if (random.once(4)) this.socket.reset()
        break
      case 20:
        this.#timers.advance(random.pick([1, 1000, 2000, 10_000, 30_000]))
        break
      case 21:
        this.#listen()
    }
  }

  close(): void {
    this.#watch(this.connection.close(this.#random.pick([1000, 4000]), 'bye'))
  }

  /** Takes what is still queued. */
  async takeRest(): Promise<void> {
    for await (const message of this.connection) this.got.push(message)
  }

  #listen(): void {
    this.connection.on('message', (message) => {
      if (this.connection.listenerCount('message') === 1 || !this.got.includes(message))
        this.got.push(message)
      this.#reenter()
    })
  }

  #receive(options: { signal?: AbortSignal }): void {
    this.#watch(this.connection.receive(options).then((message) => this.got.push(message)))
  }

  /** Does something inside a listener; maybe throws. */
  #reenter(): void {
    if (this.#inside === 0 || !this.#random.once(3)) return
    this.#inside--
    this.act()
    if (this.#random.once(8)) throw new HandlerError('thrown')
  }

  #watch(promise: Promise<unknown>): void {
    this.promises++
    promise.then(
      () => this.settled++,
      (error: unknown) => {
        this.settled++
        if (!(error instanceof ConnectionClosedError || error instanceof HandlerError))
          this.faults.push(`a rejection: ${String(error)}`)
      },
    )
  }
}

async function* slowly(text: string): AsyncGenerator<string> {
  yield text
  await turns(1)
  yield ' slowly'
  await turns(2)
  yield ' but'
}

/** Plays one schedule, and says what was wrong with it. */
async function race(seed: number): Promise<string[]> {
  const random = new Random('races', seed)
  const timers = new FakeTimers()
  const onDestroy = random.pick<'end' | 'reset'>(['end', 'reset'])
  const network = { capacity: random.pick([2000, 64 * 1024]), onDestroy }
  const sockets = [new MemorySocket(network), new MemorySocket(network)] as const
  MemorySocket.connect(...sockets)
  const client = new Racer('client', sockets[0], random, timers)
  const server = new Racer('server', sockets[1], random, timers)

  for (let steps = 2 + random.below(14); steps > 0; steps--) {
    const racer = random.pick([client, server])
    racer.act()
    if (random.once(2)) await turns(random.below(4))
    else if (random.once(3)) await Promise.resolve()
  }
  for (const racer of [client, server]) racer.close()
  for (let second = 0; second < 15; second++) {
    await turns(8)
    if (client.stories.length > 0 && server.stories.length > 0) break
    timers.advance(1000)
  }
  await turns(3)
  const faults = [...faultsOf(client, server), ...faultsOf(server, client)]
  if (timers.armed > 0) faults.push(`${timers.armed} timers are left`)
  if (faults.length > 0) return faults
  await Promise.all([client.takeRest(), server.takeRest()])
  return [...faultsOfMessages(client, server), ...faultsOfMessages(server, client)]
}

function faultsOf(racer: Racer, other: Racer): string[] {
  const { role, connection, stories, states, socket, record, faults } = racer
  const [info] = stories
  const wire = record.frames.map((frame) => lineOf(frame, role))
  const closes = wire.filter((line) => line.startsWith('close'))
  const found = [...faults]
  const expect = (holds: boolean, fault: string): void => void (holds || found.push(fault))
  expect(stories.length === 1, `${stories.length} close events`)
  expect(racer.settled === racer.promises, `${racer.promises - racer.settled} promises that never settle`)
  expect(closes.length <= 1, `${closes.length} Close frames`)
  expect(closes.length === 0 || wire.at(-1) === closes[0], 'something behind the Close')
  expect(record.rest.length === 0, 'part of a frame')
  expect(isPath(states), 'states that are no path of the machine')
  expect(connection.bufferedAmount === 0, `${connection.bufferedAmount} bytes buffered at the end`)
  expect(socket.destroyed, 'the socket is left')
  if (info !== undefined) {
    const { sent, received, wasClean, code } = info
    expect(sent !== null || closes.length === 0, 'a Close that the story does not tell of')
    expect(!wasClean || (closes.length === 1 && received !== null), 'clean without two Close frames')
    expect(received !== null || code === 1006, `${code} without a Close`)
    const theirs = other.record.frames.some((frame) => (frame.first & 0x0f) === 8)
    expect(received === null || theirs, 'a Close received that nobody sent')
    expect(info.initiator !== 'remote' || received !== null, 'remote without a Close')
    const written = info.error !== undefined && /write after end/.test(info.error.message)
    expect(!written, 'a write after the end')
  }
  return found.map((fault) => `${role}: ${fault} (${states.join(', ')}; ${wire.map(brief).join(', ')})`)
}

/** What was delivered is a beginning of what was sent; all of it, where a Close says that this was all. */
function faultsOfMessages(racer: Racer, other: Racer): string[] {
  const sent: string[] = []
  let parts = ''
  for (const { first, payload } of other.record.frames) {
    if ((first & 0x08) !== 0) continue
    parts += payload.toString()
    if ((first & 0x80) === 0) continue
    sent.push(parts)
    parts = ''
  }
  // A listener and a `receive` may note two messages of one turn the other way round.
  const places = racer.got.map((message) => sent.indexOf(message.toString())).toSorted((a, b) => a - b)
  const gap = places.some((place, at) => place !== at)
  const [info] = racer.stories
  const lost =
    info !== undefined && info.received !== null && !racer.terminated && places.length < sent.length
  const count = `${places.length} of ${sent.length} messages`
  return [
    ...(gap ? [`${racer.role}: ${count}, with a gap: ${places.join(' ')}`] : []),
    ...(lost ? [`${racer.role}: ${count}, though a Close came behind them`] : []),
  ]
}

function brief(line: string): string {
  return line.slice(0, 24)
}

/** Which state can follow which: all steps of the machine from all facts that can be. */
const follows = new Set<string>()

function isPath(states: readonly ConnectionState[]): boolean {
  return states.every((state, at) => at === 0 || follows.has(`${states[at - 1]} ${state}`))
}

/** Those that bring nothing along. */
const plainEvents = [
  'opened',
  'close-flushed',
  'peer-fin',
  'keepalive-timeout',
  'deadline',
  'linger',
  'terminate',
  'socket-closed',
] as const

function explore(life: Life, seen: Set<string>): void {
  const key = JSON.stringify(life)
  if (seen.has(key)) return
  seen.add(key)
  const close = { code: 1000, reason: '' }
  const error = new Error('explored')
  const nexts = plainEvents.map((event) => step(life, event).life)
  nexts.push(
    step(life, 'local-close', close, false).life,
    step(life, 'local-close', close, true).life,
    step(life, 'close-received', close).life,
    step(life, 'violation', { close, trigger: 'limit', error }).life,
    step(life, 'socket-error', error).life,
  )
  for (const next of nexts) {
    if (next.state !== life.state) follows.add(`${life.state} ${next.state}`)
    explore(next, seen)
  }
}

for (const manual of [false, true]) explore(beginLife('server', manual), new Set())

/** Says what was wrong with the schedules from that seed on. */
async function races(firstSeed: number, schedules: number): Promise<string[]> {
  const end = firstSeed + schedules
  const faults: string[] = []
  for (let seed = firstSeed; seed < end && faults.length < 20; seed += atOnce) {
    const seeds = Array.from({ length: Math.min(atOnce, end - seed) }, (_, at) => seed + at)
    const found = seeds.map(async (each) => (await race(each)).map((fault) => `seed ${each}: ${fault}`))
    faults.push(...(await Promise.all(found)).flat())
  }
  return faults
}

const { firstSeed, schedules }: { firstSeed: number; schedules: number } = workerData
Error.stackTraceLimit = 0 // Thousands of errors are made that nobody looks at.
process.on('warning', (warning) => {
  throw warning
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no other origin
parentPort?.postMessage(await races(firstSeed, schedules))
