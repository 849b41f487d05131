/** A WebSocket server for one test, on a port of 127.0.0.1, and what it complained about. */
import { once } from 'node:events'
import type { Test } from 'tap'
import { type ServerOptions, WebSocketServer } from '../../lib/index.ts'

export interface Served<Context> {
  readonly server: WebSocketServer<Context>
  readonly port: number
  readonly url: string
  /** What `handlerError` told. The test fails at its end when something is left in here. */
  readonly errors: unknown[]
}

/** Starts the server; ends all its connections with the test. */
export async function serve<Context = undefined>(
  t: Test,
  options: ServerOptions<Context> = {},
): Promise<Served<Context>> {
  const server = new WebSocketServer<Context>({ port: 0, host: '127.0.0.1', ...options })
  const errors: unknown[] = []
  server.on('handlerError', (error) => errors.push(error))
  await once(server, 'listening')
  const port = portOf(server)
  t.teardown(async () => {
    for (const connection of server.connections) connection.terminate()
    await server.close()
    if (errors.length > 0) throw new AggregateError(errors, 'handlers failed that the test took no note of')
  })
  return { server, port, url: `ws://127.0.0.1:${port}/`, errors }
}

export function portOf(server: { address(): unknown }): number {
  const address = server.address()
  if (typeof address === 'object' && address !== null && 'port' in address) return Number(address.port)
  throw new Error('the server does not listen on a port')
}
