/** `onread`, over TCP and TLS of 127.0.0.1. That nothing of it is seen by an application is for client.test.ts to show. */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer, Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { DirectInput, type InputSink } from '../../lib/direct-input.ts'
import { until } from '../help/loop.ts'
import { localhost } from '../help/tls.ts'

/** What a sink was given, and by the stream: in the order in which it came. */
class Taker implements InputSink {
  readonly input = new DirectInput()
  readonly socket: Socket
  readonly chunks: Buffer[] = []
  readonly rooms: { room: Buffer; size: number }[] = []
  /** How the chunks came, and in what sizes. */
  readonly ways: string[] = []
  /** What it has room for. */
  room: Buffer | undefined
  onChunk: () => void = () => {}

  constructor(make: (input: DirectInput) => Socket) {
    this.socket = make(this.input)
    this.input.attach(this.socket)
    this.socket.on('data', (chunk: Buffer) => this.#take('stream', chunk))
  }

  read(chunk: Buffer): void {
    this.#take('direct', chunk)
  }

  roomAhead(): Buffer | undefined {
    return this.room
  }

  filled(room: Buffer, size: number): void {
    this.rooms.push({ room, size })
    this.room = undefined
    this.#take('room', room.subarray(0, size))
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }

  get size(): number {
    return this.chunks.reduce((sum, { length }) => sum + length, 0)
  }

  #take(way: string, chunk: Buffer): void {
    this.chunks.push(chunk)
    this.ways.push(way)
    this.onChunk()
  }
}

interface Pair {
  readonly taker: Taker
  readonly peer: Socket
}

