/**
 * A client for the console.
 *
 *     node client.js [ws://localhost:8080/] [--insecure]
 *
 * At a terminal every key is a message; Tab measures a round trip, Escape says goodbye. In a pipe every line
 * is a message, what arrives goes to stdout, and the end of the input says goodbye.
 */
import { createInterface, emitKeypressEvents, type Key } from 'node:readline'
import { parseArgs } from 'node:util'
import { type CloseInfo, connect, type Connection, describeClose, type Message } from '../lib/index.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { insecure: { type: 'boolean', default: false } },
})
const url = positionals[0] ?? 'ws://localhost:8080/'
const atTerminal = process.stdin.isTTY

/** Ends the program: the first time with a goodbye, the second time without. */
const quit = new AbortController()
let current: Connection | undefined
/** What a key means right now. A key belongs to the connection it was typed for: none is kept for the next. */
let onKey: (text: string, key: Key) => void = () => {}

const say = (line: string) => console.error(printable(line))

/** Talks until the connection is closed; resolves with how that went, or undefined if it never was open. */
async function talk(): Promise<CloseInfo | undefined> {
  say(`Connecting to ${url}`)
  try {
    // `--insecure` is for certificates that one has signed oneself.
    current = await connect(url, {
      signal: quit.signal,
      ...(values.insecure ? { tls: { rejectUnauthorized: false } } : {}),
    })
  } catch (error) {
    say(`Failed: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
  const connection = current
  narrate(connection)
  if (atTerminal) typeTo(connection)
  else void sendLines(connection)

  const info = await connection.closed
  current = undefined
  onKey = () => {}
  say(`Closed: ${describeClose(info)}`)
  return info
}

function narrate(connection: Connection): void {
  let weBegan = false
  connection.on('state', (state) => {
    if (state === 'close-sent') weBegan = true
    else if (state === 'close-done' && !weBegan) say('Acknowledging Close frame received from server')
    say(`state: ${state}`)
  })
  connection.on('message', (message) => {
    if (atTerminal) say(`Received: ${shown(message)}`)
    else console.log(shown(message))
  })
}

function typeTo(connection: Connection): void {
  say('Connected. Every key is sent; Tab measures a round trip, Escape closes')
  onKey = (text, key) => {
    if (key.name === 'escape') {
      say('Closing connection')
      void connection.close(1000, 'Closing')
    } else if (key.name === 'tab') {
      connection.ping().then(
        (time) => say(`Round trip: ${time.toFixed(1)} ms`),
        () => {},
      )
    } else if (text && connection.state === 'open') {
      connection.send(text)
      say(`Sent: ${text}`)
    }
  }
}

async function sendLines(connection: Connection): Promise<void> {
  const lines = createInterface({ input: process.stdin })
  void connection.closed.then(() => lines.close())
  for await (const line of lines) {
    if (!connection.send(line)) await connection.drained().catch(() => {})
  }
  await connection.close(1000, 'Closing')
}

const shown = (message: Message) =>
  typeof message === 'string' ? message : `${message.length} bytes: ${message.toString('hex')}`

/** What a server sends must not steer the terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

function leave(): void {
  if (quit.signal.aborted) current?.terminate()
  quit.abort()
  void current?.close(1000, 'Closing')
}

async function wantsAgain(): Promise<boolean> {
  say('Press R to reconnect, Q to quit')
  return new Promise((resolve) => {
    quit.signal.addEventListener('abort', () => resolve(false))
    onKey = (text) => {
      if (!/^[rq]$/i.test(text)) return
      onKey = () => {}
      resolve(text.toLowerCase() === 'r')
    }
  })
}

process.on('SIGINT', leave).on('SIGTERM', leave)
if (atTerminal) {
  emitKeypressEvents(process.stdin)
  process.stdin.setRawMode(true)
  process.stdin.on('keypress', (text: string | undefined, key: Key) => {
    if (key.ctrl && key.name === 'c') leave()
    else onKey(text ?? '', key)
  })
}

let info: CloseInfo | undefined
do info = await talk()
while (atTerminal && !quit.signal.aborted && (await wantsAgain()))

if (atTerminal) process.stdin.setRawMode(false)
process.stdin.pause()
process.exitCode = info?.wasClean ? 0 : 1
