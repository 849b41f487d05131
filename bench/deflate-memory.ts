/** What connections hold that have talked, compressed, and fallen silent. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Contestant, ContestantProcess } from './contestant.ts'
import { DeflateLoad, scriptOf } from './deflate-load.ts'
import { argumentsOf, type DeflateWorkload, messagesBeforeIdle, silence } from './deflate-workload.ts'

/** Bytes of resident memory per connection, once the garbage is collected. */
export interface IdleMemory {
  /** When the last message has just been answered. */
  readonly atOnce: number
  /** After the silence. */
  readonly silent: number
}

export async function idleMemory(contestant: Contestant, workload: DeflateWorkload): Promise<IdleMemory> {
  const server = await ContestantProcess.start({ ...contestant, args: argumentsOf(workload) }, [])
  const script = scriptOf(workload)
  const loads: DeflateLoad[] = []
  const enter = async (): Promise<void> => {
    const load = await DeflateLoad.open(server.port, workload, script, contestant.frames)
    await load.talk(messagesBeforeIdle)
    loads.push(load)
  }
  const resident = async (): Promise<number> => (await server.memory()).resident
  // V8 and the allocator grow with the first connections, whatever those leave behind: the third lot counts.
  await enter()
  await enter()
  await sleep(silence)
  const before = await resident()
  await enter()
  const atOnce = await resident()
  await sleep(silence)
  const silent = await resident()
  await Promise.all(loads.map((load) => load.close()))
  await server.stop()
  const each = (after: number): number => (after - before) / workload.connections
  return { atOnce: each(atOnce), silent: each(silent) }
}
