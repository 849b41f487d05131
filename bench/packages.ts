/** The private package of this folder, which holds what farewell is compared with. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** The folder as it is in the repository; this code runs in .build/bench/. */
export const benchFolder = fileURLToPath(new URL('../../bench/', import.meta.url))

/** The packages of the folder's package.json. */
const names = ['bufferutil', 'bun', 'ws'] as const

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
  }) => {
    on(event: 'connection', listener: (socket: WsSocket) => void): void
    on(event: 'listening', listener: () => void): void
    address(): unknown
  }
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
  on(event: 'error', listener: () => void): void
  send(data: Buffer | string): void
}

/** The native add-on that `ws` uses where it is installed. */
export interface Bufferutil {
  unmask(buffer: Buffer, mask: Buffer): void
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

/** Bun itself, which is in a package for this kind of machine; undefined where there is none, or it does not run. */
export function bunProgram(): string | undefined {
  const folder = `${benchFolder}node_modules/@oven/`
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const program = `${folder}${name}/bin/${process.platform === 'win32' ? 'bun.exe' : 'bun'}`
    if (spawnSync(program, ['--version']).status === 0) return program
  }
  return undefined
}

export function versionOf(name: (typeof names)[number]): string {
  const { version }: { version: string } = JSON.parse(
    readFileSync(`${benchFolder}node_modules/${name}/package.json`, 'utf8'),
  )
  return version
}
