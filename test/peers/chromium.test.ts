/** Chromium. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer } from 'node:http'
import t from 'tap'
import { Browser, findChromium, type Tab } from '../browser/chromium.ts'
import { portOf } from '../help/serve.ts'
import { absent } from './absent.ts'
import { makeCertificate } from './listening.ts'
import type { Peer, PeerClient, PeerRecord } from './peer.ts'
import { everyWay } from './ways.ts'

/** What the page has: sockets by number, each with the messages that nobody has asked for, in base64 if binary. */
const page = `<!doctype html><script>
  const ends = []
  function open(url, protocols) {
    const socket = new WebSocket(url, protocols)
    socket.binaryType = 'arraybuffer'
    const messages = []
    const waiting = []
    const end = { socket }
    end.receive = () => new Promise((resolve) => {
      if (messages.length > 0) resolve(messages.shift())
      else waiting.push(resolve)
    })
    socket.onmessage = ({ data }) => {
      const message = typeof data === 'string' ? { text: data } : { binary: encode(new Uint8Array(data)) }
      if (waiting.length > 0) waiting.shift()(message)
      else messages.push(message)
    }
    end.closed = new Promise((resolve) => {
      socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean })
    })
    ends.push(end)
    return new Promise((resolve, reject) => {
      socket.onopen = () => resolve({ number: ends.length - 1, protocol: socket.protocol })
      end.closed.then(({ code }) => reject(new Error('could not connect: ' + code)))
    })
  }
  function encode(bytes) {
    let text = ''
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192))
    return btoa(text)
  }
  function decode(text) {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  }
</script>`

class ChromiumPeer implements Peer {
  readonly protocol: string
  readonly closed: Promise<PeerRecord>
  readonly can = {}
  readonly #tab: Tab
  readonly #end: string

  constructor(tab: Tab, { number, protocol }: { number: number; protocol: string }) {
    this.#tab = tab
    this.#end = `ends[${number}]`
    this.protocol = protocol
    this.closed = tab.evaluate(`${this.#end}.closed`) as Promise<PeerRecord>
  }

  send(data: string | Buffer): void {
    const argument = typeof data === 'string' ? JSON.stringify(data) : `decode('${data.toString('base64')}')`
    void this.#tab.evaluate(`${this.#end}.socket.send(${argument})`)
  }

  async receive(): Promise<string | Buffer> {
    const message = (await this.#tab.evaluate(`${this.#end}.receive()`)) as { text?: string; binary?: string }
    return message.text ?? Buffer.from(message.binary ?? '', 'base64')
  }

  close(code?: number, reason?: string): void {
    const given = code === undefined ? '' : `${code}, ${JSON.stringify(reason)}`
    void this.#tab.evaluate(`${this.#end}.socket.close(${given})`)
  }
}

const chromium = findChromium()
if (chromium === undefined) {
  absent(t, 'Chromium', 'apt-get install chromium, or name one in $CHROMIUM')
} else {
  const http = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(page)
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const origin = `http://127.0.0.1:${portOf(http)}`
  const browser = await Browser.launch(chromium, ['--ignore-certificate-errors'])
  const tab = await browser.open(`${origin}/`)
  t.teardown(async () => {
    await tab.close()
    await browser[Symbol.asyncDispose]()
    http.closeAllConnections()
    http.close()
  })
  const version = String(await tab.evaluate('navigator.userAgent')).match(/Chrome\/(\d+)/)?.[1] ?? 'unknown'
  const client: PeerClient = {
    name: 'Chromium',
    version,
    transports: ['TCP', 'TLS'],
    abilities: [],
    deflate: 'both ways',
    closesWithAnyCode: false,
    answer: (close) => close,
    origin,
    async open(url, { protocols }) {
      const opened = await tab.evaluate(`open(${JSON.stringify(url)}, ${JSON.stringify(protocols)})`)
      return new ChromiumPeer(tab, opened as { number: number; protocol: string })
    },
  }
  await everyWay(t, { client }, makeCertificate(t.testdir()))
}
