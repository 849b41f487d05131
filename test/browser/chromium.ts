/** Drives headless Chromium over the DevTools protocol, which is JSON over a WebSocket: ours. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { connect, type Connection } from '../../lib/index.ts'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** The path of an installed Chromium: `$CHROMIUM`, or the first that `$PATH` has. */
export function findChromium(): string | undefined {
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
  return [process.env['CHROMIUM'], ...found].find(
    (file) => file !== undefined && file !== '' && isExecutable(file),
  )
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-port=0',
]

export class Browser implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #profile: string
  readonly #endpoint: URL

  private constructor(process: ChildProcess, profile: string, endpoint: URL) {
    this.#process = process
    this.#profile = profile
    this.#endpoint = endpoint
  }

  static async launch(file: string, more: readonly string[] = []): Promise<Browser> {
    const profile = await mkdtemp(join(tmpdir(), 'farewell-chromium-'))
    const process = spawn(file, [...flags, ...more, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    return new Browser(process, profile, await findEndpoint(process.stderr))
  }

  /** Opens a tab and resolves when it has loaded. */
  async open(url: string): Promise<Tab> {
    const answer = await fetch(`http://${this.#endpoint.host}/json/new?about:blank`, { method: 'PUT' })
    const address = field(await answer.json(), 'webSocketDebuggerUrl')
    if (typeof address !== 'string') throw new Error('Chromium opened no tab')
    const tab = new Tab(await connect(address))
    await tab.navigate(url)
    return tab
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#process, 'exit')
    this.#process.kill()
    await gone
    // Helper processes of the browser may still be writing their last.
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}

async function findEndpoint(stderr: Readable): Promise<URL> {
  const said: string[] = []
  for await (const line of createInterface({ input: stderr })) {
    said.push(line)
    const [, url] = /^DevTools listening on (ws:\S+)$/.exec(line) ?? []
    if (url !== undefined) {
      stderr.resume()
      return new URL(url)
    }
  }
  throw new Error(`Chromium did not start:\n${said.join('\n')}`)
}

export class Tab {
  readonly #connection: Connection
  readonly #calls = new Map<number, PromiseWithResolvers>()
  readonly #events = new Map<string, () => void>()
  /** Exceptions and errors that the page did not handle. */
  readonly faults: string[] = []
  #lastId = 0

  constructor(connection: Connection) {
    this.#connection = connection
    connection.on('message', (message) => this.#take(String(message)))
    connection.on('close', () => {
      for (const call of this.#calls.values()) call.reject(new Error('the browser has gone'))
    })
  }

  async navigate(url: string): Promise<void> {
    await this.#call('Page.enable', {})
    await this.#call('Runtime.enable', {})
    const loaded = new Promise<void>((resolve) => this.#events.set('Page.loadEventFired', resolve))
    await this.#call('Page.navigate', { url })
    await loaded
  }

  /** The value of an expression in the page; a promise is awaited. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.#call('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    const fault = field(answer, 'exceptionDetails')
    if (fault !== undefined) throw new Error(`${expression}: ${JSON.stringify(fault)}`)
    return field(field(answer, 'result'), 'value')
  }

  /** The value of an expression as soon as it is truthy, looked at again whenever the page changes. */
  async until(expression: string): Promise<unknown> {
    return this.evaluate(`new Promise((resolve) => {
      const observer = new MutationObserver(look)
      observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true })
      function look() {
        const value = ${expression}
        if (!value) return
        observer.disconnect()
        resolve(value)
      }
      look()
    })`)
  }

  async screenshot(): Promise<Buffer> {
    return Buffer.from(String(field(await this.#call('Page.captureScreenshot', {}), 'data')), 'base64')
  }

  async close(): Promise<void> {
    await this.#connection.close(1000)
  }

  #call(method: string, params: object): Promise<unknown> {
    const id = ++this.#lastId
    this.#connection.send(JSON.stringify({ id, method, params }))
    return new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }))
  }

  #take(text: string): void {
    const message: unknown = JSON.parse(text)
    const id = field(message, 'id')
    const method = field(message, 'method')
    if (typeof id === 'number') {
      const call = this.#calls.get(id)
      this.#calls.delete(id)
      const error = field(message, 'error')
      if (error === undefined) call?.resolve(field(message, 'result'))
      else call?.reject(new Error(JSON.stringify(error)))
    } else if (typeof method === 'string') {
      if (method === 'Runtime.exceptionThrown') this.faults.push(text)
      this.#events.get(method)?.()
    }
  }
}

interface PromiseWithResolvers {
  resolve(value: unknown): void
  reject(error: Error): void
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)).get(name) : undefined
}
