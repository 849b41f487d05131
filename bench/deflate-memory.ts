/** What connections hold that have talked, compressed, and fallen silent. */
import { type Contestant, ContestantProcess } from './contestant.ts'
import { DeflateLoad, scriptOf } from './deflate-load.ts'
import { argumentsOf, type DeflateWorkload, messagesBeforeIdle } from './deflate-workload.ts'

/** Bytes of resident memory per connection, once the garbage is collected. */
export async function idleMemory(contestant: Contestant, workload: DeflateWorkload): Promise<number> {
  const server = await ContestantProcess.start({ ...contestant, args: argumentsOf(workload) }, [])
  const script = scriptOf(workload)
  const enter = async (): Promise<DeflateLoad> => {
    const load = await DeflateLoad.open(server.port, workload, script, contestant.frames)
    await load.talk(messagesBeforeIdle)
    return load
  }
  // V8 and the allocator grow with the first connections, whatever those leave behind: the second lot counts.
  const first = await enter()
  const before = await server.memory()
  const second = await enter()
  const after = await server.memory()
  await Promise.all([first.close(), second.close()])
  await server.stop()
  return (after.resident - before.resident) / workload.connections
}
