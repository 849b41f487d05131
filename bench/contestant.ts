/** A server process to be measured. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Report } from './contestants/host.ts'
import { bunProgram } from './packages.ts'

export interface Contestant {
  readonly name: string
  /** Its program in contestants/, and the program's arguments. */
  readonly program: string
  readonly args?: readonly string[]
  /** What runs the program; default Node. */
  readonly runtime?: 'bun'
  /** It speaks WebSocket; else it sends back what it gets as it is. */
  readonly frames: boolean
}

export const contestants: readonly Contestant[] = [
  { name: 'node:net', program: 'net', frames: false },
  { name: 'ws with bufferutil', program: 'ws', args: ['addon'], frames: true },
  { name: 'ws', program: 'ws', frames: true },
  { name: 'farewell', program: 'farewell', frames: true },
]

export class ServerProcess {
  readonly contestant: Contestant
  readonly port: number
  readonly #process: ChildProcess

  private constructor(contestant: Contestant, port: number, process: ChildProcess) {
    this.contestant = contestant
    this.port = port
    this.#process = process
  }

  /** Starts it and waits until it listens. */
  static async start(contestant: Contestant, nodeFlags: readonly string[]): Promise<ServerProcess> {
    const program = new URL(`contestants/${contestant.program}.js`, import.meta.url)
    const child =
      contestant.runtime === 'bun'
        ? fork(program, contestant.args, { execPath: bunProgram() ?? '', execArgv: [] })
        : fork(program, contestant.args, { execArgv: [...process.execArgv, ...nodeFlags] })
    const report = await reportOf(child)
    if (!('port' in report)) throw new Error(`${contestant.name} does not listen`)
    return new ServerProcess(contestant, report.port, child)
  }

  /** CPU time that it has used since its start, in µs. */
  async cpu(): Promise<number> {
    const report = reportOf(this.#process)
    this.#process.send('cpu')
    const answer = await report
    if (!('cpu' in answer)) throw new Error(`${this.contestant.name} does not tell its CPU time`)
    return answer.cpu
  }

  async stop(): Promise<void> {
    const exit = once(this.#process, 'exit')
    this.#process.disconnect()
    await exit
  }
}

async function reportOf(child: ChildProcess): Promise<Report> {
  const failed = new AbortController()
  const onExit = (code: number | null): void => failed.abort(new Error(`a server ended with ${code}`))
  child.once('exit', onExit)
  try {
    const [report]: Report[] = await once(child, 'message', { signal: failed.signal })
    if (report === undefined) throw new Error('a server told nothing')
    return report
  } finally {
    child.off('exit', onExit)
  }
}
