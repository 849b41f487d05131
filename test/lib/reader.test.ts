import t from 'tap'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { unfinishedMessages } from '../../lib/budget.ts'
import type { Message } from '../../lib/message.ts'
import { RateLimit } from '../../lib/rate-limit.ts'
import { Reader } from '../../lib/reader.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns } from '../help/loop.ts'

const mebibyte = 1024 * 1024
const maskKey = 0x0a0b0c0d

/** A stream that is fed by hand; what the reader makes of it is written down. */
class Source extends Duplex {
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, callback: () => void): void {
    callback()
  }
}

interface Options {
  maxQueuedMessages?: number
  listening?: boolean
  maxMessageSize?: number
  rateLimit?: RateLimit
  from?: 'client' | 'server'
}

function begin(options: Options = {}) {
  const socket = new Source()
  const events: string[] = []
  const sink = {
    listening: options.listening ?? false,
    onMessage: (_message: Message): void => {},
    deliver(message: Message): boolean {
      if (!sink.listening) return false
      events.push(typeof message === 'string' ? message : message.toString('hex'))
      sink.onMessage(message)
      return true
    },
    control: (opcode: number, payload: Buffer): void =>
      void events.push(`control ${opcode} ${payload.toString()}`),
    violation: ({ name }: { name: string }): void => {
      events.push(name)
      reader.stop()
    },
    ended: (): void => void events.push('ended'),
  }
  const { maxQueuedMessages = 2, maxMessageSize = mebibyte, rateLimit, from = 'client' } = options
  const reader: Reader = new Reader(
    socket,
    { from, maxQueuedMessages, maxMessageSize, rateLimit, deflate: undefined },
    sink,
  )
  socket.on('data', (chunk: Buffer) => reader.read(chunk))
  socket.on('end', () => reader.end())
  return { socket, reader, sink, events }
}

const text = (...messages: string[]): Buffer =>
  Buffer.concat(messages.map((payload) => encodeFrame({ opcode: Opcode.text, payload, maskKey })))
const ping = (payload: string): Buffer => encodeFrame({ opcode: Opcode.ping, payload, maskKey })
const part = (payload: string): Buffer => encodeFrame({ opcode: Opcode.text, payload, maskKey, fin: false })

await t.test('D3: with a listener, the messages of one read are delivered in it, in order', async (t) => {
  const { reader, events } = begin({ listening: true })
  reader.read(Buffer.concat([text('a', 'b'), ping('p'), text('c')]))
  t.strictSame(events, ['a', 'b', 'control 9 p', 'c'])
  t.notOk(reader.held)
})

await t.test(
  'D3: without one they queue; a full queue stops the reading, taking one lets it go on',
  async (t) => {
    const { socket, reader, events } = begin()
    socket.push(text('a'))
    await turns()
    t.notOk(reader.held)
    socket.push(Buffer.concat([text('b', 'c'), ping('p'), text('d')]))
    await turns()
    t.ok(reader.held)
    t.ok(socket.isPaused())
    t.strictSame(events, [], 'the Ping lies behind what is not read')
    socket.push(text('e'))
    await turns(3)
    t.equal(reader.take(), 'a')
    t.ok(reader.held, 'c has come in its place')
    t.strictSame(events, [])
    t.equal(reader.take(), 'b')
    t.strictSame(events, ['control 9 p'])
    t.equal(reader.take(), 'c')
    t.notOk(socket.isPaused())
    await turns(2)
    t.equal(reader.take(), 'd')
    t.equal(reader.take(), 'e')
    t.equal(reader.take(), undefined)
    t.notOk(reader.held)
  },
)

await t.test('D4: the queue is full at 1 MiB too', async (t) => {
  const { socket, reader } = begin({ maxQueuedMessages: 1000 })
  const payload = Buffer.alloc(mebibyte / 4)
  const frame = encodeFrame({ opcode: Opcode.binary, payload, maskKey })
  for (let n = 1; n <= 4; n++) {
    t.notOk(reader.held)
    reader.read(frame)
  }
  t.ok(reader.held)
  t.ok(socket.isPaused())
})

