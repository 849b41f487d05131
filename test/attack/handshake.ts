/** Rows H: what a client may say before it is one. */
import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Opcode } from '../../frames/opcode.ts'
import { parseExtensions, parseTokens } from '../../lib/header-list.ts'
import { sampleKey, upgradeRequest } from '../help/raw-http.ts'
import { dial, frame } from './attacker.ts'
import { fit } from './fit.ts'
import type { Ledger } from './ledger.ts'
import { prove, type Row } from './row.ts'
import { besiege, growth, settled } from './siege.ts'
import type { Target, TargetOptions } from './target.ts'

/** What is sent, and the status that must come. */
type Case = readonly [name: string, request: string | Buffer, status: number]

/** All that the server says until it ends TCP, or its 101. */
async function answerTo(target: Target, request: string | Buffer): Promise<{ text: string; ended: boolean }> {
  const socket = await dial(target.port)
  let text = ''
  let ended = false
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.startsWith('HTTP/1.1 101') && text.includes('\r\n\r\n')) socket.destroy()
    })
    socket.on('end', () => (ended = true))
    socket.on('close', () => resolve())
    socket.write(request)
  })
  return { text, ended }
}

/** What is wrong with the answer. */
function faultOf({ text, ended }: { text: string; ended: boolean }, status: number): string | undefined {
  if (!text.startsWith(`HTTP/1.1 ${status} `)) return text.slice(0, 40)
  if (status === 101) return undefined
  if (!/^connection: .*close/im.test(text)) return 'it does not say that it closes'
  if (!ended) return 'TCP is not ended'
  if ((text.match(/^HTTP\/1\.\d \d/gm)?.length ?? 0) > 1) return 'there is a second answer'
  if (status === 426 && !/^sec-websocket-version: 13\r$/im.test(text)) return 'no version is named'
  return undefined
}

/** Processor time of one such request, in ms. */
async function cost(target: Target, request: string | Buffer, times: number): Promise<number> {
  const cpu = target.cpu
  for (let each = 0; each < times; each++) await answerTo(target, request)
  return (target.cpu - cpu) / times
}

/** Each case gets its status, and takes no longer than `bound`. */
async function judge(
  ledger: Ledger,
  bound: number,
  cases: readonly Case[],
  options: TargetOptions = {},
): Promise<void> {
  await besiege(ledger, 'requests', options, async (target) => {
    const before = await target.report()
    const wrong: string[] = []
    for (const [name, request, status] of cases) {
      const fault = faultOf(await answerTo(target, request), status)
      if (fault !== undefined) wrong.push(`${name}: ${fault}`)
    }
    ledger.must(`${cases.length} cases have their answer ${wrong.join('; ')}`, wrong.length === 0)
    const { messages } = await target.report()
    ledger.must('no message comes of it', messages === before.messages)
    if (ledger.quick) return
    const costs: [ms: number, name: string][] = []
    for (const [name, request] of cases) costs.push([await cost(target, request, 100), name])
    const [most, name] = costs.toSorted(([one], [other]) => other - one)[0] ?? [0, '']
    ledger.note(`the longest of them, of 100 each: ${name}`, most, bound, 'ms CPU')
  })
}

/** A request that differs from a good one in these lines. */
function lines(...lines: string[]): string {
  return upgradeRequest({ lines })
}

/** A request with those lines in place of the good ones of that name. */
function instead(...lines: string[]): string {
  const [name = ''] = lines[0]?.split(':') ?? []
  return upgradeRequest({ without: [name], lines })
}

function dialAll(target: Target, count: number): Promise<Socket[]> {
  return Promise.all(Array.from({ length: count }, () => dial(target.port)))
}

/** Memory of each of so many, in KB, when as many have come and gone before. */
async function holds(
  target: Target,
  count: number,
  enter: () => Promise<Socket[]>,
): Promise<{ used: number; held: number }> {
  const visit = async (): Promise<Socket[]> => {
    const sockets = await enter()
    // One that came later is served.
    await answerTo(target, upgradeRequest())
    return sockets
  }
  const leave = (sockets: readonly Socket[]): void => {
    for (const socket of sockets) socket.destroy()
  }
  leave(await visit())
  await settled(target)
  let sockets: Socket[] = []
  const { used, held } = await growth(target, async () => {
    sockets = await visit()
  })
  leave(sockets)
  return { used: (used * 1000) / count, held: (held * 1000) / count }
}

