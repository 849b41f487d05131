/** Rows C: what a server may answer, and what a client may be asked to send. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, type Data } from '../../lib/index.ts'
import { maskKeysFrom, systemRandom } from '../../lib/mask-keys.ts'
import { turns, until } from '../help/loop.ts'
import { memoryPair } from '../help/memory-pair.ts'
import { portOf } from '../help/serve.ts'
import { FrameRecord } from '../wire/raw-peer.ts'
import { type Ledger, percentile } from './ledger.ts'
import { prove, type Row } from './row.ts'
import { Visitor } from './visitor.ts'

const frameCount = 100_000

/** The keys of that many frames, read off the wire; all have the same payload. */
async function capturedKeys(count: number): Promise<Int32Array> {
  const payload = 'the same'
  const size = 6 + payload.length
  const [ours, theirs] = memoryPair()
  const chunks: Buffer[] = []
  let bytes = 0
  theirs.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
  })
  const connection = new Connection(ours, { role: 'client' })
  for (let sent = 0; sent < count; sent++) {
    connection.send(payload)
    if (connection.bufferedAmount > 64 * 1024) await until(() => connection.bufferedAmount === 0)
  }
  await until(() => bytes >= count * size)
  connection.terminate()
  const wire = Buffer.concat(chunks)
  return Int32Array.from({ length: count }, (_, at) => wire.readInt32BE(at * size + 2))
}

/** For each of the four bytes of a key how far its values are from being equally frequent. */
function chiSquares(keys: Int32Array): number[] {
  return [0, 8, 16, 24].map((shift) => {
    const counts = new Float64Array(256)
    for (const key of keys) counts[(key >>> shift) & 0xff]!++
    const expected = keys.length / 256
    return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  })
}

/** With 255 degrees of freedom more than this is less likely than 1 in 1000. */
const chiSquareBound = 330.5

async function maskKeys(ledger: Ledger): Promise<void> {
  if (!ledger.quick) await prove(ledger, 'lib/mask-keys', /./)
  let keys = await capturedKeys(ledger.times(frameCount))
  let chi = chiSquares(keys)
  // One of 250 captures of perfect keys has a byte above the bound, and hardly one two of them.
  if (Math.max(...chi) > chiSquareBound) {
    keys = await capturedKeys(ledger.times(frameCount))
    chi = chiSquares(keys)
  }
  ledger.must(
    `chi-square of each byte of ${keys.length} keys: ${chi.map((each) => each.toFixed(0)).join(', ')}, at most ${chiSquareBound}`,
    Math.max(...chi) <= chiSquareBound,
  )
  ledger.must('no key is 0 twice', keys.filter((key) => key === 0).length < 2)
  ledger.must(
    'no frame has the key of the one before',
    keys.every((key, at) => at === 0 || key !== keys[at - 1]),
  )
  // Of a million, so that three times what chance makes alike is far from chance.
  const many = ledger.times(1_000_000)
  const source = maskKeysFrom(systemRandom)
  const distinct = new Set(Array.from({ length: many }, () => source.next())).size
  const byChance = many ** 2 / 2 ** 33
  ledger.must(
    `of ${many} keys ${many - distinct} came before, ${byChance.toFixed(1)} by chance`,
    many - distinct <= Math.max(3 * byChance, 3),
  )
}

const poison = 0xa5

/** Whatever memory is taken next from the pool of buffers holds that. */
function poisonPool(): void {
  for (let each = 0; each < 64; each++) Buffer.allocUnsafe(1000).fill(poison)
}

