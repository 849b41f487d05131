/** A process of its own for `process.test.ts`: the first argument says what it is. It says a line for each thing that happens. */
import { once } from 'node:events'
import { connect, WebSocketServer } from '../../lib/index.ts'
import { turns } from '../help/loop.ts'
import { portOf } from '../help/serve.ts'

const [what, url = ''] = process.argv.slice(2)

function say(line: string): void {
  console.log(line)
}

/** What would keep the process alive. */
function resources(): string {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /TCP|Timeout|Immediate/.test(name))
    .join(' ')
}

/** Echoes, and takes leave at SIGTERM. */
function serve(): void {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('listening', () => say(`port ${portOf(server)}`))
  server.on('connection', (connection) => {
    connection.on('message', (message) => connection.send(message))
  })
  process.once('SIGTERM', async () => {
    const { clean, unclean, terminated } = await server.close()
    say(`closed ${clean} ${unclean} ${terminated}`)
    await turns(5) // The handles of the last sockets are given back then.
    say(`left: ${resources()}`)
  })
}

/** Listens to nothing that happens to a connection. */
async function serveDeaf(): Promise<void> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  say(`port ${portOf(server)}`)
}

/** Connects, echoes, and stays as long as the other side does. */
async function stay(): Promise<void> {
  const connection = await connect(url)
  say('open')
  for await (const message of connection) connection.send(message)
  const { code, wasClean, trigger } = await connection.closed
  say(`closed ${code} ${wasClean ? 'clean' : trigger}`)
}

/** Connects, talks, closes. */
async function visit(): Promise<void> {
  await using connection = await connect(url)
  connection.send('hello')
  say(`got ${String(await connection.receive())}`)
}

if (what === 'server') serve()
else if (what === 'deaf server') await serveDeaf()
else if (what === 'client') await stay()
else if (what === 'visitor') await visit()