async function silence(ledger: Ledger): Promise<void> {
  await prove(ledger, 'lib/server', /H1/)
  await prove(ledger, 'lib/server-refused', /H1/)
  await besiege(ledger, 'by the clock', {}, async (target) => {
    const count = 500
    const each = await holds(target, count, async () => {
      const sockets = await dialAll(target, count)
      for (const socket of sockets) socket.write('G')
      return sockets
    })
    ledger.note(`the first byte of a request: heap and buffers of each of ${count}`, each.used, 4, 'KB')
    ledger.note('… resident memory of each', each.held, 16, 'KB')

    const began = performance.now()
    const answers = await Promise.all(
      ['', 'a header byte a second'].map(async (drip) => {
        const socket = await dial(target.port)
        if (drip !== '') socket.write('GET / HTTP/1.1\r\nX: ')
        const timer = drip === '' ? undefined : setInterval(() => void socket.write('a'), 1000)
        let answer = ''
        socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
        await new Promise((resolve) => void socket.on('close', resolve))
        clearInterval(timer)
        return answer.slice(9, 12)
      }),
    )
    ledger.note('nothing, or a header byte a second, to the end', (performance.now() - began) / 1000, 11, 's')
    ledger.must(
      `… answered by ${answers.join(', ')}`,
      answers.every((answer) => answer === '408' || answer === ''),
    )
  })
}

const notAnUpgrade: readonly Case[] = [
  ['POST', upgradeRequest({ method: 'POST' }), 405],
  ['DELETE', upgradeRequest({ method: 'DELETE' }), 405],
  ['HTTP/1.0', upgradeRequest({ version: 'HTTP/1.0' }), 400],
  ['no Host', upgradeRequest({ without: ['host'] }), 400],
  ['no upgrade', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 426],
  ['a good one', upgradeRequest(), 101],
]

const keyOf = (bytes: number): string => Buffer.alloc(bytes, 1).toString('base64')

const badVersionsAndKeys: readonly Case[] = [
  ...['0', '7', '8', '14'].map((version): Case => [
    `version ${version}`,
    instead(`Sec-WebSocket-Version: ${version}`),
    426,
  ]),
  ['version 13, 8', instead('Sec-WebSocket-Version: 13, 8'), 400],
  ['no version', upgradeRequest({ without: ['sec-websocket-version'] }), 400],
  ...[keyOf(15), keyOf(17), '', '!', sampleKey.slice(0, -1), `${sampleKey.slice(0, -3)}*==`].map(
    (key): Case => [`key "${key}"`, instead(`Sec-WebSocket-Key: ${key}`), 400],
  ),
  ['no key', upgradeRequest({ without: ['sec-websocket-key'] }), 400],
]

/** Writes a byte at a time, until all is written or the server has had enough. */
async function drip(socket: Socket, bytes: string): Promise<void> {
  for (const byte of bytes) {
    if (socket.destroyed || !socket.writable) return
    await new Promise((resolve) => socket.write(byte, resolve))
  }
}

