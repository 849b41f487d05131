/**
 * A server for many clients: it echoes what they send, tells all of them the time, serves a page to talk to
 * it, and says goodbye to everyone before it stops.
 *
 *     node server.js [port] [--interval ms] [--cert cert.pem --key key.pem]
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Connection, describeClose, type Message, WebSocketServer } from '../lib/index.ts'

export interface DemoOptions {
  /** Port to listen on; 0 takes any free one. */
  port?: number
  host?: string
  /** Milliseconds from one broadcast of the time to the next. */
  interval?: number
  /** PEM texts: with both, the server speaks https and wss. */
  cert?: string
  key?: string
  /** Milliseconds that all goodbyes together may take when the server stops. */
  patience?: number
  log?: (line: string) => void
}

export interface Demo {
  /** Where the page is; with `ws` in place of `http`, where the WebSocket is. */
  readonly url: string
  readonly sockets: WebSocketServer
  /** Says goodbye to all clients and frees the port. */
  close(): Promise<void>
  /** Waits for nobody. */
  terminate(): void
}

const goodbye = { code: 1001, reason: 'Server is shutting down' }

// The page lies beside this file or, seen from .build/examples/ where this file is compiled to, in examples/.
const places = ['page.html', '../../examples/page.html'].map((place) => new URL(place, import.meta.url))
const page = readFileSync(places.find((place) => existsSync(place)) ?? 'page.html', 'utf8')

export async function startDemo(options: DemoOptions = {}): Promise<Demo> {
  const { port = 8080, host, interval = 15_000, patience = 5000, cert, key, log = console.log } = options
  const secure = cert !== undefined && key !== undefined
  const http = secure ? createSecureServer({ cert, key }, answer) : createServer(answer)
  const sockets = new WebSocketServer({ server: http })
  const clients = new Map<number, Connection>()
  let lastId = 0
  let closing: Promise<void> | undefined

  sockets.on('connection', (connection) => {
    const id = ++lastId
    const note = (text: string) => log(`Connection ${id}: ${text}`)
    clients.set(id, connection)
    note(`opened from ${connection.remoteAddress ?? 'an unknown address'}`)

    let before = connection.state
    connection.on('state', (state) => {
      const answering = state === 'close-done' && before !== 'close-sent'
      if (state === 'close-sent') note('starting the close handshake')
      if (answering) note('acknowledging Close frame received from client')
      before = state
    })
    connection.on('close', (info) => {
      clients.delete(id)
      note(`closed: ${describeClose(info)}`)
    })

    connection.on('message', (message) => {
      const type = typeof message === 'string' ? 'text' : 'binary'
      note(`received ${type} (${Buffer.byteLength(message)} bytes)`)
      if (obey(message, id)) return
      note('echoing')
      // A client that does not read what it asked for is not read from either.
      if (!connection.send(message)) connection.pause()
    })
    connection.on('drain', () => connection.resume())
  })

  /** `/who` and `/to 3 hello` are for the server; everything else is echoed. */
  function obey(message: Message, from: number): boolean {
    if (typeof message !== 'string') return false
    const sender = clients.get(from)
    if (message === '/who') {
      sender?.send(`You are ${from} of ${[...clients.keys()].join(', ')}`)
      return true
    }
    const [, to, text] = /^\/to (\d+) (.+)$/s.exec(message) ?? []
    if (to === undefined) return false
    const receiver = clients.get(Number(to))
    receiver?.send(`From ${from}: ${text}`)
    sender?.send(receiver ? `Sent to ${to}` : `There is no connection ${to}`)
    return true
  }

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const { status, headers, body } = closing
      ? text(503, goodbye.reason, { connection: 'close' })
      : judge(request, clients.size)
    response.writeHead(status, { 'cache-control': 'no-store', ...headers })
    response.end(request.method === 'HEAD' ? undefined : body)
  }

  await new Promise<void>((resolve, reject) => {
    http.once('error', reject)
    http.listen(port, host, resolve)
  })

  // The interval begins with the server, when nobody is there to hear a broadcast at once. Who connects while
  // one is going out gets the next.
  const clock = setInterval(() => {
    if (clients.size === 0) return
    log(`Telling ${clients.size} connections the time`)
    sockets.broadcast(`Server time: ${new Date().toISOString()}`)
  }, interval)

  /** Whoever comes while the goodbyes are said is told 503; the port is given up last. */
  async function stop(): Promise<void> {
    clearInterval(clock)
    log(`Stopping: closing ${clients.size} connections`)
    const { clean, unclean, terminated } = await sockets.close({ ...goodbye, timeout: patience })
    const freed = new Promise((resolve) => http.close(resolve))
    http.closeAllConnections()
    await freed
    log(`Stopped: ${clean} closed cleanly, ${unclean} uncleanly, ${terminated} terminated`)
  }

  const address = http.address()
  const actualPort = typeof address === 'object' && address ? address.port : port
  return {
    url: `${secure ? 'https' : 'http'}://${host ?? 'localhost'}:${actualPort}/`,
    sockets,
    close: () => (closing ??= stop()),
    terminate() {
      for (const connection of clients.values()) connection.terminate()
      http.closeAllConnections()
    },
  }
}

interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

/** What a request that asks for no WebSocket gets. */
function judge(request: IncomingMessage, connections: number): Answer {
  const { method = '', url = '', headers } = request
  const [path = ''] = url.split('?')
  if (path !== '/' && path !== '/health') return text(404, 'Not found')
  if (!['GET', 'HEAD'].includes(method)) return text(405, 'Only GET and HEAD', { allow: 'GET, HEAD' })
  if (path === '/health') return json({ status: 'ok', connections })
  const acceptsHtml = /(text|\*)\/(html|\*)/i.test(headers.accept ?? '*/*')
  return acceptsHtml ? html(page) : text(400, 'Here are a page of HTML and a WebSocket, nothing else')
}

function text(status: number, line: string, headers: Record<string, string> = {}): Answer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers }, body: `${line}\n` }
}

function json(value: object): Answer {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}

/** The page needs nothing from elsewhere, and may open any WebSocket. */
function html(body: string): Answer {
  const inline = "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
  const policy = `default-src 'none'; ${inline}; connect-src ws: wss:`
  return {
    status: 200,
    headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy },
    body,
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { interval: { type: 'string' }, cert: { type: 'string' }, key: { type: 'string' } },
  })
  const demo = await startDemo({
    port: Number(positionals[0] ?? process.env['PORT'] ?? 8080),
    interval: Number(values.interval ?? 15_000),
    ...(values.cert && values.key
      ? { cert: readFileSync(values.cert, 'utf8'), key: readFileSync(values.key, 'utf8') }
      : {}),
  })
  console.log(`Open ${demo.url} in a few tabs, or run client.js ${demo.url.replace(/^http/, 'ws')}`)

  // Once: goodbye to everyone. Twice: now. Nothing is left then that would keep the process running.
  let asked = false
  const stop = () => {
    if (asked) return demo.terminate()
    asked = true
    void demo.close().then(() => process.stdin.pause())
  }
  process.on('SIGINT', stop).on('SIGTERM', stop)
  if (process.stdin.isTTY) {
    console.log('Enter or Ctrl-C stops the server')
    process.stdin.on('data', stop)
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main()
