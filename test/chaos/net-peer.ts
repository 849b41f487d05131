/** An end of the connection in a namespace of its own: the first argument says which, the second where. */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { asError } from '../../lib/errors.ts'
import { type CloseInfo, connect, type Connection, WebSocketServer } from '../../lib/index.ts'
import { NumberedMessages, PrefixCheck } from './numbered.ts'

/** What both ends are to do. */
export interface Talk {
  readonly messages: number
  readonly largest: number
  /** Between two messages, in ms. */
  readonly pace: number
  /** The client closes when it has sent and received all. */
  readonly closes: boolean
  /** The keepalive waits for so long, twice, in ms. */
  readonly keepalive: number
}

/** What an end tells. `progress`: it has received a part of the messages. */
export type News =
  | { readonly kind: 'listening' | 'progress' | 'received-all' }
  | { readonly kind: 'failed'; readonly message: string }
  | {
      readonly kind: 'closed'
      readonly trigger: CloseInfo['trigger']
      readonly wasClean: boolean
      readonly sent: number
      readonly received: number
      readonly faults: readonly string[]
    }

const [role, address = ''] = process.argv.slice(2)
export const peerPort = 4000
const limits = { closeTimeout: 5000, lingerTimeout: 1000, handshakeTimeout: 3000 }
const escaped: string[] = []
for (const event of ['uncaughtException', 'unhandledRejection', 'warning'])
  process.on(event, (what) => escaped.push(`escaped: ${String(what)}`))

function tell(news: News): void {
  process.send?.(news)
}

async function talk(connection: Connection, plan: Talk, seed: number, peerSeed: number): Promise<void> {
  const check = new PrefixCheck(peerSeed)
  const own = new NumberedMessages(seed, plan.largest)
  const faults: string[] = []
  let [sent, closes] = [0, 0]
  connection.on('close', ({ trigger, wasClean }) => {
    if (++closes > 1) faults.push('a second close event')
    faults.push(...escaped)
    tell({ kind: 'closed', trigger, wasClean, sent, received: check.received, faults })
  })
  const over = (): boolean => sent === plan.messages && check.received === plan.messages
  connection.on('message', (message) => {
    const fault = check.faultOf(message)
    if (fault !== undefined) faults.push(fault)
    if (check.received === Math.min(50, Math.ceil(plan.messages / 3))) tell({ kind: 'progress' })
    if (check.received === plan.messages) tell({ kind: 'received-all' })
    if (role === 'client' && plan.closes && over()) void connection.close(1000)
  })
  while (sent < plan.messages && connection.state === 'open') {
    const roomy = connection.send(own.next())
    sent++
    if (!roomy) await connection.drained().catch(() => {})
    if (plan.pace > 0) await sleep(plan.pace)
  }
  if (role === 'client' && plan.closes && over()) void connection.close(1000)
}

/** A keepalive is the server's, so each has one of its own, on one port after the other. */
async function serve(keepalives: readonly number[]): Promise<void> {
  for (const keepalive of keepalives) {
    const server = new WebSocketServer({
      host: address,
      port: peerPort + keepalive,
      keepalive: { interval: keepalive, timeout: keepalive },
      compression: true,
      ...limits,
    })
    server.on('connection', (connection, request) => {
      const plan: Talk = JSON.parse(decodeURIComponent(request.url?.slice(2) ?? '{}'))
      return talk(connection, plan, 1, 2)
    })
    await once(server, 'listening')
  }
  tell({ kind: 'listening' })
}

async function visit(plan: Talk): Promise<void> {
  const { keepalive } = plan
  const url = `ws://${address}:${peerPort + keepalive}/?${encodeURIComponent(JSON.stringify(plan))}`
  const options = { keepalive: { interval: keepalive, timeout: keepalive }, compression: true, ...limits }
  const connection = await connect(url, options).catch(asError)
  if (connection instanceof Error) tell({ kind: 'failed', message: connection.message })
  else await talk(connection, plan, 2, 1)
}

process.on('disconnect', () => process.exit())
if (role === 'server') await serve(process.argv.slice(4).map(Number))
else {
  process.on('message', (plan: Talk) => void visit(plan))
  tell({ kind: 'listening' })
}