await t.test(
  'D3: a listener that comes gets what is queued, in order, and then what is read on',
  async (t) => {
    const { socket, reader, sink, events } = begin()
    socket.push(text('a', 'b', 'c', 'd', 'e'))
    await turns()
    sink.listening = true
    reader.deliverQueued()
    t.strictSame(events, ['a', 'b', 'c', 'd', 'e'])
    t.notOk(socket.isPaused())
  },
)

await t.test('D3: a listener that leaves in the middle leaves the rest in the queue', async (t) => {
  const { reader, sink, events } = begin({ maxQueuedMessages: 10 })
  reader.read(text('a', 'b', 'c'))
  sink.listening = true
  sink.onMessage = () => (sink.listening = false)
  reader.deliverQueued()
  t.strictSame(events, ['a'])
  t.equal(reader.take(), 'b')
  sink.listening = true
  reader.read(text('d'))
  t.strictSame(events, ['a'], 'd is behind c')
  reader.deliverQueued()
  t.strictSame(events, ['a', 'c'])
})

await t.test('D3: who waits gets a message before the listener', async (t) => {
  const { reader, events } = begin({ listening: true })
  const waiting = reader.wait(undefined)
  reader.read(text('a', 'b'))
  t.equal(await waiting, 'a')
  t.strictSame(events, ['b'])
})

await t.test('pause: nothing is read or delivered until resume, in the middle of a chunk too', async (t) => {
  const { socket, reader, sink, events } = begin({ listening: true })
  sink.onMessage = (message) => {
    if (message === 'b') reader.pause()
  }
  socket.push(Buffer.concat([text('a', 'b', 'c'), ping('p')]))
  await turns()
  t.strictSame(events, ['a', 'b'])
  t.ok(reader.held)
  t.ok(socket.isPaused())
  socket.push(text('d'))
  await turns(2)
  t.strictSame(events, ['a', 'b'])
  reader.resume()
  t.strictSame(events, ['a', 'b', 'c', 'control 9 p'])
  await turns(2)
  t.strictSame(events.at(-1), 'd')
})

await t.test('pause: a message that is in the decoder already waits in the queue', async (t) => {
  const { reader, events } = begin({ listening: true })
  reader.read(part('a'))
  reader.pause()
  t.ok(reader.held)
  reader.read(encodeFrame({ opcode: Opcode.continuation, payload: 'b', maskKey }))
  t.strictSame(events, [])
  reader.resume()
  t.strictSame(events, ['ab'])
})

await t.test('pause and resume from inside a listener change nothing', async (t) => {
  const { socket, reader, sink, events } = begin({ listening: true })
  sink.onMessage = () => {
    reader.pause()
    reader.resume()
  }
  socket.push(text('a', 'b', 'c'))
  await turns()
  t.strictSame(events, ['a', 'b', 'c'])
  t.notOk(socket.isPaused())
})

await t.test(
  'E4: resume inside a message from the queue does not deliver the next one inside it',
  async (t) => {
    const { reader, sink, events } = begin({ maxQueuedMessages: 2 })
    reader.read(text('a', 'b', 'c', 'd'))
    sink.listening = true
    const depths: number[] = []
    let depth = 0
    sink.onMessage = () => {
      depths.push(++depth)
      reader.pause()
      reader.resume()
      reader.take()
      depth--
    }
    reader.deliverQueued()
    t.strictSame(events, ['a', 'c'], 'b and d were taken')
    t.strictSame(depths, [1, 1])
  },
)

