/** A peer that means no harm, in a process of its own: how long its echoes take while others attack. */
import { Buffer } from 'node:buffer'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect, type Message } from '../../lib/index.ts'
import { percentile } from './ledger.ts'
import { bystander } from './target.ts'

const program = fileURLToPath(import.meta.url)

export class Bystander {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async enter(port: number): Promise<Bystander> {
    const child = fork(program, [`${port}`])
    await once(child, 'message')
    return new Bystander(child)
  }

  /** It goes. Of a hundred of its echoes the second longest, in ms; 0 where there was none. */
  async leave(): Promise<number> {
    const told = once(this.#child, 'message')
    const left = once(this.#child, 'exit')
    this.#child.send('leave')
    const [longest] = await told
    this.#child.disconnect()
    await left
    return Number(longest)
  }
}

async function echo(port: number): Promise<void> {
  const times: number[] = []
  const stay = new AbortController()
  process.once('message', () => stay.abort())
  const connection = await connect(`ws://127.0.0.1:${port}${bystander}`)
  process.send?.('here')
  while (!stay.signal.aborted && connection.state === 'open') {
    const sent = performance.now()
    connection.send('hello')
    let heard: Message | undefined
    // What is binary is a broadcast.
    do heard = await connection.receive({ signal: stay.signal }).catch(() => undefined)
    while (heard instanceof Buffer)
    if (heard !== undefined) times.push(performance.now() - sent)
    await sleep(10)
  }
  // It is asked when the attack is over, however early its own connection was.
  if (!stay.signal.aborted) await once(stay.signal, 'abort')
  await connection.close()
  process.send?.(times.length === 0 ? 0 : percentile(times, 0.99))
}

if (process.argv[1] === program) await echo(Number(process.argv[2]))
