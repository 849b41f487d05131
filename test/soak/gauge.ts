/** What a process holds, as it sees it itself: memory after a collection, descriptors, what its event loop waits for. */
import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export interface Sample {
  /** After a collection, in bytes: objects, and what they hold outside the heap, which is Buffers for the most part. */
  readonly heap: number
  readonly external: number
  readonly rss: number
  /** Delay of the event loop since the last sample, in ms. */
  readonly delay99: number
  readonly descriptors: number
  /** What keeps the event loop going, each name as often as it is there, sorted. */
  readonly resources: readonly string[]
}

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()

export function takeSample(): Sample {
  const delay99 = delay.percentile(99) / 1e6
  collect()
  const { heapUsed, external, rss } = process.memoryUsage()
  // The collection itself held up the loop.
  delay.reset()
  return { heap: heapUsed, external, rss, delay99, ...held() }
}

export function held(): Pick<Sample, 'descriptors' | 'resources'> {
  const descriptors = process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
  // What is being closed is on its way out.
  const resources = process.getActiveResourcesInfo().filter((name) => name !== 'CloseReq')
  return { descriptors, resources: resources.toSorted() }
}
