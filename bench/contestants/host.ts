/** The contestant's side of its process: tells the benchmark where it listens and what it has used. */

/** What the benchmark may ask. */
export interface Answers {
  /** CPU time of all threads since the process began, in µs. */
  readonly cpu: number
  readonly memory: Memory
  /** Since they were last asked for, in ms. */
  readonly closeTimes: readonly number[]
}

/** In bytes. */
export interface Memory {
  readonly resident: number
  readonly heap: number
  /** Behind the heap: buffers, and what add-ons and zlib say of themselves. */
  readonly external: number
}

/** Told unasked: where a server listens, 0 from a client. */
export interface Reports extends Answers {
  readonly port: number
}

export type Order = keyof Answers | { readonly connect: number; readonly count: number }

export const host = '127.0.0.1'

/** The longest message, which every library has to be told: more than the longest that is sent. */
export const maxMessage: number = 65 * 1024 * 1024

/** Garbage collection, by the runtime's own name for it. */
declare const gc: undefined | (() => void)
declare const Bun: undefined | { gc(now: boolean): void }

/** To be called once a server listens. The process ends with the benchmark's. */
export function listens(address: unknown): void {
  serveOrders(() => {})
  tell({ port: portOf(address) })
}

/** To be called by a client: `open` opens one connection. */
export function connects(open: (port: number) => unknown): void {
  serveOrders(({ connect, count }) => {
    for (let left = count; left > 0; left--) open(connect)
  })
  tell({ port: 0 })
}

/** What the program is to do with a connection, as its first argument says. */
export function chosen<Service>(services: Readonly<Record<string, Service>>): Service {
  const service = services[process.argv[2] ?? '']
  if (service === undefined) throw new Error(`no service ${process.argv[2]}`)
  return service
}

/** The rest of the arguments, as numbers where they are. */
export const serviceArgs: readonly string[] = process.argv.slice(3)

let closeTimes: number[] = []

/** Begins to measure a `close()`; what it returns is to be called when the connection is closed. */
export function closeBegins(): () => void {
  const begun = performance.now()
  return () => void closeTimes.push(performance.now() - begun)
}

export function portOf(address: unknown): number {
  if (typeof address !== 'object' || address === null || !('port' in address))
    throw new Error('not listening')
  return Number(address.port)
}

function serveOrders(connect: (order: Exclude<Order, string>) => void): void {
  process.on('message', (order: Order) => {
    if (typeof order === 'object') connect(order)
    else void answer(order)
  })
  process.on('disconnect', () => process.exit())
}

async function answer(question: keyof Answers): Promise<void> {
  switch (question) {
    case 'cpu': {
      const { user, system } = process.cpuUsage()
      return tell({ cpu: user + system })
    }
    case 'memory':
      return tell({ memory: await memoryUsed() })
    case 'closeTimes':
      tell({ closeTimes })
      closeTimes = []
  }
}

async function memoryUsed(): Promise<Memory> {
  // What is collected may have something to finish, which the next collection takes.
  for (let times = 3; times > 0; times--) {
    if (typeof gc === 'function') gc()
    if (typeof Bun === 'object') Bun.gc(true)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return { resident: rss, heap: heapUsed, external }
}

function tell(report: Partial<Reports>): void {
  process.send?.(report)
}
