/** What both processes of a soak have in common: they are asked for samples, told to stop, and end by themselves. */
import { setTimeout as sleep } from 'node:timers/promises'
import { held, type Sample, takeSample } from './gauge.ts'

export interface Soaked {
  readonly port: number
  count(): Readonly<Record<string, number>>
  /** Stops it all and tells how that went. */
  stop(): Promise<Readonly<Record<string, unknown>>>
}

export interface Report extends Sample {
  readonly counts: Readonly<Record<string, number>>
}

export interface Ending {
  readonly story: Readonly<Record<string, unknown>>
  readonly before: Pick<Sample, 'descriptors' | 'resources'>
  readonly after: Pick<Sample, 'descriptors' | 'resources'>
  readonly escaped: readonly string[]
}

/** How long the kernel and Node may take to give back what is closed, in ms. */
const patience = 10_000

export async function beSoaked(start: () => Promise<Soaked>): Promise<void> {
  const escaped: string[] = []
  for (const event of ['uncaughtException', 'unhandledRejection', 'warning'])
    process.on(
      event,
      (what: unknown) => void escaped.push(what instanceof Error ? `${what.stack}` : String(what)),
    )
  const tell = (what: unknown): void => void process.send?.(what)
  process.on('message', (order) => {
    if (order === 'sample') tell({ ...takeSample(), counts: soaked.count() } satisfies Report)
    else void end()
  })
  const before = held()
  const soaked = await start()
  tell(soaked.port)

  async function end(): Promise<void> {
    const story = await soaked.stop()
    let after = held()
    for (let waited = 0; waited < patience && !sameAs(before, after); waited += 100) {
      await sleep(100)
      after = held()
    }
    tell({ story, before, after, escaped } satisfies Ending)
    process.disconnect()
  }
}

export function sameAs(before: Ending['before'], after: Ending['after']): boolean {
  return before.descriptors >= after.descriptors && before.resources.join() === after.resources.join()
}
