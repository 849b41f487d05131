/** Told by its first argument, the `WebSocket` and the server of Bun or of Deno, which run this. See ../README.md. */
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { createInterface } from 'node:readline'

/** As much of WHATWG's as both have. */
interface Socket {
  binaryType: string
  readonly protocol: string
  send(data: string | Buffer): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open' | 'error', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { data: string | ArrayBuffer }) => void): void
  addEventListener(
    type: 'close',
    listener: (event: { code: number; reason: string; wasClean: boolean }) => void,
  ): void
}

interface BunClient extends Socket {
  ping(data: Buffer): void
  terminate(): void
  addEventListener: Socket['addEventListener'] &
    ((type: 'pong', listener: (event: { data: ArrayBuffer }) => void) => void)
}

/** Bun's own for servers. */
interface BunSocket {
  send(data: string | Buffer, compress: boolean): void
  close(code?: number, reason?: string): void
  ping(data: Buffer): void
  terminate(): void
}

interface BunServer {
  readonly port: number
  upgrade(request: Request, options: { headers: Record<string, string> }): boolean
  stop(): unknown
}

declare const Bun: {
  readonly version: string
  serve(options: {
    hostname: string
    port: number
    tls?: { key: string; cert: string }
    fetch(request: Request, server: BunServer): Response | undefined
    websocket: {
      perMessageDeflate: boolean
      maxPayloadLength: number
      idleTimeout: number
      open(socket: BunSocket): void
      message(socket: BunSocket, data: string | Buffer): void
      pong(socket: BunSocket, data: Buffer): void
      close(socket: BunSocket, code: number, reason: string): void
    }
  }): BunServer
}

declare const Deno: {
  readonly version: { deno: string }
  serve(
    options: {
      hostname: string
      port: number
      key?: string
      cert?: string
      onListen(address: { port: number }): void
    },
    handle: (request: Request) => Response,
  ): { shutdown(): Promise<void> }
  upgradeWebSocket(request: Request, options: { protocol?: string }): { socket: Socket; response: Response }
}

declare const WebSocket: new (url: string, options: unknown) => Socket

/** Performs the verbs of an open connection. */
interface End {
  send(data: string | Buffer): void
  close(code?: number, reason?: string): void
  ping?(payload: Buffer): void
  terminate?(): void
}

const [runtime, keyFile = '', certFile = ''] = process.argv.slice(2)
const identity = { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') }
const isBun = runtime === 'bun'

/** What is open, or will be; and what stops listening. */
const ends = new Map<string, Entry>()

class Entry {
  resolve: (end: End) => void = () => {}
  readonly end: Promise<End> = new Promise((resolve) => {
    this.resolve = resolve
  })
  stop: () => unknown = () => {}
}

function tell(number: string, ...words: (string | number)[]): void {
  process.stdout.write(`${[number, ...words].join(' ')}\n`)
}

function bytes(word: string): Buffer {
  return Buffer.from(word === '-' ? '' : word, 'hex')
}

function hex(data: string | ArrayBuffer | Buffer): string {
  const buffer = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data as ArrayBuffer)
  return buffer.toString('hex') || '-'
}

function message(number: string, data: string | ArrayBuffer | Buffer): void {
  tell(number, typeof data === 'string' ? 'text' : 'binary', hex(data))
}

/** Tells what happens to a WebSocket of WHATWG. */
function watch(number: string, socket: Socket, opened: () => void, protocol?: string): void {
  socket.binaryType = 'arraybuffer'
  socket.addEventListener('open', () => {
    tell(number, 'open', (protocol ?? socket.protocol) || '-')
    opened()
  })
  socket.addEventListener('message', ({ data }) => message(number, data))
  socket.addEventListener('close', ({ code, reason, wasClean }) =>
    tell(number, 'closed', code, hex(reason), wasClean ? 'clean' : 'unclean'),
  )
}