await t.test(
  'K5, X1: discard reads on though paused and full; what finds no room is lost with all behind it',
  async (t) => {
    const { socket, reader, events } = begin()
    reader.pause()
    socket.push(Buffer.concat([text('a', 'b', 'c', 'd'), ping('p')]))
    await turns(2)
    t.strictSame(events, [])
    reader.discard()
    await turns(2)
    t.strictSame(events, ['control 9 p'])
    t.notOk(reader.held)
    t.strictSame([reader.take(), reader.take(), reader.take()], ['a', 'b', undefined])
    reader.resume()
    const waiting = reader.wait(undefined)
    socket.push(Buffer.concat([text('e'), ping('q')]))
    await turns(2)
    t.strictSame(events, ['control 9 p', 'control 9 q'])
    reader.rejectWaits(new Error('closed'))
    await t.rejects(waiting, { message: 'closed' }, 'where there is room again, a message would leave a gap')
  },
)

await t.test(
  'stop: nothing comes any more, the budget is given back, and the socket is read to its end',
  async (t) => {
    const { socket, reader, events } = begin({ listening: true })
    socket.push(part('unfinished'))
    await turns()
    t.not(unfinishedMessages.used, 0)
    t.ok(reader.unfinished)
    reader.pause()
    reader.stop()
    t.equal(unfinishedMessages.used, 0)
    t.notOk(reader.held)
    socket.push(text('a'))
    socket.push(null)
    await turns(2)
    t.strictSame(events, ['ended'])
    t.ok(socket.readableEnded)
  },
)

await t.test('D3: the end of TCP comes behind the messages that are held', async (t) => {
  const { socket, reader, events } = begin()
  socket.push(text('a', 'b', 'c', 'd'))
  await turns()
  t.ok(socket.isPaused())
  // As a net socket does, which tells a paused reader of the end.
  socket.push(null)
  socket.read(0)
  await turns(2)
  t.strictSame(events, [])
  t.equal(reader.take(), 'a')
  t.strictSame(events, [])
  t.equal(reader.take(), 'b')
  t.strictSame(events, ['ended'], 'all has been read')
  t.equal(reader.take(), 'c')
  t.equal(reader.take(), 'd')
  t.strictSame(events, ['ended'])
})

await t.test('the end of TCP that was held comes when reading stops', async (t) => {
  const { socket, reader, events } = begin()
  socket.push(text('a', 'b', 'c'))
  await turns()
  socket.push(null)
  socket.read(0)
  await turns(2)
  t.strictSame(events, [])
  reader.stop()
  await turns()
  t.strictSame(events, ['ended'])
})

await t.test('clear forgets what is queued, and nothing else', async (t) => {
  const { reader } = begin()
  reader.read(text('a'))
  reader.clear()
  t.equal(reader.take(), undefined)
  reader.read(text('b'))
  t.equal(reader.take(), 'b')
})

await t.test('frames and unfinished tell how far the peer is', async (t) => {
  const { reader } = begin()
  t.equal(reader.frames, 0)
  t.notOk(reader.unfinished)
  reader.read(text('a').subarray(0, 3))
  t.ok(reader.unfinished)
  reader.read(text('a').subarray(3))
  t.notOk(reader.unfinished)
  t.equal(reader.frames, 1)
})

await t.test('a violation is told of, and waits can be told of the end', async (t) => {
  const { reader, events } = begin()
  const waiting = reader.wait(undefined)
  reader.read(Buffer.from([0x81, 0x00]))
  t.strictSame(events, ['missing-mask'])
  reader.rejectWaits(new Error('over'))
  await t.rejects(waiting, new Error('over'))
})