async function pair(t: Test, secure = false): Promise<Pair> {
  const server = secure ? createTlsServer(localhost) : createServer({ noDelay: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // It listens on TCP.
  const accepted = once(server, secure ? 'secureConnection' : 'connection')
  const taker = new Taker((onread) => {
    const options = { port, host: '127.0.0.1', ca: localhost.cert, onread }
    return secure ? connectTls(options) : connectTcp(options)
  })
  const [peer]: Socket[] = await accepted
  if (peer === undefined) throw new Error('nobody came')
  server.close()
  peer.on('error', () => {})
  t.teardown(() => {
    peer.destroy()
    taker.socket.destroy()
  })
  return { taker, peer }
}

for (const secure of [false, true]) {
  const over = secure ? 'TLS' : 'TCP'

  await t.test(
    `${over}: by the stream until there is a sink, then to it, in memory of its own`,
    async (t) => {
      const { taker, peer } = await pair(t, secure)
      peer.write('first')
      await until(() => taker.text === 'first')
      taker.input.feed(taker)
      peer.write('second')
      await until(() => taker.text === 'firstsecond')
      peer.write('third!')
      await until(() => taker.text === 'firstsecondthird!')
      t.strictSame(taker.ways, ['stream', 'direct', 'direct'])
      t.equal(taker.chunks[1]?.toString(), 'second', 'D6: the next read leaves it alone')
    },
  )

  await t.test(`D11, ${over}: what has its room is read into it`, async (t) => {
    const { taker, peer } = await pair(t, secure)
    taker.input.feed(taker)
    const room = Buffer.alloc(100_000)
    taker.onChunk = () => {
      taker.onChunk = () => {}
      taker.room = room
    }
    peer.write('begin')
    await until(() => taker.room !== undefined)
    peer.write('x'.repeat(1000))
    await until(() => taker.size === 1005)
    t.strictSame(taker.ways, ['direct', 'room'])
    t.equal(taker.rooms[0]?.room, room)
    t.equal(room.toString('latin1', 0, 1001), 'x'.repeat(1000) + '\0')
    peer.write('end')
    await until(() => taker.size === 1008)
    t.equal(taker.ways[2], 'direct')
    t.equal(room[0], 'x'.charCodeAt(0), 'and no later read is')
  })

  await t.test(`${over}: end, error and close are told of as ever`, async (t) => {
    const ended = await pair(t, secure)
    ended.taker.input.feed(ended.taker)
    ended.peer.end('bye')
    await once(ended.taker.socket, 'end')
    t.equal(ended.taker.text, 'bye')

    const lost = await pair(t, secure)
    lost.taker.input.feed(lost.taker)
    const events: string[] = []
    lost.taker.socket.on('error', () => events.push('error'))
    lost.taker.socket.on('close', () => events.push('close'))
    if (secure) lost.taker.socket.destroy(new Error('lost'))
    else lost.peer.resetAndDestroy()
    await until(() => events.length === 2)
    t.strictSame(events, ['error', 'close'])
  })
}

/** A taker whose socket is connected to nothing: what comes is said by the test. */
function alone() {
  const taker = new Taker(() => new Socket())
  const { input } = taker
  /** As Node does: into what it was given, then it asks for the next one. Returns what the callback says. */
  let next = input.buffer()
  const come = (text: string): boolean => {
    next.write(text, 'latin1')
    const goesOn = input.callback(text.length)
    next = input.buffer()
    return goesOn
  }
  return { taker, come }
}

await t.test('what the stream holds comes first, whatever has its room', async (t) => {
  const { taker, come } = alone()
  taker.input.feed(taker)
  taker.socket.pause()
  taker.socket.unshift(Buffer.from('behind the handshake, '))
  taker.socket.resume()
  taker.room = Buffer.alloc(100)
  t.equal(come('first, '), true)
  t.equal(come('second, '), true)
  await until(() => taker.ways.length === 3)
  t.equal(come('third, '), true, 'for which nobody was asked while the stream held something')
  t.equal(come('fourth'), true)
  t.equal(taker.text, 'behind the handshake, first, second, third, fourth')
  t.strictSame(taker.ways, ['stream', 'stream', 'stream', 'direct', 'room'])
})

await t.test('what has come into its room in spite of a pause goes by the stream', async (t) => {
  const { taker, come } = alone()
  taker.socket.resume()
  taker.input.feed(taker)
  taker.room = Buffer.alloc(100)
  come('a')
  taker.socket.pause()
  come('b')
  t.equal(come('c'), true)
  const last = Array.from({ length: 10 }, () => come('d'.repeat(8000))).at(-1)
  t.equal(last, false, 'no more, as the stream has it')
  t.equal(taker.text, 'a')
  taker.socket.resume()
  await until(() => taker.size === 80_003)
  t.equal(taker.text.slice(0, 4), 'abcd')
  t.strictSame(new Set(taker.ways.slice(1)), new Set(['stream']))
  t.strictSame(taker.rooms, [])
})

await t.test('a socket that is paused is not read', async (t) => {
  const { taker, peer } = await pair(t)
  taker.input.feed(taker)
  taker.onChunk = () => taker.socket.pause()
  const bytes = Buffer.alloc(400_000, 'farewell, ')
  peer.write(bytes)
  await until(() => taker.size > 0)
  for (let count = 1; taker.size < bytes.length; count++) {
    t.equal(taker.ways.length, count)
    const before = taker.size
    taker.socket.resume()
    await until(() => taker.size > before)
  }
  t.ok(Buffer.concat(taker.chunks).equals(bytes))
  t.ok(taker.ways.every((way) => way === 'direct'))
})

await t.test('TLS brings more although the socket is paused: that waits in the stream', async (t) => {
  const { taker, peer } = await pair(t, true)
  taker.input.feed(taker)
  let held = 0
  taker.onChunk = () => {
    taker.room = Buffer.alloc(1000)
    taker.socket.pause()
    setImmediate(() => {
      held = Math.max(held, taker.socket.readableLength)
      taker.socket.resume()
    })
  }
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251))
  peer.write(bytes)
  await until(() => taker.size >= bytes.length)
  t.ok(Buffer.concat(taker.chunks).equals(bytes))
  t.ok(held > 0)
})

await t.test('D11: once a message had room, a read is short until more comes than fits in it', async (t) => {
  const taker = new Taker(() => connectTcp({ port: 1, host: '127.0.0.1' }))
  taker.socket.on('error', () => {})
  const { input } = taker
  let next = input.buffer()
  /** So many bytes come; of what comes then, this has its place. Returns how long the next read may be. */
  const come = (size: number, room?: number): number => {
    taker.onChunk = () => {
      taker.room = room === undefined ? undefined : Buffer.alloc(room)
    }
    input.callback(size)
    next = input.buffer()
    return next.length
  }
  const full = next.length
  t.equal(full, 65_536)
  taker.socket.resume()
  input.feed(taker)
  t.equal(come(full), full)
  t.equal(come(10, 5000), 5000)
  t.equal(next, taker.room)
  const short = come(5000)
  t.equal(short, 8192)
  t.equal(come(short - 1), short)
  t.equal(come(short), full, 'many short messages')
  t.equal(come(10, 5000), 5000)
  t.equal(come(5000), short)
  t.equal(come(short, 5000), 5000)
  t.equal(come(5000), short, 'long messages')
  taker.socket.destroy()
})