function connect(number: string, url: string, protocols: string[], deflate: boolean): void {
  if (!isBun) {
    const socket = new WebSocket(url, protocols)
    watch(number, socket, () => ends.get(number)?.resolve(socket))
    return
  }
  const options = { protocols, perMessageDeflate: deflate, tls: { ca: identity.cert } }
  const socket = new WebSocket(url, options) as BunClient
  socket.addEventListener('pong', ({ data }) => tell(number, 'pong', hex(data)))
  watch(number, socket, () => ends.get(number)?.resolve(socket))
}

function listen(number: string, transport: string, protocols: string[], deflate: boolean): () => unknown {
  const secure = transport === 'TLS'
  const hostname = '127.0.0.1'
  const scheme = secure ? 'wss' : 'ws'
  const choose = (request: Request): string | undefined => {
    const offered = request.headers.get('sec-websocket-protocol')?.split(/, */) ?? []
    return protocols.find((each) => offered.includes(each))
  }
  if (!isBun) {
    const onListen = ({ port }: { port: number }): void =>
      tell(number, 'listening', `${scheme}://${hostname}:${port}/`)
    const server = Deno.serve({ hostname, port: 0, onListen, ...(secure ? identity : {}) }, (request) => {
      const protocol = choose(request)
      const { socket, response } = Deno.upgradeWebSocket(request, protocol === undefined ? {} : { protocol })
      // On a server its WebSocket does not know the protocol.
      watch(number, socket, () => ends.get(number)?.resolve(socket), protocol)
      return response
    })
    return () => server.shutdown()
  }
  let protocol: string | undefined
  const server = Bun.serve({
    hostname,
    port: 0,
    ...(secure ? { tls: identity } : {}),
    fetch(request, server) {
      protocol = choose(request)
      const headers: Record<string, string> = {}
      if (protocol !== undefined) headers['Sec-WebSocket-Protocol'] = protocol
      server.upgrade(request, { headers })
      return undefined
    },
    websocket: {
      perMessageDeflate: deflate,
      maxPayloadLength: 2 ** 24,
      idleTimeout: 0,
      open(socket) {
        tell(number, 'open', protocol ?? '-')
        ends.get(number)?.resolve({
          send: (data) => socket.send(data, deflate),
          close: (code, reason) => socket.close(code, reason),
          ping: (payload) => socket.ping(payload),
          terminate: () => socket.terminate(),
        })
      },
      message: (_socket, data) => message(number, data),
      pong: (_socket, data) => tell(number, 'pong', hex(data)),
      close: (_socket, code, reason) =>
        tell(number, 'closed', code, hex(reason), code === 1006 ? 'unclean' : 'clean'),
    },
  })
  tell(number, 'listening', `${scheme}://${hostname}:${server.port}/`)
  return () => server.stop()
}

function perform(end: End, verb: string, [first = '-', second = '-']: string[]): void {
  if (verb === 'text') end.send(bytes(first).toString())
  else if (verb === 'binary') end.send(bytes(first))
  else if (verb === 'ping') end.ping?.(bytes(first))
  else if (verb === 'terminate') end.terminate?.()
  else if (verb === 'close' && first === '-') end.close()
  else if (verb === 'close') end.close(Number(first), bytes(second).toString())
}

async function take(line: string): Promise<void> {
  const [number = '', verb = '', ...words] = line.split(' ')
  const [first = '', second = '-', third = '-'] = words
  const terms = [second === '-' ? [] : second.split(','), third === 'deflate'] as const
  try {
    if (verb === 'connect' || verb === 'listen') {
      const entry = new Entry()
      ends.set(number, entry)
      if (verb === 'connect') connect(number, first, ...terms)
      else entry.stop = listen(number, first, ...terms)
      return
    }
    const entry = ends.get(number)
    if (entry === undefined) return
    if (verb === 'end') await entry.stop()
    else perform(await entry.end, verb, words)
  } catch (error) {
    tell(number, 'failed', verb, String(error))
  }
}

tell('0', 'peer', isBun ? 'Bun' : 'Deno', isBun ? Bun.version : Deno.version.deno)
createInterface({ input: process.stdin })
  .on('line', (line) => void take(line))
  .on('close', () => process.exit())