await t.test(
  'D6: bytes of somebody’s Duplex stay as they are, those of a net socket are unmasked in place',
  async (t) => {
    const { socket, events } = begin({ listening: true })
    const chunk = text('mine')
    const before = Buffer.from(chunk)
    socket.push(chunk)
    await turns()
    t.strictSame(events, ['mine'])
    t.ok(chunk.equals(before))

    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port')
    const client = connect(address.port, '127.0.0.1')
    const [accepted] = (await once(server, 'connection')) as [Socket]
    const got: Message[] = []
    const reader = new Reader(
      accepted,
      { from: 'client', maxMessageSize: 100, maxQueuedMessages: 1, rateLimit: undefined, deflate: undefined },
      { deliver: (message) => got.push(message) > 0, control() {}, violation() {}, ended() {} },
    )
    client.write(encodeFrame({ opcode: Opcode.binary, payload: 'yours', maskKey }))
    const [read] = (await once(accepted, 'data')) as [Buffer]
    reader.read(read)
    t.strictSame(got, [Buffer.from('yours')])
    t.equal(read.toString('latin1', 6), 'yours')
    client.destroy()
    accepted.destroy()
    server.close()
  },
)

await t.test('S3: while the output waits nothing is read, from the middle of a chunk on', async (t) => {
  const { socket, reader, sink, events } = begin({ listening: true })
  sink.onMessage = (message) => {
    if (message === 'b') reader.waitForOutput()
  }
  socket.push(text('a', 'b', 'c', 'd'))
  await turns()
  t.strictSame(events, ['a', 'b'])
  t.ok(reader.held)
  t.ok(socket.isPaused())
  reader.outputGone()
  t.strictSame(events.slice(2), ['c', 'd'])
  t.notOk(reader.held)
  t.notOk(socket.isPaused())

  reader.waitForOutput()
  t.ok(socket.isPaused(), 'between two chunks too')
  reader.beat()
  t.notOk(socket.isPaused(), 'at each beat we read on')
  await turns()
  socket.push(text('e'))
  await turns()
  t.equal(events.at(-1), 'e')
  t.ok(socket.isPaused(), 'as far as a chunk goes')
  reader.beat()
  reader.waitForOutput()
  t.ok(socket.isPaused(), 'or to what makes more output')
  reader.pause()
  reader.waitForOutput()
  reader.beat()
  t.ok(socket.isPaused(), 'what the application paused stays so')
})

await t.test('K5, S3: once everything is thrown away, the output is not waited for', async (t) => {
  const { socket, reader, events } = begin({ listening: true })
  reader.waitForOutput()
  socket.push(text('a'))
  reader.discard()
  await turns()
  t.strictSame(events, ['a'])
  reader.waitForOutput()
  t.notOk(reader.held)
  t.notOk(socket.isPaused())
})

/** What is read, with so many frames a second. */
function rated(messages: number, onExcess: 'close' | 'pause') {
  const timers = new FakeTimers()
  const bytes = Number.MAX_SAFE_INTEGER
  const rateLimit = new RateLimit({ messages, bytes, interval: 1000, onExcess }, timers)
  return { ...begin({ listening: true, maxQueuedMessages: 64, rateLimit }), timers }
}

await t.test('rateLimit, close: the message that is one too many is not delivered', async (t) => {
  const { reader, events } = rated(3, 'close')
  reader.read(text('a', 'b', 'c', 'd', 'e'))
  t.strictSame(events, ['a', 'b', 'c', 'rate-limit'])
  reader.read(text('f'))
  t.strictSame(events.slice(4), [], 'told of once')
})

await t.test('rateLimit: fragments, Pings and Pongs count, a Close is let in', async (t) => {
  const pings = rated(2, 'close')
  pings.reader.read(Buffer.concat([ping('1'), ping('2'), ping('3')]))
  t.strictSame(pings.events, ['control 9 1', 'control 9 2', 'rate-limit'])

  const fragments = rated(2, 'close')
  const more = encodeFrame({ opcode: Opcode.continuation, payload: '', maskKey, fin: false })
  fragments.reader.read(Buffer.concat([part('a'), more]))
  t.strictSame(fragments.events, [])
  fragments.reader.read(more)
  t.strictSame(fragments.events, ['rate-limit'], 'that nothing is complete does not matter')

  const closes = rated(2, 'close')
  closes.sink.control = (opcode) => {
    closes.events.push(`control ${opcode}`)
    closes.reader.stop()
  }
  closes.reader.read(
    Buffer.concat([text('a', 'b'), encodeFrame({ opcode: Opcode.close, payload: '', maskKey })]),
  )
  t.strictSame(closes.events, ['a', 'b', 'control 8'])
})

