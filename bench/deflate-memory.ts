/** What connections hold that have talked, compressed, and fallen silent. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Contestant, ContestantProcess } from './contestant.ts'
import type { Memory } from './contestants/host.ts'
import { DeflateLoad, scriptOf } from './deflate-load.ts'
import { argumentsOf, type DeflateWorkload, messagesBeforeIdle, silence } from './deflate-workload.ts'

/** Bytes per connection, once the garbage is collected. */
export interface IdleMemory {
  /** Resident, when the last message has just been answered. */
  readonly resident: number
  /** In use, on V8's heap and behind it, at the same time. */
  readonly used: number
  /** In use after the silence. */
  readonly usedSilent: number
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
  const empty = await server.memory()
  // V8 and the allocator grow with the first connections, whatever those leave behind: the third lot counts.
  await enter()
  await enter()
  const before = await server.memory()
  await enter()
  const after = await server.memory()
  await sleep(silence)
  const silent = await server.memory()
  await Promise.all(loads.map((load) => load.close()))
  await server.stop()
  return {
    resident: (after.resident - before.resident) / workload.connections,
    used: (inUse(after) - inUse(before)) / workload.connections,
    usedSilent: (inUse(silent) - inUse(empty)) / (loads.length * workload.connections),
  }
}

function inUse({ heap, external }: Memory): number {
  return heap + external
}
