/** The private package of this folder, which holds what farewell is compared with. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage, Server } from 'node:http'
import { createRequire } from 'node:module'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'

/** The folder as it is in the repository; this code runs in .build/bench/. */
export const benchFolder = fileURLToPath(new URL('../../bench/', import.meta.url))

/** The packages that are needed everywhere. The runtimes are optional. */
const names = ['bufferutil', 'faye-websocket', 'undici', 'websocket', 'ws'] as const

const require = createRequire(`${benchFolder}package.json`)

/** Installs the package's dependencies if they are not there. None of their install scripts is needed. */
export function installPackages(): void {
  if (names.every((name) => existsSync(`${benchFolder}node_modules/${name}`))) return
  console.error('Installing what to compare with …')
  const windows = process.platform === 'win32'
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts'], {
    cwd: benchFolder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: windows,
  })
  if (status !== 0) throw new Error('npm ci failed')
}

/** As much of `ws` as is used here. */
export interface Ws {
  readonly WebSocketServer: new (options: {
    host: string
    port: number
    perMessageDeflate: boolean | WsDeflate
    maxPayload: number
  }) => {
    readonly clients: ReadonlySet<WsSocket>
    on(event: 'connection', listener: (socket: WsSocket) => void): void
    on(event: 'listening', listener: () => void): void
    address(): unknown
  }
  readonly WebSocket: new (
    url: string,
    options: { perMessageDeflate: boolean; maxPayload: number },
  ) => WsSocket
  readonly Receiver: new (options: { isServer: boolean }) => {
    on(event: 'message', listener: () => void): void
    write(chunk: Buffer): boolean
  }
}

export interface WsDeflate {
  readonly threshold: number
  readonly zlibDeflateOptions: { readonly level: number }
  readonly serverNoContextTakeover: boolean
  readonly clientNoContextTakeover: boolean
}

export interface WsSocket {
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): void
  on(event: 'error' | 'close', listener: () => void): void
  send(data: Buffer | string): void
  close(): void
}

/** The native add-on that `ws` uses where it is installed. */
export interface Bufferutil {
  unmask(buffer: Buffer, mask: Buffer): void
}

/** As much of `websocket` as is used here. */
export interface Websocket {
  readonly server: new (options: {
    httpServer: Server
    autoAcceptConnections: boolean
    maxReceivedFrameSize: number
    maxReceivedMessageSize: number
    fragmentOutgoingMessages: boolean
  }) => {
    on(event: 'connect', listener: (connection: WebsocketConnection) => void): void
    broadcast(data: Buffer | string): void
  }
}

export type WebsocketMessage =
  | { readonly type: 'utf8'; readonly utf8Data: string }
  | { readonly type: 'binary'; readonly binaryData: Buffer }

export interface WebsocketConnection {
  on(event: 'message', listener: (message: WebsocketMessage) => void): void
  on(event: 'close', listener: () => void): void
  send(data: Buffer | string): void
  close(): void
}

/** As much of `faye-websocket` as is used here. */
export type Faye = new (
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocols: readonly string[],
  options: { maxLength: number },
) => FayeSocket

export interface FayeSocket {
  on(event: 'message', listener: (event: { data: Buffer | string }) => void): void
  on(event: 'error' | 'close', listener: () => void): void
  send(data: Buffer | string): void
  close(): void
}

/** As much of the interface of browsers as is used here. */
export interface WhatwgSocket {
  binaryType: string
  addEventListener(type: 'message' | 'error' | 'close', listener: () => void): void
  send(data: Buffer): void
  close(): void
}

/** `ws`; it looks for the add-on when it is loaded. */
export function loadWs(addon: boolean): Ws {
  process.env['WS_NO_BUFFER_UTIL'] = addon ? '' : '1'
  return require('ws')
}

/** The add-on, or undefined where there is none for this machine. */
export function loadBufferutil(): Bufferutil | undefined {
  const bufferutil: Bufferutil = require('bufferutil')
  return bufferutil === require('bufferutil/fallback') ? undefined : bufferutil
}

export function loadWebsocket(): Websocket {
  return require('websocket')
}

export function loadFaye(): Faye {
  return require('faye-websocket')
}

export function loadUndici(): { WebSocket: new (url: string) => WhatwgSocket } {
  return require('undici')
}

/** What runs a contestant other than the Node that runs the benchmark. */
export type Runtime = 'bun' | 'deno' | 'node'

/** Where the packages for one kind of machine have the program: folders that begin like this, the path in them. */
const runtimePaths: Readonly<Record<Runtime, readonly [scope: string, prefix: string, path: string]>> = {
  bun: ['@oven/', 'bun-', 'bin/bun'],
  deno: ['@deno/', '', 'deno'],
  node: ['', `node-${process.platform}-`, 'bin/node'],
}

/** Each of them has many packages, and npm installs those that may run here. */
const runtimes = new Map<Runtime, { program: string; version: string } | undefined>()

function findRuntime(runtime: Runtime): { program: string; version: string } | undefined {
  const [scope, prefix, path] = runtimePaths[runtime]
  const folder = `${benchFolder}node_modules/${scope}`
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (!name.startsWith(prefix)) continue
    const program = `${folder}${name}/${path}${process.platform === 'win32' ? '.exe' : ''}`
    const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
    const version = /\d+\.\d+\.\d+/.exec(stdout ?? '')?.[0]
    if (status === 0 && version !== undefined) return { program, version }
  }
  return undefined
}

function runtimeOf(runtime: Runtime): { program: string; version: string } | undefined {
  if (!runtimes.has(runtime)) runtimes.set(runtime, findRuntime(runtime))
  return runtimes.get(runtime)
}

/** The program, undefined where there is none for this machine. */
export function runtimeProgram(runtime: Runtime): string | undefined {
  return runtimeOf(runtime)?.program
}

/** Of everything that is compared with. */
export function versions(): Readonly<Record<string, string>> {
  const absent = 'not for this machine'
  return {
    ...Object.fromEntries(names.map((name) => [name, versionOf(name)])),
    bufferutil: loadBufferutil() === undefined ? absent : versionOf('bufferutil'),
    Bun: runtimeOf('bun')?.version ?? absent,
    Deno: runtimeOf('deno')?.version ?? absent,
    'Node as a client': runtimeOf('node')?.version ?? absent,
  }
}

function versionOf(name: (typeof names)[number]): string {
  const { version }: { version: string } = JSON.parse(
    readFileSync(`${benchFolder}node_modules/${name}/package.json`, 'utf8'),
  )
  return version
}
