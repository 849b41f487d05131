/** A server under attack as an observer outside sees it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { CloseCounts, CloseTrigger, ServerOptions } from '../../lib/index.ts'
import { Attacker } from './attacker.ts'

/**
 * What the server does: echo text and count the rest, listen to nothing, push to whoever sends a message, never come to
 * a decision about a request unless it is for `/`, or fail in the listener or callback that the path names.
 */
export type Manner = 'echo' | 'deaf' | 'push' | 'undecided' | 'broken'

/** What can fail: callbacks of the handshake, and listeners. */
export const faults = {
  handshake: ['path', 'origins', 'verify', 'protocols'],
  listeners: ['connection', 'message', 'ping', 'pong', 'state', 'close'],
} as const

/** The path of those who mean no harm: what they do is not counted. */
export const bystander = '/bystander'

export type Command =
  | { readonly do: 'report' | 'collect' | 'close' }
  | { readonly do: 'broadcast'; readonly size: number; readonly times: number }

/** What the server tells of itself. */
export interface Report {
  /** Delay of its event loop in ms since the last report: of a hundred times, the second longest. */
  readonly delay99: number
  /** Of attackers. */
  readonly messages: number
  /** Those that an undecided server has before it. */
  readonly requests: number
  readonly handlerErrors: number
  /** Uncaught exceptions and unhandled rejections. */
  readonly escaped: number
  /** Closed connections by what set the end in motion. */
  readonly ends: Partial<Record<CloseTrigger, number>>
  /** Of attackers. */
  readonly connections: number
  readonly handles: number
  /** Bytes in use, on V8's heap and behind it. */
  readonly heap: number
  /** The part of it that is what V8 has compiled. */
  readonly code: number
}

export interface TargetOptions extends ServerOptions {
  readonly manner?: Manner
}

export class Target {
  readonly #child: ChildProcess
  readonly #attackers: Attacker[] = []
  readonly port: number

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  static async start({ manner = 'echo', ...options }: TargetOptions): Promise<Target> {
    const program = fileURLToPath(new URL('victim.js', import.meta.url))
    const child = fork(program, [manner, JSON.stringify(options)], {
      execArgv: ['--expose-gc'],
      env: { ...process.env, NODE_OPTIONS: '' }, // A test runner's hooks would be measured too.
    })
    const [port] = await once(child, 'message')
    return new Target(child, Number(port))
  }

  /** An attacker that leaves at the end, if it has not done so before. */
  async attacker(offer = '', target = '/'): Promise<Attacker> {
    const attacker = await Attacker.open(this.port, offer, target)
    this.#attackers.push(attacker)
    return attacker
  }

  attackers(count: number, offer = ''): Promise<Attacker[]> {
    return Promise.all(Array.from({ length: count }, () => this.attacker(offer)))
  }

  /** All attackers leave. */
  dismiss(): void {
    for (const attacker of this.#attackers.splice(0)) attacker.leave()
  }

  report(): Promise<Report> {
    return this.#ask<Report>({ do: 'report' })
  }

  /** The server collects its garbage, and reports then. */
  collect(): Promise<Report> {
    return this.#ask<Report>({ do: 'collect' })
  }

  /** One message to all in each turn of its event loop. */
  async broadcast(size: number, times: number): Promise<void> {
    await this.#ask<string>({ do: 'broadcast', size, times })
  }

  /** The server closes, and its process has nothing more to do; resolves when it has exited by itself. */
  async close(): Promise<CloseCounts & { readonly escaped: number; readonly status: unknown }> {
    const left = once(this.#child, 'exit')
    const counts = await this.#ask<CloseCounts & { readonly escaped: number }>({ do: 'close' })
    const [status] = await left
    return { ...counts, status }
  }

  /** Resident memory in bytes, now and at its highest since `forgetPeak`. */
  get memory(): { readonly now: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8')
    const read = (name: string): number => 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1])
    return { now: read('VmRSS'), peak: read('VmHWM') }
  }

  forgetPeak(): void {
    writeFileSync(`/proc/${this.#child.pid}/clear_refs`, '5')
  }

  /** The time that all its threads have had a processor, in ms. */
  get cpu(): number {
    const tasks = `/proc/${this.#child.pid}/task`
    const times = readdirSync(tasks).map((task) =>
      Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]),
    )
    return times.reduce((sum, time) => sum + time, 0) / 1e6
  }

  /** Waits until it has nothing more to do: what was sent has been read. */
  async idle(): Promise<void> {
    for (let before = NaN; !(this.cpu - before < 1);) {
      before = this.cpu
      await sleep(100)
    }
  }

  /** Open descriptors. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.#child.pid}/fd`).length
  }

  async stop(): Promise<void> {
    this.dismiss()
    if (this.#child.exitCode !== null) return
    const left = once(this.#child, 'exit')
    this.#child.disconnect()
    await left
  }

  /** It answers one command after the other. */
  async #ask<Answer>(command: Command): Promise<Answer> {
    const answered = once(this.#child, 'message')
    this.#child.send(command)
    const [answer]: Answer[] = await answered
    if (answer === undefined) throw new Error(`no answer to ${command.do}`)
    return answer
  }
}