async function longHeads(ledger: Ledger): Promise<void> {
  await prove(ledger, 'lib/server', [/P13/, /H4|header-too-large/])
  const heads = {
    'a header of 17 KiB': lines(`X: ${'a'.repeat(17 * 1024)}`),
    'a target of 100 KiB': upgradeRequest({ target: `/${'a'.repeat(100 * 1024)}` }),
  }
  await besiege(ledger, 'a byte at a time', {}, async (target) => {
    for (const [name, head] of Object.entries(heads)) {
      const strike = async (): Promise<string> => {
        const socket = await dial(target.port)
        let answer = ''
        socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
        const closed = new Promise((resolve) => void socket.on('close', resolve))
        await drip(socket, head)
        await closed
        return answer.slice(9, 12)
      }
      for (let warm = 0; warm < 5; warm++) await strike()
      const cpu = target.cpu
      const rounds = 5
      const answers = new Set<string>()
      for (let round = 0; round < rounds; round++) answers.add(await strike())
      ledger.note(`${name}, byte by byte`, (target.cpu - cpu) / rounds, 50, 'ms CPU')
      ledger.must(
        `… answered by ${[...answers].join(', ')}`,
        [...answers].every((answer) => answer === '431'),
      )
    }
    const count = 50
    const { held } = await holds(target, count, async () => {
      const sockets = await dialAll(target, count)
      for (let kibibyte = 0; kibibyte < 15; kibibyte++) {
        for (const socket of sockets)
          socket.write(kibibyte === 0 ? 'GET / HTTP/1.1\r\nX: ' : 'a'.repeat(1024))
        await answerTo(target, upgradeRequest())
      }
      return sockets
    })
    ledger.note('14 KiB of a header that does not end: memory of each of 50', held, 64, 'KB')
  })
}

async function manyHeaders(ledger: Ledger): Promise<void> {
  await prove(ledger, 'lib/server', /H5/)
  const junk = 'A: b\r\n'.repeat(2100)
  const good = upgradeRequest()
  await besiege(ledger, '2,100 headers', {}, async (target) => {
    for (const [name, request] of [
      ['before', good.replace('\r\n', `\r\n${junk}`)],
      ['behind', good.replace('\r\n\r\n', `\r\n${junk}\r\n`)],
    ] as const) {
      const { text } = await answerTo(target, request)
      ledger.must(`${name} the others: ${text.slice(9, 12)}`, /^HTTP\/1\.1 (101|400|431) /.test(text))
      if (!ledger.quick) ledger.note('… each', await cost(target, request, 100), 20, 'ms CPU')
    }
  })
}

const smuggled = Buffer.concat([Buffer.from(upgradeRequest()), frame(Opcode.text, 'a frame')])
const chunked = `${smuggled.length.toString(16)}\r\n${smuggled.toString('latin1')}\r\n0\r\n\r\n`

/** With a body that is a good request and a frame. */
const bodies: readonly Case[] = [
  ['Content-Length', withBody([`Content-Length: ${smuggled.length}`], smuggled.toString('latin1')), 400],
  ['chunked', withBody(['Transfer-Encoding: chunked'], chunked), 400],
  ['both', withBody([`Content-Length: ${smuggled.length}`, 'Transfer-Encoding: chunked'], chunked), 400],
  ['both, the other way', withBody(['Transfer-Encoding: chunked', 'Content-Length: 5'], chunked), 400],
  ['two lengths', withBody(['Content-Length: 0', 'Content-Length: 5'], smuggled.toString('latin1')), 400],
]

function withBody(lines: string[], body: string): Buffer {
  return Buffer.from(upgradeRequest({ lines }) + body, 'latin1')
}

/** What could make a parser go back and forth; of a size in KiB, in one of those two headers. */
const hostile = [',', 'a,', 'a;', 'a;b,', '"', '\\', '"\\c', 'a; b="\\c\\c",', ';="', 'permessage-deflate,']
const listHeaders = ['Sec-WebSocket-Protocol', 'Sec-WebSocket-Extensions'] as const

function hostileList(name: string, pattern: string, kibibytes: number): string {
  return lines(`${name}: ${pattern.repeat(Math.floor((kibibytes * 1024) / pattern.length))}`)
}