/** What is sent, and its exact bytes. */
function exactCases(): [name: string, data: Data, bytes: Buffer][] {
  const plain = Uint8Array.from({ length: 64 }, (_, at) => at).buffer
  const shared = new SharedArrayBuffer(64)
  new Uint8Array(shared).set(new Uint8Array(plain))
  const middle = Buffer.from(new Uint8Array(plain, 8, 24))
  const views = [plain, shared].flatMap((memory) => [
    new Int8Array(memory, 8, 24),
    new Uint8Array(memory, 8, 24),
    new Uint8ClampedArray(memory, 8, 24),
    new Int16Array(memory, 8, 12),
    new Uint16Array(memory, 8, 12),
    new Int32Array(memory, 8, 6),
    new Uint32Array(memory, 8, 6),
    new Float32Array(memory, 8, 6),
    new Float64Array(memory, 8, 3),
    new BigInt64Array(memory, 8, 3),
    new BigUint64Array(memory, 8, 3),
    new DataView(memory, 8, 24),
    Buffer.from(memory, 8, 24),
  ])
  const texts = ['', 'é', '\ud800', 'a\udc00b', '\ud834\udd1e', 'x'.repeat(3_000_000), '€'.repeat(70_000)]
  return [
    ...views.map((view): [string, Data, Buffer] => [view.constructor.name, view, middle]),
    ['ArrayBuffer', plain, Buffer.from(plain)],
    ['a slice of the pool', Buffer.from('pool').subarray(1, 3), Buffer.from('oo')],
    ...texts.map((text): [string, Data, Buffer] => [`text of ${text.length}`, text, Buffer.from(text)]),
  ]
}

async function exactBytes(ledger: Ledger): Promise<void> {
  if (!ledger.quick) {
    for (const file of ['lib/payload', 'lib/connection']) await prove(ledger, file, /C9/)
    await prove(ledger, 'lib/connection', /send-control-limit|K7/)
  }
  for (const role of ['client', 'server'] as const) {
    const [ours, theirs] = memoryPair()
    const record = new FrameRecord()
    theirs.on('data', (chunk: Buffer) => record.push(chunk))
    const connection = new Connection(ours, { role })
    const cases = exactCases()
    const expected: Buffer[] = []
    for (const [, data, bytes] of cases) {
      poisonPool()
      connection.send(data)
      expected.push(bytes)
      if (bytes.length > 125) continue
      void connection.ping(data).catch(() => {})
      expected.push(bytes)
    }
    await until(() => record.frames.length === expected.length)
    await turns(2)
    const wrong = record.frames.filter(({ payload }, at) => !expected[at]?.equals(payload)).length
    ledger.must(
      `${role}: ${expected.length} messages and Pings of ${cases.length} kinds of data, byte for byte`,
      wrong === 0 && record.rest.length === 0,
    )
    connection.terminate()
  }
}

/** What comes behind a request, without end or a byte at a time. */
const floods: Readonly<Record<string, (socket: Socket) => Promise<void>>> = {
  'headers without end': async (socket) => {
    socket.write('HTTP/1.1 101 X\r\n')
    await pour(socket, Buffer.from('X-A: b\r\n'.repeat(8192)))
  },
  'a header without end': async (socket) => {
    socket.write('HTTP/1.1 101 X\r\nX-A: ')
    await pour(socket, Buffer.alloc(64 * 1024, 'a'))
  },
  '1 GiB of body behind a 401': async (socket) => {
    socket.write('HTTP/1.1 401 X\r\nContent-Length: 1073741824\r\n\r\n')
    await pour(socket, Buffer.alloc(64 * 1024, 'a'))
  },
}

async function pour(socket: Socket, chunk: Buffer): Promise<void> {
  for (let sent = 0; sent < 2 ** 30 && !socket.destroyed; sent += chunk.length) {
    if (!socket.write(chunk))
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {})
  }
}

