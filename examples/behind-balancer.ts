/**
 * A server that stops behind a load balancer without a client noticing more than a reconnect. On SIGTERM it
 *
 * 1. is no longer ready: `/ready` says 503, and the balancer sends the next clients elsewhere;
 * 2. goes on serving until the balancer has surely noticed: who is still sent here is let in;
 * 3. closes all connections with 1012, "service restart", which tells clients to come again, and waits for them;
 * 4. frees the port, and the process ends by itself.
 *
 * A second SIGTERM goes straight to the third step.
 *
 *     node behind-balancer.js [port] [drain in ms]
 */
import { createServer } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { CloseCode, describeClose, WebSocketServer } from '../lib/index.ts'

const port = Number(process.argv[2] ?? 8080)
/** Longer than the balancer takes to notice: the interval of its checks times the failures that it waits for. */
const drain = Number(process.argv[3] ?? 15_000)
/** How long all goodbyes together may take. Both together must be shorter than what comes before SIGKILL. */
const patience = 10_000

let ready = true
// On an HTTP server of your own these limits are yours to set: they cut a request that does not come to its end.
const limits = { headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 1000 }
const http = createServer(limits, (request, response) => {
  const found = request.url === '/ready' || request.url === '/alive'
  const status = request.url === '/ready' && !ready ? 503 : found ? 200 : 404
  response.writeHead(status, { 'Cache-Control': 'no-store' }).end()
})
const server = new WebSocketServer({ server: http })
server.on('connection', (connection) => {
  connection.on('message', (message) => connection.send(message))
  connection.on('close', (info) => console.log(describeClose(info)))
})
server.on('refused', ({ reason, status, address }) =>
  console.log(`refused ${address}: ${status} (${reason})`),
)

http.listen(port, () => {
  const address = http.address()
  console.log(`listening on ${typeof address === 'object' ? address?.port : address}`)
})

const hurry = new AbortController()
process.once('SIGTERM', () => {
  process.once('SIGTERM', () => hurry.abort())
  void leave()
})

async function leave(): Promise<void> {
  ready = false
  console.log(`draining ${server.connections.size} connections`)
  await delay(drain, undefined, { signal: hurry.signal }).catch(() => {})
  const counts = await server.close({
    code: CloseCode.serviceRestart,
    reason: 'restarting',
    timeout: patience,
  })
  http.close()
  http.closeAllConnections()
  console.log(`left: ${JSON.stringify(counts)}`)
}
