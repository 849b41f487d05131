/** `npm run soak`: see the README. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Ending, Report } from './child.ts'
import type { LoadOptions } from './load.ts'
import { plotOf } from './plot.ts'
import { judge, type Run, type Sampled, type Verdict } from './verdict.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    connections: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    leak: { type: 'string', default: '0' },
  },
})
const minutes = Number(values.minutes)
const connections = Number(values.connections)
const duration = minutes * 60_000
const period = Math.max(1000, duration / 200)

class Child {
  readonly process: ChildProcess
  readonly ended: Promise<unknown[]>

  constructor(name: string, argument: string) {
    this.process = fork(fileURLToPath(new URL(`${name}.js`, import.meta.url)), [argument])
    this.ended = once(this.process, 'exit')
  }

  async #answer(): Promise<unknown> {
    const gone = this.ended.then(() => {
      throw new Error('a process of the soak died')
    })
    const [answer] = await Promise.race([once(this.process, 'message'), gone])
    return answer
  }

  async port(): Promise<number> {
    return Number(await this.#answer())
  }

  async sample(): Promise<Report> {
    this.process.send('sample')
    return (await this.#answer()) as Report
  }

  async stop(): Promise<Ending> {
    this.process.send('stop')
    return (await this.#answer()) as Ending
  }
}

const server = new Child('server', values.leak)
const port = await server.port()
const load = new Child(
  'load',
  JSON.stringify({
    port,
    seed: Number(values.seed),
    connections,
    hostile: Math.ceil(connections / 100),
    churn: connections / 10,
    messages: connections,
  } satisfies LoadOptions),
)
await load.port()

// The time begins when all are there.
let arrived = 0
while (arrived < 0.9 * connections) {
  await sleep(1000)
  arrived = (await load.sample()).counts['connections'] ?? 0
}
const samples: Sampled[] = []
const begin = performance.now()
for (let next = period; next <= duration; next += period) {
  await sleep(Math.max(0, begin + next - performance.now()))
  const [atServer, atLoad] = await Promise.all([server.sample(), load.sample()])
  const minute = (performance.now() - begin) / 60_000
  samples.push({ minute, server: atServer, load: atLoad })
  if (samples.length % 10 === 0) {
    const { rss, heap, delay99, counts } = atServer
    const figures = `heap ${mb(heap)}, resident ${mb(rss)}, delay p99 ${delay99.toFixed(1)} ms`
    console.log(`${minute.toFixed(1)} min: ${counts['connections']} connections, server: ${figures}`)
  }
}
const [loadEnd, serverEnd] = await Promise.all([load.stop(), server.stop()])
const exits = await Promise.race([
  Promise.all([server.ended, load.ended]),
  sleep(10_000, undefined, { ref: false }).then(() => undefined),
])
if (exits === undefined) for (const { process } of [server, load]) process.kill('SIGKILL')

const run: Run = { minutes, samples, endings: { server: serverEnd, load: loadEnd }, exits: exits ?? [] }
const verdicts = judge(run)
for (const verdict of verdicts) console.log(lineOf(verdict))
console.log(`the server closed: ${JSON.stringify(serverEnd.story)}`)

const folder = new URL(import.meta.url.replace(/\.build\/.*$/, 'test/soak/results/'))
mkdirSync(folder, { recursive: true })
const about = `${connections} connections, ${minutes} min, Node ${process.version}, seed ${values.seed}`
writeFileSync(new URL('soak.json', folder), JSON.stringify({ about, verdicts, ...run }, null, 1))
writeFileSync(new URL('soak.svg', folder), plot(`farewell soak: ${about}`))
console.log(`written: ${fileURLToPath(folder)}soak.json and soak.svg`)
if (verdicts.some(({ holds }) => !holds)) process.exitCode = 1

function plot(title: string): string {
  const line = (name: string, of: (sample: Sampled) => number) => ({
    name,
    points: samples.map((sample) => [sample.minute, of(sample)] as const),
  })
  const both = (of: (report: Report) => number) => [
    line('server', (sample) => of(sample.server)),
    line('clients', (sample) => of(sample.load)),
  ]
  return plotOf(title, [
    { title: 'heap after a collection, MB', lines: both(({ heap }) => heap / 1e6) },
    { title: 'outside the heap after a collection, MB', lines: both(({ external }) => external / 1e6) },
    { title: 'resident memory, MB', lines: both(({ rss }) => rss / 1e6) },
    { title: 'delay of the event loop, p99, ms', lines: both(({ delay99 }) => delay99) },
    { title: 'descriptors', lines: both(({ descriptors }) => descriptors) },
  ])
}

function lineOf({ what, measured, bound, holds }: Verdict): string {
  return `${holds ? 'holds ' : 'MISSES'} ${what}: ${measured}${bound === '' ? '' : ` (bound: ${bound})`}`
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
