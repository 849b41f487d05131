/** A server or a client to be measured, in a process of its own. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Answers, Memory, Order, Reports } from './contestants/host.ts'
import { loadBufferutil, type Runtime, runtimeProgram } from './packages.ts'

export interface Contestant {
  readonly name: string
  /** Its program in contestants/, and the program's arguments. */
  readonly program: string
  readonly args?: readonly string[]
  /** What runs the program; default this Node. */
  readonly runtime?: Runtime
  /** It needs the native add-on of `ws`. */
  readonly addon?: boolean
  readonly role: 'server' | 'client'
  /** It answers the opening handshake. */
  readonly upgrades: boolean
  /** It speaks WebSocket; else it sends back what it gets as it is. */
  readonly frames: boolean
  /** It does no more than it must: part of those workloads only that name it. */
  readonly limit?: boolean
  /** Part of a quick run. */
  readonly quick: boolean
}

const server = { role: 'server', upgrades: true, frames: true, quick: false } as const
const client = { ...server, role: 'client' } as const

/** Those to be compared with: what does no more than it must, and the best known of the others. */
export const wsWithAddon = 'ws with bufferutil'

export const contestants: readonly Contestant[] = [
  { ...server, name: 'node:net', program: 'net', limit: true, upgrades: false, frames: false, quick: true },
  { ...server, name: 'http upgrade', program: 'http', limit: true, frames: false, quick: true },
  { ...server, name: 'farewell', program: 'farewell', quick: true },
  { ...server, name: wsWithAddon, program: 'ws', args: ['addon'], addon: true, quick: true },
  { ...server, name: 'ws', program: 'ws' },
  { ...server, name: 'websocket', program: 'websocket' },
  { ...server, name: 'faye-websocket', program: 'faye' },
  { ...server, name: 'Bun', program: 'bun', runtime: 'bun', quick: true },
  { ...server, name: 'Deno', program: 'deno', runtime: 'deno' },

  { ...client, name: 'node:net', program: 'clients/net', limit: true, quick: true },
  { ...client, name: 'farewell', program: 'clients/farewell', quick: true },
  { ...client, name: wsWithAddon, program: 'clients/ws', args: ['addon'], addon: true, quick: true },
  { ...client, name: 'ws', program: 'clients/ws' },
  { ...client, name: 'undici', program: 'clients/whatwg', args: ['undici'], quick: true },
  { ...client, name: 'Node 24', program: 'clients/whatwg', runtime: 'node' },
]

/** Whether it can run on this machine. */
export function canRun({ runtime, addon = false }: Contestant): boolean {
  if (addon && loadBufferutil() === undefined) return false
  return runtime === undefined || runtimeProgram(runtime) !== undefined
}

/** Flags with which each runtime lets a program collect its garbage. */
const collectable = { node: ['--expose-gc'], bun: [], deno: ['run', '-A', '--v8-flags=--expose-gc'] }

export class ContestantProcess {
  readonly contestant: Contestant
  /** Where a server listens. */
  readonly port: number
  readonly #process: ChildProcess

  private constructor(contestant: Contestant, port: number, process: ChildProcess) {
    this.contestant = contestant
    this.port = port
    this.#process = process
  }

  /** Starts it and waits until it is ready. */
  static async start(contestant: Contestant, nodeFlags: readonly string[]): Promise<ContestantProcess> {
    const { program, args, runtime } = contestant
    const path = new URL(`contestants/${program}.js`, import.meta.url)
    const flags = collectable[runtime ?? 'node']
    const child =
      runtime === undefined
        ? fork(path, args, { execArgv: [...process.execArgv, ...nodeFlags, ...flags] })
        : fork(path, args, { execPath: runtimeProgram(runtime) ?? '', execArgv: flags })
    const { port } = await reportOf(child, 'port')
    return new ContestantProcess(contestant, port, child)
  }

  /** CPU time that it has used since its start, in µs. */
  async cpu(): Promise<number> {
    return (await this.#ask('cpu')).cpu
  }

  /** What it holds once its garbage is collected, in bytes: of the machine's memory, and of its own heap. */
  async memory(): Promise<Memory> {
    return (await this.#ask('memory')).memory
  }

  /** How long each `close()` has taken since it was last asked, in ms. */
  async closeTimes(): Promise<readonly number[]> {
    return (await this.#ask('closeTimes')).closeTimes
  }

  /** Lets a client open so many connections. */
  connect(port: number, count: number): void {
    this.#process.send({ connect: port, count } satisfies Order)
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exit = once(this.#process, 'exit')
    this.#process.disconnect()
    await exit
  }

  #ask<Key extends keyof Answers>(key: Key): Promise<Pick<Answers, Key>> {
    const report = reportOf(this.#process, key)
    this.#process.send(key satisfies Order)
    return report
  }
}

/** The next report, which has to be about this. */
async function reportOf<Key extends keyof Reports>(
  child: ChildProcess,
  key: Key,
): Promise<Pick<Reports, Key>> {
  const failed = new AbortController()
  const onExit = (code: number | null): void => failed.abort(new Error(`the process ended with ${code}`))
  child.once('exit', onExit)
  try {
    const [report]: Pick<Reports, Key>[] = await once(child, 'message', { signal: failed.signal })
    if (report?.[key] === undefined) throw new Error(`it does not tell its ${key}`)
    return report
  } finally {
    child.off('exit', onExit)
  }
}
