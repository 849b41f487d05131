/** One way in which a connection can end, played against a raw peer, and all that must be seen of it. */
import { inspect, isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import type {
  CloseInfo,
  Connection,
  ConnectionOptions,
  ConnectionState,
  Message,
  Role,
} from '../../lib/index.ts'
import { ConnectionClosedError, ProtocolError } from '../../lib/index.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns } from '../help/loop.ts'
import type { RawPeer } from './raw-peer.ts'
import type { Transport } from './transports.ts'
import type { Watch } from './watch.ts'

export const closeTimeout = 10_000
export const lingerTimeout = 2_000

/** A `CloseInfo` whose error is a word: the code of a `ProtocolError` or of a system error, else its message. */
export type Story = Omit<CloseInfo, 'error'> & { readonly error?: string }

export class Case {
  readonly role: Role
  readonly connection: Connection
  readonly peer: RawPeer
  readonly timers: FakeTimers
  readonly handlerErrors: unknown[]
  readonly watch: Watch
  readonly t: Test
  readonly states: ConnectionState[] = []
  readonly stories: CloseInfo[] = []
  readonly messages: Message[] = []

  private constructor(
    t: Test,
    watch: Watch,
    role: Role,
    timers: FakeTimers,
    one: Awaited<ReturnType<Transport['one']>>,
  ) {
    this.t = t
    this.watch = watch
    this.role = role
    this.timers = timers
    this.connection = one.connection
    this.peer = one.peer
    this.handlerErrors = one.handlerErrors
    this.connection.on('state', (state) => this.states.push(state))
    this.connection.on('close', (info) => this.stories.push(info))
  }

  static async open(
    t: Test,
    watch: Watch,
    transport: Transport,
    role: Role,
    options: ConnectionOptions = {},
  ): Promise<Case> {
    const timers = new FakeTimers()
    const one = await transport.one(t, role, { timers, ...options })
    return new Case(t, watch, role, timers, one)
  }

  /** Takes all messages from here on. */
  listen(): void {
    this.connection.on('message', (message) => this.messages.push(message))
  }

  untilMessages(count: number): Promise<void> {
    return until(this.connection, 'message', () => this.messages.length >= count)
  }

  untilState(state: ConnectionState): Promise<void> {
    return until(this.connection, 'state', () => this.states.includes(state))
  }

  /** The end of TCP as RFC 6455 7.1.1 has it: first the server's FIN, then the client's. */
  async endTcp(): Promise<void> {
    if (this.role === 'server') {
      await this.peer.untilEnd()
    } else {
      await turns(5)
      if (this.peer.end !== undefined) this.t.fail('6455-5.5.1-client-waits-for-tcp: FIN before the server’s')
    }
    this.peer.fin()
  }

  /** Nothing but the clock ends it, and that neither sooner nor later. */
  async endsAfter(ms: number): Promise<void> {
    await turns(5)
    this.timers.advance(ms - 1)
    await turns(5)
    if (this.stories.length > 0) this.t.fail(`it ended before ${ms} ms`)
    this.timers.advance(1)
    await this.connection.closed
  }
}

/** Waits for that event; with `done`, until that is so. */
export async function until(
  connection: Connection,
  event: 'message' | 'state' | 'ping',
  done?: () => boolean,
): Promise<void> {
  while (done?.() !== true) {
    await new Promise<void>((resolve) => connection.once(event, () => resolve()))
    if (done === undefined) return
  }
}

export interface Scenario {
  readonly title: string
  readonly options?: ConnectionOptions
  /** Default both. */
  readonly role?: Role
  /** The transport must know RST. */
  readonly resets?: boolean
  /** Brings the connection to its end. */
  play(it: Case): Promise<void>
  readonly story: Story | ((it: Case) => Story)
  /** Behind `open`. */
  readonly states: readonly ConnectionState[]
  /** All the frames that the peer is sent; left out where the peer cannot read them. */
  readonly wire?: readonly string[]
  /** How our side ended TCP; left out where it may have been either. */
  readonly end?: 'fin'
  readonly messages?: readonly Message[]
  /** What `handlerError` or a warning of the process tells. */
  readonly handlerErrors?: readonly string[]
}

/** Plays the scenario and looks at everything that must hold of its end. */
export async function playScenario(
  t: Test,
  watch: Watch,
  transport: Transport,
  role: Role,
  scenario: Scenario,
): Promise<void> {
  const it = await Case.open(t, watch, transport, role, scenario.options)
  const { connection, peer, timers } = it
  const { closed } = connection
  await scenario.play(it)
  const info = await closed
  peer.readOn()
  peer.fin()
  await peer.until(() => peer.closed)
  await turns(5)

  const { wire, end, states, messages = [], handlerErrors = [] } = scenario
  const told = role === 'server' ? it.handlerErrors : watch.warnings.splice(0)
  t.strictSame(
    {
      story: storyOf(info),
      closeEvents: it.stories.length,
      states: it.states,
      messages: it.messages,
      wire: wire === undefined ? undefined : peer.wire,
      end: end === undefined ? undefined : peer.end,
      handlerErrors: told.map(wordOf),
      readyState: connection.readyState,
      bufferedAmount: connection.bufferedAmount,
      timers: timers.armed,
    },
    {
      story: typeof scenario.story === 'function' ? scenario.story(it) : scenario.story,
      closeEvents: 1,
      states,
      messages,
      wire,
      end,
      handlerErrors,
      readyState: 3,
      bufferedAmount: 0,
      timers: 0,
    },
  )
  t.ok(peer.wire.filter((line) => line.startsWith('close')).length <= 1, 'at most one Close')

  // Nothing that is called now changes anything.
  connection.terminate()
  const again = {
    event: it.stories[0],
    sent: connection.send('too late'),
    close: await connection.close(1000, 'again'),
    closeOutput: await connection.closeOutput(1000, 'again'),
    drained: await connection.drained().catch(infoOf),
    ping: await connection.ping().catch(infoOf),
    receive: await drain(connection).catch(infoOf),
    events: it.stories.length,
  }
  t.ok(
    isDeepStrictEqual(again, {
      event: info,
      sent: false,
      close: info,
      closeOutput: undefined,
      drained: info,
      ping: info,
      receive: info,
      events: 1,
    }),
    'closed is closed',
  )
}

/** Takes what is left in the queue, and then what says that nothing is. */
async function drain(connection: Connection): Promise<never> {
  for (;;) await connection.receive()
}

function infoOf(error: unknown): unknown {
  return error instanceof ConnectionClosedError ? error.info : error
}

export function storyOf(info: CloseInfo): Story {
  const { error, ...story } = info
  return error === undefined ? story : { ...story, error: wordOf(error) }
}

function wordOf(error: unknown): string {
  if (error instanceof ProtocolError) return error.code
  if (!(error instanceof Error)) return inspect(error)
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
