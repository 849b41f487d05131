/** A client under attack, in a process of its own: what a server makes it hold is seen from outside. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { connect, HandshakeError } from '../../lib/index.ts'

const program = fileURLToPath(import.meta.url)

/** How an attempt to connect ended. */
export interface Visit {
  readonly message: string
  readonly status: number | null
  /** Bytes that it kept of a body. */
  readonly body: number
}

export class Visitor {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(): Promise<Visitor> {
    const child = fork(program, ['visit'], { env: { ...process.env, NODE_OPTIONS: '' } })
    await once(child, 'message')
    return new Visitor(child)
  }

  async visit(url: string): Promise<Visit> {
    const told = once(this.#child, 'message')
    this.#child.send(url)
    const [visit]: Visit[] = await told
    if (visit === undefined) throw new Error('no answer')
    return visit
  }

  /** What its resident memory was at most while that was done, above what it was before; in MB. */
  async peakOf(act: () => Promise<void>): Promise<number> {
    const status = `/proc/${this.#child.pid}/status`
    const read = (name: string): number =>
      Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(status, 'utf8'))?.[1])
    const before = read('VmRSS')
    writeFileSync(`/proc/${this.#child.pid}/clear_refs`, '5')
    await act()
    return ((read('VmHWM') - before) * 1024) / 1e6
  }

  async stop(): Promise<void> {
    const left = once(this.#child, 'exit')
    this.#child.disconnect()
    await left
  }
}

async function visit(url: string): Promise<Visit> {
  const outcome = await connect(url).catch((error: unknown) => error)
  if (!(outcome instanceof HandshakeError)) return { message: String(outcome), status: null, body: 0 }
  return { message: outcome.message, status: outcome.status ?? null, body: outcome.body.length }
}

if (process.argv[1] === program) {
  process.on('message', async (url) => process.send?.(await visit(String(url))))
  process.send?.('here')
}
