/** CPU time over a while, of a contestant and of the load. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ContestantProcess } from '../contestant.ts'
import type { Figures } from '../sample.ts'

/** Times in µs. */
export interface Usage {
  readonly time: number
  readonly contestantCpu: number
  readonly loadCpu: number
  readonly messages: number
}

/** The messages are counted when the contestant has told its CPU time, since it goes on meanwhile. */
export async function usageOf(contestant: ContestantProcess, messages: () => number): Promise<Usage> {
  const contestantCpu = await contestant.cpu()
  const { user, system } = process.cpuUsage()
  return { contestantCpu, loadCpu: user + system, messages: messages(), time: performance.now() * 1000 }
}

/** Where the contestant hardly gets to run, a phase ends all the same after so many times its length. */
const patience = 2

/** Waits until the contestant has used so many ms more, at a moment that `between` resolves at. */
export async function untilUsed(
  time: number,
  since: Usage,
  between: () => Promise<void>,
  now: () => Promise<Usage>,
): Promise<Usage> {
  for (;;) {
    await sleep(10)
    await between()
    const usage = await now()
    if (usage.contestantCpu - since.contestantCpu >= time * 1000) return usage
    if (usage.time - since.time >= patience * time * 1000) return usage
  }
}

export function figuresBetween(before: Usage, after: Usage): Figures {
  const time = after.time - before.time
  const messages = after.messages - before.messages
  return {
    cpu: (after.contestantCpu - before.contestantCpu) / messages,
    perSecond: (messages / time) * 1e6,
    busy: (after.contestantCpu - before.contestantCpu) / time,
    loadBusy: (after.loadCpu - before.loadCpu) / time,
  }
}
