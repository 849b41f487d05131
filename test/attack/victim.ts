/** The server that is attacked, in a process of its own: so what it costs is seen from outside. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { getHeapCodeStatistics } from 'node:v8'
import { type Connection, type Message, type ServerOptions, WebSocketServer } from '../../lib/index.ts'
import { portOf } from '../help/serve.ts'
import { bystander, type Command, faults, type Manner, type Report } from './target.ts'

const [manner, json] = process.argv.slice(2) as [Manner, string]
const options: ServerOptions = { port: 0, host: '127.0.0.1', ...JSON.parse(json) }
const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()
let messages = 0
let handlerErrors = 0
let escaped = 0
let requests = 0
let bystanders = 0
const ends: Record<string, number> = {}

const onEscape = (): void => void escaped++
process.on('uncaughtException', onEscape)
process.on('unhandledRejection', onEscape)

function count(this: Connection, message: Message): void {
  messages++
  if (typeof message === 'string') this.send(message)
}

/** Fresh buffers, as fast as the loop goes round, however little of it is read. */
function push(this: Connection): void {
  const more = (): void => {
    if (this.state !== 'open') return
    for (let each = 0; each < 16; each++) this.send(Buffer.alloc(64 * 1024, each))
    setTimeout(more, 10)
  }
  more()
}

/** Does what the path says that this listener or callback does: `/message/throws`, `/verify/rejects`. */
function act(name: string, url: string | undefined): unknown {
  const [, wrong, how] = (url ?? '').split('/')
  if (wrong !== name) return undefined
  const error = new Error('broken')
  if (how === 'throws') throw error
  return Promise.reject(error)
}

/** What comes after the handshake: what a broken server's listeners do. */
function listenBadly(connection: Connection, url: string | undefined): void {
  for (const name of faults.listeners) {
    if (name !== 'connection') connection.once(name, () => act(name, url))
  }
}

function optionsOf(manner: Manner): ServerOptions {
  if (manner === 'undecided') {
    const verify = ({ url }: IncomingMessage): Promise<undefined> | undefined => {
      if (url === '/') return undefined
      requests++
      return new Promise(() => {})
    }
    return { ...options, verify }
  }
  if (manner !== 'broken') return options
  const answer = <T>(name: string, url: string | undefined, otherwise: T): T =>
    (act(name, url) as T | undefined) ?? otherwise
  return {
    ...options,
    path: (path) => answer('path', path, true),
    origins: (_, request) => answer('origins', request.url, true),
    verify: (request) => answer('verify', request.url, undefined),
    protocols: (_, request) => answer('protocols', request.url, undefined),
  }
}

const server = new WebSocketServer(optionsOf(manner))

// A deaf server listens to nothing that happens to a connection.
if (manner !== 'deaf') {
  server.on('handlerError', () => void handlerErrors++)
  server.on('connection', (connection, request) => {
    if (request.url === bystander) {
      bystanders++
      connection.on('message', (message) => connection.send(message))
      connection.on('close', () => void bystanders--)
      return
    }
    if (manner === 'broken') listenBadly(connection, request.url)
    connection.on('close', ({ trigger }) => {
      ends[trigger] = (ends[trigger] ?? 0) + 1
    })
    connection.on('message', manner === 'push' ? push : count)
  })
  if (manner === 'broken') server.on('connection', (_, request) => act('connection', request.url))
}

async function collect(): Promise<void> {
  // What buffers held is given back some time after a collection.
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function report(): Report {
  const { heapUsed, external } = process.memoryUsage()
  const told = {
    delay99: delay.percentile(99) / 1e6,
    messages,
    requests,
    handlerErrors,
    escaped,
    ends,
    connections: server.connections.size - bystanders,
    handles: process.getActiveResourcesInfo().length,
    heap: heapUsed + external,
    code: getHeapCodeStatistics().code_and_metadata_size,
  }
  delay.reset()
  return told
}

process.on('message', async (command: Command) => {
  if (command.do === 'close') {
    const counts = await server.close()
    process.send?.({ ...counts, escaped })
    process.off('disconnect', leave)
    process.disconnect()
    return
  }
  if (command.do === 'broadcast') {
    for (let each = 0; each < command.times; each++) {
      server.broadcast(Buffer.alloc(command.size, each))
      await new Promise((resolve) => setImmediate(resolve))
    }
    process.send?.('done')
    return
  }
  if (command.do === 'collect') await collect()
  process.send?.(report())
})

const leave = (): void => process.exit()
process.on('disconnect', leave)
if (!process.connected) leave() // Before we listened for it.

await once(server, 'listening')
process.send?.(portOf(server))