async function hostileLists(ledger: Ledger): Promise<void> {
  await prove(ledger, 'lib/server', /H7/)
  await prove(ledger, 'lib/header-list', /H7/)
  const spaces = (kibibytes: number): string => `a${' '.repeat(kibibytes * 1024)}b`
  const kinds = listHeaders.flatMap((name) => [
    ...hostile.map((pattern) => (kibibytes: number) => hostileList(name, pattern, kibibytes)),
    (kibibytes: number) => lines(`${name}: ${spaces(kibibytes)}`),
  ])
  await besiege(ledger, 'lists', { compression: true }, async (target) => {
    const statuses = new Set<string>()
    const costs: number[] = []
    // Of a whole head Node takes 16 KiB.
    for (const kind of kinds) {
      statuses.add((await answerTo(target, kind(15))).text.slice(9, 12))
      costs.push(await cost(target, kind(15), 100))
    }
    ledger.must(
      `answered by ${[...statuses].join(', ')}`,
      [...statuses].every((status) => status === '400' || status === '101'),
    )
    ledger.note('the longest of them at 15 KiB, of 100 each', Math.max(...costs), 5, 'ms CPU')
  })
  // In a whole request the lists have the smallest part: how their time grows is seen where nothing else is done.
  for (const [name, parse] of [
    ['subprotocols', parseTokens],
    ['extensions', parseExtensions],
  ] as const) {
    const { slope, r2 } = growthOf((kibibytes) => {
      for (const pattern of [...hostile, ' ']) parse(pattern.repeat((kibibytes * 1024) / pattern.length))
    })
    ledger.must(
      `${name} of 1 to 16 KiB: ${(slope * 1000).toFixed(1)} µs CPU for each KiB, r² ${r2.toFixed(4)}`,
      r2 > 0.99,
    )
  }
}

/** How the processor time of that, in ms, grows with the size: the best of five rounds for each size. */
function growthOf(act: (kibibytes: number) => void): ReturnType<typeof fit> {
  const best = new Map<number, number>()
  for (let round = 0; round < 6; round++)
    for (const size of [1, 2, 4, 6, 8, 10, 12, 14, 16]) {
      const before = process.cpuUsage()
      for (let each = 0; each < 20; each++) act(size)
      const { user, system } = process.cpuUsage(before)
      const ms = (user + system) / 20 / 1000
      // The first round is for the compiler.
      if (round > 0) best.set(size, Math.min(ms, best.get(size) ?? Infinity))
    }
  return fit([...best])
}

const repeated: readonly Case[] = [
  ['two keys', lines(`Sec-WebSocket-Key: ${sampleKey}`), 400],
  ['two versions', lines('Sec-WebSocket-Version: 13'), 400],
  ['two Hosts', lines('Host: 127.0.0.1'), 400],
  ['two other Hosts', lines('Host: evil'), 400],
  ['two Origins', lines('Origin: http://127.0.0.1', 'Origin: http://evil'), 400],
  ['a list in Upgrade', instead('Upgrade: h2c, websocket'), 101],
  ['two Upgrades', instead('Upgrade: h2c', 'Upgrade: websocket'), 101],
  ['the same Upgrade twice', lines('Upgrade: websocket'), 101],
  ['a list in Connection', instead('Connection: keep-alive, Upgrade'), 101],
  ['two Connections', instead('Connection: keep-alive', 'Connection: Upgrade'), 101],
  ['none of it', instead('Upgrade: h2c, websockets'), 426],
]

const allowed = ['https://good', 'https://good.example:8443', 'https://xn--bcher-kva.example']
const origins: readonly Case[] = [
  ['absent', upgradeRequest(), 101],
  ...allowed.map((origin): Case => [origin, lines(`Origin: ${origin}`), 101]),
  ...[
    'null',
    '',
    'https://evil',
    'https://good.evil',
    'https://good.example',
    'https://good.example:8443.evil',
    'https://evil/https://good',
    'https://evil#https://good',
    'https://good@evil',
    'xhttps://good',
    'https://good/',
    'https://goo',
    'HTTPS://GOOD',
    'http://good',
    'https://good:443',
    'https://good:1',
    'https://good, https://good',
    'https://good https://evil',
    'https://b\xfccher.example',
    'https://b\xc3\xbccher.example',
    'https://xn--bcher-kva.example.evil',
    'https://XN--BCHER-KVA.example',
  ].map((origin): Case => [origin, Buffer.from(lines(`Origin: ${origin}`), 'latin1'), 403]),
]

const cookies: readonly Case[] = [
  ['15.7 KiB of Cookie', lines(`Cookie: ${'c'.repeat(15.7 * 1024)}`), 101],
  ['1,000 cookies', lines(`Cookie: ${Array.from({ length: 1000 }, (_, at) => `c${at}=v`).join('; ')}`), 101],
]