async function endlessAnswers(ledger: Ledger): Promise<void> {
  await prove(ledger, 'lib/client', /C10|6455-4.1-handshake-timeout/)
  let answer: (socket: Socket) => Promise<void> = async () => {}
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => void answer(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${portOf(server)}/`
  const visitor = await Visitor.start()
  for (const [name, flood] of Object.entries(floods)) {
    answer = flood
    const bodies: number[] = []
    for (let warm = 0; warm < 50; warm++) bodies.push((await visitor.visit(url)).body)
    const peaks: number[] = []
    for (let round = 0; round < 7; round++)
      peaks.push(
        await visitor.peakOf(async () => {
          bodies.push((await visitor.visit(url)).body)
        }),
      )
    ledger.note(`${name}: memory of the client at the highest`, percentile(peaks, 0.5), 1, 'MB')
    ledger.must(`… of the body it keeps ${Math.max(...bodies)} bytes`, Math.max(...bodies) <= 16 * 1024)
  }
  answer = async (socket) => {
    for (const byte of 'HTTP/1.1 101 Switching Protocols\r\n') {
      if (socket.destroyed) return
      socket.write(byte)
      await sleep(1000)
    }
  }
  const began = performance.now()
  const { message } = await visitor.visit(url)
  ledger.note('a 101 of a byte a second, to the end', (performance.now() - began) / 1000, 11, 's')
  ledger.must(`… ${message}`, message.includes('longer than 10000 ms'))
  await visitor.stop()
  server.close()
}

export const clientRows: readonly Row[] = [
  {
    id: 'C1',
    attack: 'answers that are no 101, or not quite',
    async run(ledger) {
      await prove(
        ledger,
        'lib/client',
        /handshake-failure|status-not-101|skip-1xx|something behind it|hangs up/,
      )
      await prove(
        ledger,
        'lib/handshake',
        /C1|6455-4\.1-(upgrade|connection|accept)|accept-once|accept-grammar/,
      )
    },
  },
  {
    id: 'C2',
    attack: 'masked frames of a server',
    run: (ledger) => prove(ledger, 'wire/vectors', /6455-5\.1-client-rejects-masked/),
  },
  {
    id: 'C3',
    attack: 'windows and parameters of compression that were not offered, or are none',
    async run(ledger) {
      await prove(ledger, 'lib/deflate/parameters', /./)
      await prove(ledger, 'lib/handshake', /offer of compression/)
    },
  },
  {
    id: 'C4',
    attack: 'bytes above ASCII, NUL and folded lines in what is answered',
    run: (ledger) => prove(ledger, 'lib/client', /C4/),
  },
  { id: 'C5', attack: 'the keys of 100,000 frames are looked at', cheap: true, run: maskKeys },
  {
    id: 'C6',
    attack: 'redirects: loops, other hosts, other schemes',
    run: (ledger) => prove(ledger, 'lib/client-redirects', /./),
  },
  {
    id: 'C7',
    attack: 'line breaks and NUL in whatever goes into a request',
    async run(ledger) {
      await prove(ledger, 'lib/client', /C7|invalid-uri-fails/)
      await prove(ledger, 'lib/url', /C7/)
      await prove(ledger, 'lib/header-list', /checkHeaders/)
      await prove(ledger, 'lib/options', /connect: each wrong option/)
    },
  },
  {
    id: 'C8',
    attack: 'certificates that are self-signed, expired, or for another name',
    run: (ledger) => prove(ledger, 'lib/client', /C8|tls-sni/),
  },
  { id: 'C9', attack: 'data of every kind is sent, by both roles', cheap: true, run: exactBytes },
  { id: 'C10', attack: 'answers without end, and one of a byte a second', run: endlessAnswers },
  {
    id: 'C11',
    attack: 'a subprotocol or an extension that was not asked for',
    async run(ledger) {
      await prove(ledger, 'lib/client', /C11/)
      await prove(ledger, 'lib/handshake', /not-requested|protocol-several|protocol-case-sensitive/)
    },
  },
  {
    id: 'C12',
    attack: 'a server that cannot be reached, is silent, or resets behind its 101',
    run: (ledger) => prove(ledger, 'lib/client', /C12|abort|handshake-timeout|connect-error-fails/),
  },
]