await t.test('rateLimit, pause: reading stops in the middle of a chunk, and goes on in time', async (t) => {
  const { socket, reader, events, timers } = rated(2, 'pause')
  socket.push(Buffer.concat([text('a', 'b', 'c'), ping('d'), text('e', 'f')]))
  await turns()
  t.strictSame(events, ['a', 'b', 'c'])
  t.ok(reader.held)
  t.ok(socket.isPaused())
  reader.beat()
  t.equal(events.length, 3)
  timers.advance(1000)
  reader.beat()
  t.strictSame(events.slice(3), ['control 9 d', 'e'])
  t.ok(reader.held)
  timers.advance(1000)
  reader.beat()
  t.strictSame(events.slice(5), ['f'])
  t.notOk(reader.held)
  t.notOk(socket.isPaused())
})

await t.test('rateLimit, pause: bytes that are owed hold up what comes next', async (t) => {
  const timers = new FakeTimers()
  const messages = Number.MAX_SAFE_INTEGER
  const rateLimit = new RateLimit({ messages, bytes: 100, interval: 1000, onExcess: 'pause' }, timers)
  const { socket, reader, events } = begin({ listening: true, rateLimit })
  const long = 'x'.repeat(300)
  socket.push(part(long))
  await turns()
  t.ok(reader.held)
  socket.push(encodeFrame({ opcode: Opcode.continuation, payload: 'y', maskKey }))
  await turns(2)
  t.strictSame(events, [])
  for (let second = 1; second <= 3; second++) {
    t.ok(reader.held, `${second}`)
    timers.advance(1000)
    reader.beat()
  }
  await turns(2)
  t.strictSame(events, [`${long}y`])
})

await t.test('K5, rateLimit: once everything is thrown away, nothing is counted or held', async (t) => {
  for (const onExcess of ['close', 'pause'] as const) {
    const { socket, reader, events } = rated(1, onExcess)
    reader.discard()
    socket.push(text('a', 'b', 'c'))
    await turns()
    t.strictSame(events, ['a', 'b', 'c'], onExcess)
    t.notOk(reader.held)
  }
})

await t.test('rateLimit: what is read ahead into its room counts as what comes in a chunk', async (t) => {
  const timers = new FakeTimers()
  const messages = Number.MAX_SAFE_INTEGER
  const rateLimit = new RateLimit({ messages, bytes: 20_000, interval: 1000, onExcess: 'pause' }, timers)
  const { socket, reader, events } = begin({ listening: true, rateLimit, from: 'server' })
  const frame = encodeFrame({ opcode: Opcode.text, payload: 'x'.repeat(30_000) })
  reader.read(frame.subarray(0, 10_000))
  const room = reader.roomAhead() ?? Buffer.alloc(0)
  frame.copy(room, 0, 10_000)
  reader.filled(room, 10_000)
  t.notOk(reader.held)
  frame.copy(room, 0, 20_000)
  reader.filled(reader.roomAhead() ?? room, 9_000)
  t.ok(reader.held)
  t.ok(socket.isPaused())
  t.equal(reader.roomAhead(), undefined, 'nothing is to come')
  t.strictSame(events, [])
  reader.stop()
})

await t.test('D10: a larger maxMessageSize makes room in the process budget', async (t) => {
  begin({ maxMessageSize: 20 * mebibyte })
  t.equal(unfinishedMessages.charge(80 * mebibyte), true)
  t.equal(unfinishedMessages.charge(1), false)
  unfinishedMessages.release(80 * mebibyte)
})