async function early(ledger: Ledger): Promise<void> {
  await prove(ledger, 'lib/server', /H14|early-frames/)
  const count = 50
  const frames = Buffer.concat(Array.from({ length: 1024 }, () => frame(Opcode.text, 'a'.repeat(1016))))
  const bytes = Buffer.concat([Buffer.from(upgradeRequest({ target: '/wait' })), frames])
  await besiege(ledger, 'verify does not decide', { manner: 'undecided' }, async (target) => {
    const each = await holds(target, count, async () => {
      const { requests } = await target.report()
      const sockets = await dialAll(target, count)
      for (const socket of sockets) socket.write(bytes)
      while ((await target.report()).requests < requests + count) await sleep(10)
      // Nothing tells that it reads no more.
      await sleep(500)
      return sockets
    })
    // Two chunks of 64 KiB, that of the request and what a socket reads ahead, beside what a connection takes.
    ledger.note(`1 MiB behind the request: memory of each of ${count}`, each.held, 131 + 16, 'KB')
  })
}

export const handshakeRows: readonly Row[] = [
  { id: 'H1', attack: 'silence, or a header byte a second', run: silence },
  {
    id: 'H2',
    attack: 'another method, HTTP/1.0, an unknown path, no Host',
    cheap: true,
    async run(ledger) {
      await judge(ledger, 5, notAnUpgrade)
      if (!ledger.quick) await prove(ledger, 'lib/server', /what a refusal says/) // The path.
    },
  },
  {
    id: 'H3',
    attack: 'versions that are not 13, keys that are none',
    cheap: true,
    run: (ledger) => judge(ledger, 5, badVersionsAndKeys),
  },
  { id: 'H4', attack: '17 KiB of header and 100 KiB of target, a byte at a time', run: longHeads },
  { id: 'H5', attack: '2,100 headers', run: manyHeaders },
  {
    id: 'H6',
    attack: 'a body that is a request and a frame',
    cheap: true,
    run: (ledger) => judge(ledger, 5, bodies),
  },
  { id: 'H7', attack: 'hostile lists of 1 to 15 KiB in Protocol and Extensions', run: hostileLists },
  {
    id: 'H8',
    attack: 'names of Object.prototype as extension, parameter, subprotocol and header',
    async run(ledger) {
      await prove(ledger, 'lib/server', /H8/)
      for (const file of ['lib/handshake', 'lib/header-list'])
        await prove(ledger, file, /H8|no-prototype-keys/)
      await prove(ledger, 'lib/deflate/parameters', /./)
    },
  },
  {
    id: 'H9',
    attack: 'headers that come twice, lists in Upgrade and Connection',
    cheap: true,
    run: (ledger) => judge(ledger, 5, repeated),
  },
  {
    id: 'H10',
    attack: 'origins that are nearly those that may connect',
    cheap: true,
    async run(ledger) {
      await judge(ledger, 5, origins, { origins: allowed })
      if (!ledger.quick) await prove(ledger, 'lib/admission', /H10/)
    },
  },
  {
    id: 'H11',
    attack: 'a callback answers with line breaks, NUL, or what was not offered',
    async run(ledger) {
      await prove(ledger, 'lib/server', /H11/)
      await prove(ledger, 'lib/admission', /the subprotocol is one of those offered/)
      await prove(ledger, 'lib/refusal', /no-crlf-nul/)
      await prove(ledger, 'lib/header-list', /checkHeaders/)
    },
  },
  {
    id: 'H12',
    attack: 'verify never settles, rejects, or throws',
    async run(ledger) {
      for (const file of ['lib/server', 'lib/server-refused', 'lib/admission'])
        await prove(ledger, file, /H12/)
      await prove(ledger, 'lib/server-handlers', /^verify/)
      await prove(ledger, 'examples/programs', /H12/)
    },
  },
  {
    id: 'H13',
    attack: '15.7 KiB of cookies',
    cheap: true,
    async run(ledger) {
      await judge(ledger, 2, cookies)
      if (!ledger.quick) await prove(ledger, 'lib/handshake', /H13/)
    },
  },
  { id: 'H14', attack: '1 MiB of frames in the segment of the request', run: early },
]
