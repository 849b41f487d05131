/** Peers in a process of their own, in whichever language: `programs/` has them, README.md what they are told. */
import { Buffer } from 'node:buffer'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { EventEmitter, on, once } from 'node:events'
import process from 'node:process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Test } from 'tap'
import type { Implementation, Peer, PeerClient, PeerRecord, PeerServer, Terms } from './peer.ts'

/** What is started; the paths of `key.pem` and `cert.pem` come behind its own arguments. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Record<string, string>
}

/** What is to be known of the implementation; its name and version it tells itself. */
export type Kind = Omit<Implementation, 'name' | 'version'>

export class Program {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #ends = new Map<number, EventEmitter>()
  #lastNumber = 0
  /** Once it has ended. */
  #gone: Error | undefined
  #name = ''
  #version = ''

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#process = child
    createInterface({ input: child.stdout }).on('line', (line) => this.#take(line))
    child.on('exit', (code, signal) => {
      this.#gone = new Error(`the peer's process has ended: ${signal ?? code}`)
      for (const end of this.#ends.values()) end.emit('error', this.#gone)
    })
  }

  /** Starts it, until the end of the test. */
  static async start(t: Test, { program, args, env = {} }: Command, folder: string): Promise<Program> {
    const child = spawn(program, [...args, `${folder}/key.pem`, `${folder}/cert.pem`], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    })
    const exited = once(child, 'exit')
    t.teardown(() => {
      child.kill('SIGKILL')
      return exited
    })
    const started = new Program(child)
    const [name, version] = await once(started.#end(0), 'peer')
    started.#name = name
    started.#version = version
    return started
  }

  client(kind: Kind): PeerClient {
    return {
      ...kind,
      name: this.#name,
      version: this.#version,
      open: (url, terms) => {
        const number = ++this.#lastNumber
        const peer = this.#peer(number)
        this.#tell(number, 'connect', url, ...words(terms))
        return peer
      },
    }
  }

  server(kind: Kind): PeerServer {
    return {
      ...kind,
      name: this.#name,
      version: this.#version,
      listen: async (transport, terms) => {
        const number = ++this.#lastNumber
        const peer = this.#peer(number)
        const listening = once(this.#end(number), 'listening')
        this.#tell(number, 'listen', transport, ...words(terms))
        const [url]: string[] = await listening
        return { url: url ?? '', peer, close: async () => this.#tell(number, 'end') }
      },
    }
  }

  /** Resolves when it is open. */
  async #peer(number: number): Promise<Peer> {
    const end = this.#end(number)
    const tell = (verb: string, ...args: string[]): void => this.#tell(number, verb, ...args)
    const messages = on(end, 'message')
    const closed = once(end, 'closed').then(([record]: PeerRecord[]) => record ?? neverTold())
    closed.catch(() => {}) // Whoever waits for it is told.
    const [protocol] = await Promise.race([once(end, 'open'), closed.then(neverOpened)])
    return {
      protocol,
      closed,
      send: (data) => tell(kindOf(data), hex(data)),
      async receive() {
        const { value } = await messages.next()
        const [message]: (string | Buffer)[] = value
        return message ?? neverTold()
      },
      close: (code, reason = '') => tell('close', code === undefined ? '-' : String(code), hex(reason)),
      can: {
        async ping(payload) {
          const pong = once(end, 'pong')
          tell('ping', hex(payload))
          const [answer]: Buffer[] = await pong
          return answer ?? neverTold()
        },
        fragment: (part, { binary, fin }) =>
          tell('fragment', binary ? 'binary' : 'text', fin ? 'last' : 'more', hex(part)),
        terminate: () => tell('terminate'),
      },
    }
  }

  #end(number: number): EventEmitter {
    const known = this.#ends.get(number)
    if (known !== undefined) return known
    const end = new EventEmitter().on('error', () => {}) // Nobody need wait for anything.
    this.#ends.set(number, end)
    return end
  }

  #tell(number: number, ...rest: string[]): void {
    if (this.#gone !== undefined) this.#end(number).emit('error', this.#gone)
    else this.#process.stdin.write(`${[number, ...rest].join(' ')}\n`)
  }

  #take(line: string): void {
    const [number, verb = '', ...args] = line.split(' ')
    const end = this.#end(Number(number))
    const [first = '', second = '', third = ''] = args
    if (verb === 'text') end.emit('message', bytes(first).toString())
    else if (verb === 'binary') end.emit('message', bytes(first))
    else if (verb === 'pong') end.emit('pong', bytes(first))
    else if (verb === 'open') end.emit('open', first === '-' ? '' : first)
    else if (verb === 'failed') end.emit('error', new Error(args.join(' ')))
    else if (verb === 'closed') {
      const wasClean = third === 'clean'
      end.emit('closed', { code: Number(first), reason: bytes(second).toString(), wasClean })
    } else end.emit(verb, ...args)
  }
}

function words({ protocols, deflate }: Terms): string[] {
  return [protocols.join() || '-', deflate ? 'deflate' : '-']
}

function kindOf(data: string | Buffer): string {
  return typeof data === 'string' ? 'text' : 'binary'
}

function hex(data: string | Buffer): string {
  return Buffer.from(data).toString('hex') || '-'
}

function bytes(word: string): Buffer {
  return Buffer.from(word === '-' ? '' : word, 'hex')
}

function neverOpened({ code }: PeerRecord): never {
  throw new Error(`the peer could not connect: ${code}`)
}

function neverTold(): never {
  throw new Error('the peer told less than it should have')
}
