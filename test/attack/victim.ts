/** The server that is attacked, in a process of its own: so what it costs is seen from outside. */
import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type ServerOptions, WebSocketServer } from '../../lib/index.ts'
import { portOf } from '../help/serve.ts'
import type { Report } from './target.ts'

const options: ServerOptions = JSON.parse(process.argv[2] ?? '{}')
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options })
const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()
let messages = 0
let escaped = 0
const onEscape = (): void => void escaped++
process.on('uncaughtException', onEscape)
process.on('unhandledRejection', onEscape)

server.on('connection', (connection) => {
  connection.on('message', (message) => {
    messages++
    if (typeof message === 'string') connection.send(message)
  })
})

process.on('message', () => {
  globalThis.gc?.()
  const report: Report = {
    delay99: delay.percentile(99) / 1e6,
    delayMax: delay.max / 1e6,
    messages,
    escaped,
    connections: server.connections.size,
  }
  delay.reset()
  process.send?.(report)
})
process.on('disconnect', () => process.exit())

await once(server, 'listening')
process.send?.(portOf(server))
