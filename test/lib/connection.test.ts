import t from 'tap'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect as connectNet, createServer, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { unfinishedMessages } from '../../lib/budget.ts'
import { Connection, type ConnectionInit, coreOf } from '../../lib/connection.ts'
import type { ConnectionEvents } from '../../lib/connection-events.ts'
import { DirectInput } from '../../lib/direct-input.ts'
import { ConnectionClosedError, ProtocolError } from '../../lib/errors.ts'
import type { Role } from '../../lib/lifecycle.ts'
import type { Message } from '../../lib/message.ts'
import type { Data } from '../../lib/payload.ts'
import { PreparedMessage } from '../../lib/prepared-message.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { KernelSocket } from '../help/kernel-socket.ts'
import { turns, until, watchProcess } from '../help/loop.ts'
import { matchEach } from '../help/match-each.ts'
import { memoryPair, type MemoryPairOptions } from '../help/memory-pair.ts'
import { RawPeer } from '../wire/raw-peer.ts'

const mebibyte = 1024 * 1024
const { text, binary, continuation, ping, pong } = Opcode

interface Options extends Partial<ConnectionInit> {
  readonly pair?: MemoryPairOptions
}

/** A connection over a memory pair, its clock, and a raw peer at the other end. */
function open(options: Options = {}) {
  const { pair = {}, role = 'server', ...init } = options
  const [ours, theirs] = memoryPair(pair)
  const timers = new FakeTimers()
  const handlerErrors: unknown[] = []
  const connection = new Connection(ours, {
    timers,
    onHandlerError: (error) => void handlerErrors.push(error),
    ...init,
    role,
  })
  const peer = new RawPeer(theirs, role === 'server' ? 'client' : 'server', () => theirs.reset())
  return { connection, peer, socket: ours, timers, handlerErrors }
}

/** Two connections, one on each end. */
function openBoth(options: Partial<ConnectionInit> = {}) {
  const [one, other] = memoryPair()
  const timers = new FakeTimers()
  const client = new Connection(one, { timers, ...options, role: 'client' })
  const server = new Connection(other, { timers, ...options, role: 'server' })
  return { client, server, timers }
}

function messagesOf(connection: Connection): Message[] {
  const messages: Message[] = []
  connection.on('message', (message) => messages.push(message))
  return messages
}

/** Lets a writable stream take what it can, and its reader read it. */
const settle = (): Promise<void> => turns(12)

// What it is

await t.test(
  'D1, 6455-7.1.3-closing-state: a connection begins open, and each state is told of once, in order',
  async (t) => {
    const { connection, peer, timers } = open({ protocol: 'chat', url: 'ws://example.test/' })
    t.equal(connection.state, 'open')
    t.equal(connection.readyState, 1)
    t.equal(connection.protocol, 'chat')
    t.equal(connection.url, 'ws://example.test/')
    t.equal(connection.bufferedAmount, 0)
    t.equal(connection.remoteAddress, undefined)
    const states: string[] = []
    connection.on('state', (state) => states.push(`${state} ${connection.readyState}`))
    let closes = 0
    connection.on('close', () => closes++)
    const closed = connection.close(1000, 'bye')
    t.equal(connection.readyState, 2)
    await peer.untilClose()
    peer.close(1000, 'bye')
    await peer.untilEnd()
    peer.fin()
    const info = await closed
    t.strictSame(info, {
      code: 1000,
      reason: 'bye',
      wasClean: true,
      initiator: 'local',
      sent: { code: 1000, reason: 'bye' },
      received: { code: 1000, reason: 'bye' },
      trigger: 'local-close',
    })
    t.strictSame(states, ['close-sent 2', 'close-done 2', 'closed 3'])
    t.equal(closes, 1)
    t.equal(timers.armed, 0, 'no timer is left')
  },
)

await t.test('closed is one promise, and close() gives the same', async (t) => {
  const { connection, peer } = open()
  const { closed } = connection
  t.equal(connection.closed, closed)
  t.equal(connection.close(), closed)
  t.equal(connection.close(4000, 'other'), closed)
  peer.close()
  peer.fin()
  const info = await closed
  t.strictSame(peer.wire, ['close'], 'one Close')
  t.equal(connection.closed, closed)
  t.equal(connection.close(), closed)
  t.equal(await connection.closed, info)

  const unwatched = open()
  unwatched.peer.fin()
  await once(unwatched.connection, 'close')
  t.equal((await unwatched.connection.closed).trigger, 'peer-fin', 'asked for when all is over')
  t.equal(unwatched.connection.closed, unwatched.connection.closed)
})

await t.test('the settings are checked, and nothing is done to the socket', async (t) => {
  const [socket] = memoryPair()
  const wrong: [Record<string, unknown>, Error][] = [
    [{}, new TypeError('option "role" must be "client" or "server"')],
    [{ role: 'peer' }, new TypeError('option "role" must be "client" or "server"')],
    [
      { role: 'client', closeTimeout: 0 },
      new RangeError('option "closeTimeout" must be a whole number from 1 to 2147483647, not 0'),
    ],
  ]
  for (const [init, error] of wrong)
    t.throws(() => new Connection(socket, init as unknown as ConnectionInit), error)
  t.equal(socket.listenerCount('data'), 0)
})

await t.test('over TCP: the address of the peer, no delay, and no idle timeout of the socket', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has a port')
  const client = connectNet(address.port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [Socket]
  accepted.setTimeout(5)
  const timers = new FakeTimers()
  const connection = new Connection(accepted, { role: 'server', timers })
  t.equal(connection.remoteAddress, '127.0.0.1')
  t.equal(accepted.timeout, 0)
  t.ok(accepted.allowHalfOpen)
  connection.terminate()
  await connection.closed
  client.destroy()
  server.close()
})

await t.test('R3: a socket that ended or died before is noticed', async (t) => {
  const [dead] = memoryPair()
  dead.on('error', () => {})
  dead.destroy()
  await once(dead, 'close')
  const late = new Connection(dead, { role: 'server', timers: new FakeTimers() })
  t.match(await late.closed, { code: 1006, trigger: 'socket-error' })

  const [ours, theirs] = memoryPair()
  theirs.end()
  await once(ours.resume(), 'end')
  const ended = new Connection(ours, { role: 'server', timers: new FakeTimers() })
  t.match(await ended.closed, { code: 1006, trigger: /^peer-fin$/ })
})

await t.test('D3: a socket that whoever brought it had paused is read', async (t) => {
  const [ours, theirs] = memoryPair()
  ours.pause()
  const connection = new Connection(ours, { role: 'server', timers: new FakeTimers() })
  new RawPeer(theirs, 'client', () => theirs.reset()).text('hello')
  t.equal(await connection.receive(), 'hello')
  connection.terminate()
})

// Sending

await t.test(
  '6455-6.1-send-order, 6455-6.1-opcode-by-type, D5: messages leave in order, one write a turn',
  async (t) => {
    for (const role of ['client', 'server'] as const) {
      const { connection, peer, socket } = open({ role })
      t.equal(connection.send('a'), true)
      t.equal(connection.send(Buffer.from('b')), true)
      t.equal(connection.send(new Uint16Array([0x6363]).buffer), true)
      t.equal(connection.send(new DataView(new ArrayBuffer(4), 1, 2)), true)
      void connection.ping('p')
      connection.send('\ud800')
      t.equal(socket.writes, 0)
      await settle()
      t.equal(socket.writes, 1)
      t.strictSame(peer.wire, [
        'text "a"',
        'binary 62',
        'binary 6363',
        'binary 0000',
        'ping 70',
        'text "\ufffd"',
      ])
      connection.terminate()
    }
  },
)

/** A client's connection that is read without the stream, and how bytes come to it. */
function openDirect(init: Partial<ConnectionInit> = {}) {
  const socket = new KernelSocket()
  const input = new DirectInput()
  input.attach(socket)
  const timers = new FakeTimers()
  const connection = new Connection(socket, { timers, ...init, role: 'client', input })
  const come = (bytes: Buffer): void => {
    for (let at = 0; at < bytes.length;) {
      const size = bytes.copy(input.buffer(), 0, at)
      input.callback(size)
      at += size
    }
  }
  return { connection, socket, timers, come }
}

await t.test(
  'D11: what the end of a long message causes leaves in one write, before the turn ends',
  async (t) => {
    const { connection, socket, come } = openDirect()
    connection.on('message', (message) => {
      t.equal(Buffer.from(message).length, 300_000)
      for (const answer of ['a', 'b', 'c']) connection.send(answer)
      t.equal(socket.writes, 0)
    })
    come(encodeFrame({ opcode: binary, payload: Buffer.alloc(300_000) }))
    t.equal(socket.writes, 1)
    connection.terminate()
  },
)

await t.test('D10: a long message that comes on into its room makes progress', async (t) => {
  const { connection, timers, come } = openDirect()
  const messages = messagesOf(connection)
  const frame = encodeFrame({ opcode: binary, payload: Buffer.alloc(300_000) })
  for (let at = 0; at < frame.length; at += 30_000) {
    come(frame.subarray(at, at + 30_000))
    timers.advance(20_000)
  }
  t.equal(messages.length, 1)
  t.equal(connection.state, 'open')
  connection.terminate()
})

await t.test('D11: the echoes of one read leave in one write, before the turn ends', async (t) => {
  const { connection, peer, socket } = open()
  connection.on('message', (message) => connection.send(message))
  let pings = 0
  connection.on('ping', () => pings++)
  peer.write(
    Buffer.concat([...['a', 'b', 'c'].map((message) => peer.encode(text, message)), peer.encode(ping, 'p')]),
  )
  let inTheRead = 0
  socket.once('data', () => (inTheRead = socket.writes))
  await settle()
  t.equal(inTheRead, 1, 'at the end of the read')
  t.equal(socket.writes, 1)
  t.equal(pings, 1)
  t.strictSame(peer.wire, ['text "a"', 'text "b"', 'text "c"', 'pong 70'])
  connection.terminate()
})

await t.test('C9: data of another type is a TypeError in every state, and nothing happens', async (t) => {
  const { connection, peer } = open()
  const others: unknown[] = [5, null, undefined, {}, new Blob([])]
  const refuse = (): void => {
    for (const other of others) t.throws(() => connection.send(other as Data), TypeError)
    t.throws(() => connection.ping(5 as unknown as Data), TypeError)
  }
  refuse()
  await settle()
  t.strictSame(peer.wire, [])
  t.equal(connection.state, 'open')
  connection.terminate()
  refuse()
  await connection.closed
  refuse()
})

await t.test(
  'S1: send is false from highWaterMark on; drained and the event tell when it may go on',
  async (t) => {
    const { connection, socket } = open({ highWaterMark: 1000 })
    await connection.drained()
    socket.stall()
    t.equal(connection.send(Buffer.alloc(500)), true)
    await connection.drained()
    t.equal(connection.send(Buffer.alloc(500)), false)
    t.equal(connection.bufferedAmount, 1008)
    const order: string[] = []
    connection.on('drain', () => order.push('drain'))
    const waits = [connection.drained(), connection.drained()].map((wait) =>
      wait.then(() => order.push('drained')),
    )
    const aborted = connection.drained({ signal: AbortSignal.abort() })
    await t.rejects(aborted, { name: 'AbortError' })
    await turns(2)
    t.strictSame(order, [])
    socket.unstall()
    await Promise.all(waits)
    t.strictSame(order, ['drain', 'drained', 'drained'])
    t.equal(connection.bufferedAmount, 0)
    t.equal(connection.send('on'), true)
    connection.terminate()
  },
)

await t.test('S1: a mark far below the socket’s own drains too', async (t) => {
  const { connection, peer } = open({ highWaterMark: 1 })
  for (let n = 0; n < 3; n++) {
    t.equal(connection.send(`${n}`), false)
    await connection.drained()
  }
  await settle()
  t.equal(peer.wire.length, 3)
  connection.terminate()
})

await t.test('D1: who waits for a drain when nothing more can be sent is told how it ended', async (t) => {
  const { connection, peer, socket } = open({ highWaterMark: 10 })
  socket.stall()
  connection.send('x'.repeat(20))
  let drains = 0
  connection.on('drain', () => drains++)
  const before = connection.drained()
  void connection.close(1000)
  const behind = connection.drained()
  socket.unstall()
  await settle()
  t.equal(drains, 0, 'send may not go on')
  t.equal(connection.send('late'), false)
  peer.close(1000)
  peer.fin()
  const info = await connection.closed
  for (const wait of [before, behind, connection.drained()]) {
    const error = await wait.then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (!(error instanceof ConnectionClosedError)) throw new TypeError('drained rejects with the story')
    t.equal(error.info, info)
  }
})

await t.test('D10: at maxBufferedAmount, terminate: 1008, and the end within the linger time', async (t) => {
  const { connection, peer, socket, timers } = open({ maxBufferedAmount: 5000, highWaterMark: 2000 })
  socket.stall()
  let sent = 0
  while (connection.state === 'open') {
    connection.send(Buffer.alloc(996))
    sent++
  }
  t.equal(sent, 7, 'a send on top of 6,000 bytes is one too many')
  t.equal(connection.state, 'failing')
  t.equal(connection.send('x'), false)
  await turns(2)
  timers.advance(1_999)
  t.equal(connection.state, 'failing')
  timers.advance(1)
  const info = await connection.closed
  t.match(info, {
    code: 1006,
    trigger: 'limit',
    initiator: 'local',
    wasClean: false,
    sent: { code: 1008, reason: 'send-buffer-full' },
  })
  t.ok(info.error instanceof ProtocolError)
  await settle()
  t.strictSame(peer.wire, [], 'nothing could be told')
})

await t.test('D10: a peer that reads again in time is told 1008', async (t) => {
  const { connection, peer, socket } = open({ maxBufferedAmount: 1000 })
  socket.stall()
  connection.send(Buffer.alloc(2000))
  connection.send('too much')
  socket.unstall()
  await peer.untilClose()
  t.strictSame(peer.wire.at(-1), 'close 1008 "send-buffer-full"')
  peer.fin()
  t.equal((await connection.closed).trigger, 'limit')
})

await t.test('D10: at maxBufferedAmount, drop: the message is gone, the connection stays', async (t) => {
  const { connection, peer, socket } = open({ maxBufferedAmount: 1000, onBackpressure: 'drop' })
  socket.stall()
  t.equal(connection.send(Buffer.alloc(1500)), false, 'the mark is no higher than the cap')
  t.equal(connection.send('dropped'), false)
  t.equal(coreOf(connection).sendPrepared(new PreparedMessage('dropped too')), false)
  t.equal(connection.state, 'open')
  const drained = connection.drained()
  socket.unstall()
  await drained
  t.equal(connection.send('goes on'), true)
  await settle()
  t.strictSame(peer.wire, ['binary 1500 bytes', 'text "goes on"'])
  connection.terminate()
})

await t.test('S3: an echo to a peer that does not read stops reading from it', async (t) => {
  const { connection, peer, socket, timers } = open({ highWaterMark: 10_000, maxBufferedAmount: 50_000 })
  connection.on('message', (message) => connection.send(message))
  socket.stall()
  const flood = Array.from({ length: 1000 }, () => peer.encode(binary, Buffer.alloc(100)))
  for (let n = 0; n < 5; n++) peer.write(Buffer.concat(flood))
  await settle()
  t.equal(connection.bufferedAmount, 20_196, 'twice the mark, and what it takes to get there')
  timers.advance(1000)
  await settle()
  t.equal(connection.bufferedAmount, 20_298, 'one message more a beat: two that wait for each other go on')
  t.equal(connection.state, 'open')

  socket.unstall()
  for (let turn = 0; turn < 5000 && peer.wire.length < 5000; turn++) await turns()
  t.equal(peer.wire.length, 5000)
  t.equal(connection.bufferedAmount, 0)
  t.equal(new Set(peer.wire).size, 1, 'when it reads again, all is answered, without the clock')
  connection.terminate()
})

await t.test('S3: a peer that does not read is cut at the cap all the same', async (t) => {
  const { connection, peer, socket, timers } = open({ highWaterMark: 1000, maxBufferedAmount: 5000 })
  connection.on('message', (message) => connection.send(message))
  socket.stall()
  peer.write(Buffer.concat(Array.from({ length: 1000 }, () => peer.encode(binary, Buffer.alloc(500)))))
  let beats = 0
  for (; connection.state === 'open' && beats < 100; beats++) {
    await turns(2)
    timers.advance(1000)
  }
  t.equal(beats, 7)
  timers.advance(2000)
  t.match((await connection.closed).error, { code: 'send-buffer-full' })
})

await t.test('S3: two that answer each other without looking do not wait for ever', async (t) => {
  const { client, server, timers } = openBoth({ highWaterMark: 1000 })
  let echoes = 0
  for (const each of [client, server]) {
    each.on('message', (message) => {
      echoes++
      if (echoes < 500) each.send(message)
    })
    for (let n = 0; n < 50; n++) each.send(Buffer.alloc(2000))
  }
  for (let beat = 0; beat < 1000 && client.bufferedAmount + server.bufferedAmount > 0; beat++) {
    await turns(20)
    timers.advance(1000)
  }
  t.ok(echoes >= 500)
  client.terminate()
})

await t.test('S3: two that stream to each other and wait for drains are not slowed down', async (t) => {
  const { client, server } = openBoth({ highWaterMark: 1000 })
  const count = 50
  const stream = async (from: Connection): Promise<void> => {
    for (let n = 0; n < count; n++) {
      if (!from.send(Buffer.alloc(100_000))) await from.drained()
    }
  }
  const got = [messagesOf(client), messagesOf(server)]
  await Promise.all([stream(client), stream(server)])
  await until(() => got.every((messages) => messages.length === count))
  t.pass('the clock stood still')
  client.terminate()
})

await t.test('S3: a held input hides neither a dead peer nor a Close that is awaited', async (t) => {
  const gone = open({ highWaterMark: 1000 })
  gone.socket.stall()
  gone.connection.on('message', () => gone.connection.send(Buffer.alloc(1000)))
  for (let n = 0; n < 3; n++) gone.peer.text('x')
  await settle()
  for (let second = 1; second <= 46; second++) {
    gone.timers.advance(1000)
    gone.connection.send('pushed')
  }
  t.equal(gone.connection.state, 'failing')
  gone.timers.advance(2000)
  t.equal((await gone.connection.closed).trigger, 'keepalive-timeout')

  const closed = open({ highWaterMark: 1000 })
  closed.socket.stall()
  closed.connection.on('message', () => closed.connection.send(Buffer.alloc(1000)))
  for (let n = 0; n < 5; n++) closed.peer.text('x')
  closed.peer.close(1000)
  await settle()
  t.equal(closed.connection.state, 'open')
  const closing = closed.connection.close(1000)
  await settle()
  t.equal(closed.connection.state, 'close-done')
  closed.socket.unstall()
  closed.peer.fin()
  t.ok((await closing).wasClean)
})

await t.test('D10: a peer that left while nobody takes its messages is found out', async (t) => {
  for (const [options, stop] of [
    [{ maxQueuedMessages: 1 }, () => {}],
    [{}, (connection: Connection) => connection.pause()],
  ] as const) {
    const { connection, peer, timers } = open(options)
    stop(connection)
    for (let n = 0; n < 3; n++) peer.text('x')
    await settle()
    peer.socket.destroy()
    await settle()
    t.equal(connection.state, 'open', 'its end waits behind what is not read')
    for (let second = 1; second <= 26; second++) timers.advance(1000)
    t.match(await connection.closed, { trigger: 'socket-error', error: { code: 'EPIPE' } })
  }
})

await t.test('D10: pings that fill the output make a dropped send wait as well', async (t) => {
  const { connection, socket } = open({ maxBufferedAmount: 100, onBackpressure: 'drop' })
  socket.stall()
  for (let n = 0; n < 3; n++) void connection.ping(Buffer.alloc(100))
  t.equal(connection.send('dropped'), false)
  let drained = false
  const wait = connection.drained().then(() => (drained = true))
  await turns(2)
  t.notOk(drained)
  socket.unstall()
  await wait
  connection.terminate()
})

await t.test(
  'E4: a send in a drain listener is queued, a frame that is framed already goes like a message',
  async (t) => {
    const { connection, peer, socket } = open({ highWaterMark: 10 })
    socket.stall()
    t.equal(coreOf(connection).sendPrepared(new PreparedMessage('framed once')), false)
    connection.once('drain', () => connection.send('from drain'))
    socket.unstall()
    await settle()
    t.strictSame(peer.wire, ['text "framed once"', 'text "from drain"'])
    connection.terminate()
    t.equal(coreOf(connection).sendPrepared(new PreparedMessage('')), false)
  },
)

// Streams

await t.test('6455-5.4-send-fragments: control frames between, messages behind', async (t) => {
  const { connection, peer } = open({ role: 'client' })
  async function* parts(): AsyncGenerator<string> {
    yield 'one'
    connection.send('behind')
    void connection.ping('p')
    peer.ping('q')
    await until(() => peer.wire.length === 3)
    yield 'two'
  }
  await connection.sendFragments(parts())
  await settle()
  t.strictSame(peer.wire, ['text "one"…', 'ping 70', 'pong 71', 'more "two"…', 'more ""', 'text "behind"'])
  connection.terminate()
})

await t.test('P8: streams take turns; a surrogate pair over two parts stays whole', async (t) => {
  const { connection, peer } = open()
  const all = [
    connection.sendFragments(['a\ud83d', '\ude42']),
    connection.sendFragments([Buffer.from('b')]),
    connection.sendFragments([]),
  ]
  connection.send('last')
  await Promise.all(all)
  await settle()
  t.strictSame(peer.wire, [
    'text "a"…',
    'more "🙂"…',
    'more ""',
    'binary 62…',
    'more ""',
    'text ""',
    'text "last"',
  ])
  connection.terminate()
})

await t.test('backpressure: a stream waits for the socket, and goes on', async (t) => {
  const { connection, peer, socket } = open({ highWaterMark: 1000 })
  socket.stall()
  let asked = 0
  const sent = connection.sendFragments(
    (function* () {
      for (; asked < 10; asked++) yield Buffer.alloc(400)
    })(),
  )
  await turns(3)
  t.equal(asked, 2, 'three parts reach the mark')
  socket.unstall()
  await sent
  await settle()
  t.equal(peer.wire.length, 11)
  connection.terminate()
})

await t.test('backpressure: what waits behind a stream does not hold it up', async (t) => {
  const { connection, peer } = open({ highWaterMark: 1000 })
  const sent = connection.sendFragments(
    (async function* () {
      yield 'a'
      t.equal(connection.send(Buffer.alloc(2000)), false)
      await turns()
      yield 'b'
      yield 'c'
    })(),
  )
  await sent
  await connection.drained()
  await settle()
  t.strictSame(peer.wire, ['text "a"…', 'more "b"…', 'more "c"…', 'more ""', 'binary 2000 bytes'])
  connection.terminate()
})

await t.test(
  'D2: a source that throws, or parts of mixed types, are 1011 and come back to the caller',
  async (t) => {
    const oops = new Error('oops')
    const sources: [() => Iterable<Data> | AsyncIterable<Data>, Error][] = [
      [
        async function* () {
          yield 'a'
          await turns()
          throw oops
        },
        oops,
      ],
      [
        () => ['a', Buffer.from('b')],
        new TypeError('the parts of one message must be all strings or all bytes'),
      ],
      [
        () => ['a', 5 as unknown as Data],
        new TypeError('data must be a string, an ArrayBuffer, a typed array, a DataView or a Buffer'),
      ],
    ]
    for (const [parts, error] of sources) {
      const { connection, peer, handlerErrors } = open()
      await t.rejects(connection.sendFragments(parts()), error)
      await peer.untilClose()
      t.equal(peer.wire.at(-1), 'close 1011')
      peer.fin()
      const info = await connection.closed
      t.match(info, { trigger: 'handler-error', error: { message: error.message } })
      t.strictSame(handlerErrors, [], 'the caller has it')
    }
  },
)

await t.test('what is no iterable is a TypeError at once, and the connection goes on', async (t) => {
  const { connection, peer } = open()
  for (const parts of ['text', Buffer.from('bytes'), 5, undefined]) {
    t.throws(() => connection.sendFragments(parts as unknown as Iterable<Data>), TypeError)
  }
  connection.send('on')
  await settle()
  t.strictSame(peer.wire, ['text "on"'])
  connection.terminate()
})

await t.test(
  '6455-6.1-abort-on-state-change: closing cuts a stream; the source is told, the caller too',
  async (t) => {
    for (const how of ['close', 'peer', 'terminate', 'fin'] as const) {
      const { connection, peer } = open()
      let told = 0
      const source = {
        [Symbol.asyncIterator]() {
          let first = true
          return {
            next(): Promise<IteratorResult<Data>> {
              if (!first) return new Promise(() => {})
              first = false
              return Promise.resolve({ done: false, value: 'part' })
            },
            return(): Promise<IteratorResult<Data>> {
              told++
              return new Promise(() => {})
            },
          }
        },
      }
      const sent = connection.sendFragments(source)
      const waiting = connection.sendFragments(['never'])
      connection.send('never')
      await peer.until(() => peer.wire.length === 1)
      if (how === 'close') void connection.close(1000)
      else if (how === 'terminate') connection.terminate()
      else if (how === 'fin') peer.fin()
      else peer.close(1000)
      if (how === 'close') {
        await peer.untilClose()
        peer.close(1000)
      }
      await peer.untilEnd()
      peer.fin()
      const info = await connection.closed
      await t.rejects(sent, { name: 'ConnectionClosedError', info })
      await t.rejects(waiting, { name: 'ConnectionClosedError', info })
      t.equal(told, 1)
      t.equal(connection.bufferedAmount, 0)
      t.strictSame(peer.wire, ['text "part"…', ...(how === 'close' || how === 'peer' ? ['close 1000'] : [])])
    }
  },
)

await t.test(
  'a stream that yields on a closing connection, or waits for room there, ends with it',
  async (t) => {
    const { connection, peer, socket } = open({ highWaterMark: 100 })
    socket.stall()
    let go = (): void => {}
    const later = new Promise<void>((resolve) => (go = resolve))
    const full = connection.sendFragments([Buffer.alloc(200), Buffer.from('never sent')])
    await turns(2)
    void connection.close()
    const late = connection.sendFragments(
      (async function* () {
        await later
        yield 'late'
      })(),
    )
    go()
    socket.unstall()
    await peer.untilClose()
    peer.close()
    await peer.untilEnd()
    peer.fin()
    await connection.closed
    await t.rejects(full, { name: 'ConnectionClosedError' })
    await t.rejects(late, { name: 'ConnectionClosedError' })
    await t.rejects(connection.sendFragments(['closed']), { name: 'ConnectionClosedError' })
    t.strictSame(peer.wire, ['binary 200 bytes…', 'close'])
  },
)

await t.test('a source that throws when we are closing already does not spoil the close', async (t) => {
  const { connection, peer } = open()
  let fail = (_error: Error): void => {}
  const sent = connection.sendFragments({
    [Symbol.asyncIterator]: () => ({ next: () => new Promise((_, reject) => (fail = reject)) }),
  })
  await turns()
  void connection.close(1000)
  fail(new Error('oops'))
  await t.rejects(sent, new Error('oops'))
  await peer.untilClose()
  peer.close(1000)
  await peer.untilEnd()
  peer.fin()
  t.match(await connection.closed, { wasClean: true, trigger: 'local-close' })
})

await t.test('a stream that waits for room ends when the connection does', async (t) => {
  const { connection, socket } = open({ highWaterMark: 10 })
  socket.stall()
  const sent = connection.sendFragments(['longer than the mark', 'never sent'])
  await turns(2)
  connection.terminate()
  await t.rejects(sent, { name: 'ConnectionClosedError', info: { trigger: 'terminate' } })
})

// Receiving

await t.test('D3: push: several messages of one turn, in order, synchronously', async (t) => {
  const { connection, peer, socket } = open()
  const messages = messagesOf(connection)
  peer.write(Buffer.concat(['a', 'b', 'c'].map((message) => peer.encode(text, message))))
  await once(socket, 'data')
  t.strictSame(messages, ['a', 'b', 'c'])
  connection.terminate()
})

await t.test('D3: pull: what came before, what comes later, and the iterator', async (t) => {
  const { connection, peer } = open()
  peer.text('a')
  peer.frame(binary, 'b')
  await settle()
  t.equal(await connection.receive(), 'a')
  t.strictSame(await connection.receive(), Buffer.from('b'))
  const [c, d] = [connection.receive(), connection.receive()]
  peer.text('c')
  peer.text('d')
  t.equal(await c, 'c')
  t.equal(await d, 'd')
  for (const message of ['e', 'f', 'g', 'h']) peer.text(message)
  const seen: Message[] = []
  for await (const message of connection) {
    seen.push(message)
    if (message === 'f') break
  }
  t.equal(connection.state, 'open', 'leaving the loop closes nothing')
  for await (const message of connection) {
    seen.push(message)
    if (message !== 'h') continue
    peer.close(1000)
    peer.fin()
  }
  t.strictSame(seen, ['e', 'f', 'g', 'h'])
  const iterator = connection[Symbol.asyncIterator]()
  t.equal(iterator[Symbol.asyncIterator](), iterator)
  t.strictSame(await iterator.next(), { done: true, value: undefined })
  t.strictSame(await iterator.return?.(), { done: true, value: undefined })
})

await t.test('D3: mixed: a receive that waits comes before the listener', async (t) => {
  const { connection, peer } = open()
  const messages = messagesOf(connection)
  const waiting = connection.receive()
  peer.text('a')
  peer.text('b')
  t.equal(await waiting, 'a')
  await settle()
  t.strictSame(messages, ['b'])
  connection.terminate()
})

await t.test(
  'D3: a listener that comes late gets what was queued, in order, before what comes',
  async (t) => {
    for (const add of ['on', 'once', 'addListener', 'prependListener', 'prependOnceListener'] as const) {
      const { connection, peer } = open()
      peer.text('a')
      peer.text('b')
      await settle()
      const messages: Message[] = []
      connection[add]('message', (message) => messages.push(message))
      t.strictSame(messages, [], 'not before whoever adds it goes on')
      await turns()
      const rest = add.toLowerCase().includes('once') ? [] : ['b']
      t.strictSame(messages, ['a', ...rest])
      peer.text('c')
      await settle()
      t.strictSame(messages, rest.length === 0 ? ['a'] : ['a', 'b', 'c'])
      if (rest.length === 0) t.equal(await connection.receive(), 'b')
      connection.terminate()
    }
  },
)

await t.test(
  'D1: a Duplex that emits no close event is seen to have closed at the next heartbeat',
  async (t) => {
    const silent = (): Duplex =>
      new Duplex({ emitClose: false, read() {}, write: (_chunk, _encoding, callback) => callback() })
    for (const end of ['terminate', 'destroy'] as const) {
      const socket = silent()
      const timers = new FakeTimers()
      const connection = new Connection(socket, { role: 'server', timers })
      if (end === 'terminate') connection.terminate()
      else socket.destroy()
      await turns()
      t.not(connection.state, 'closed')
      timers.advance(1000)
      t.equal(connection.state, 'closed')
      t.match(await connection.closed, { wasClean: false })
      t.equal(timers.armed, 0)
    }
  },
)

await t.test('D3, E4: removeAllListeners forgets the listeners, and no later message', async (t) => {
  const { connection, peer } = open()
  const early = messagesOf(connection)
  connection.removeAllListeners()
  peer.text('a')
  peer.text('b')
  await settle()
  const late = messagesOf(connection)
  peer.text('c')
  await settle()
  t.strictSame(early, [])
  t.strictSame(late, ['a', 'b', 'c'])
  connection.removeAllListeners('message')
  peer.text('d')
  await settle()
  const later = messagesOf(connection)
  await turns()
  t.strictSame(later, ['d'])
  connection.removeAllListeners('newListener').removeAllListeners('message')
  peer.text('e')
  await settle()
  const latest = messagesOf(connection)
  await turns()
  t.strictSame(latest, ['e'])
  connection.terminate()
})

await t.test('P6: an aborted receive loses nothing, one that is aborted already takes nothing', async (t) => {
  const { connection, peer } = open()
  const controller = new AbortController()
  const waiting = connection.receive({ signal: controller.signal })
  controller.abort(new Error('enough'))
  await t.rejects(waiting, new Error('enough'))
  t.equal(connection.state, 'open')
  peer.text('a')
  await settle()
  await t.rejects(connection.receive({ signal: AbortSignal.abort() }), { name: 'AbortError' })
  t.equal(await connection.receive({ signal: new AbortController().signal }), 'a')
  connection.terminate()
})

await t.test('D3, D4: a full queue stops the reading, and the peer feels it', async (t) => {
  const { connection, peer, socket } = open({
    maxQueuedMessages: 4,
    pair: { highWaterMark: 100, capacity: 100 },
  })
  const sent = 1000
  for (let n = 0; n < sent; n++) peer.text(`message ${n}`)
  await settle()
  t.ok(socket.isPaused())
  t.ok(peer.socket.writableLength > 10_000, 'the network takes no more')
  for (let n = 0; n < sent; n++) {
    const message = await connection.receive()
    if (message !== `message ${n}`) t.equal(message, `message ${n}`)
  }
  t.notOk(socket.isPaused())
  connection.terminate()
})

await t.test('D3, D4: 1 MiB of queued messages is enough too', async (t) => {
  const { connection, peer, socket } = open({ pair: { capacity: 8 * mebibyte, highWaterMark: 8 * mebibyte } })
  for (let n = 0; n < 8; n++) peer.frame(binary, Buffer.alloc(mebibyte / 4, n))
  await settle()
  t.ok(socket.isPaused())
  const messages = messagesOf(connection)
  await settle()
  t.ok(messages.every((message, n) => Buffer.alloc(mebibyte / 4, n).equals(Buffer.from(message))))
  t.equal(messages.length, 8)
  connection.terminate()
})

await t.test('M2: a small message that is queued does not pin the chunk that it came in', async (t) => {
  const { connection, peer } = open()
  peer.write(Buffer.concat([peer.encode(binary, 'small'), peer.encode(text, 'x'.repeat(10_000))]))
  await settle()
  const message = await connection.receive()
  if (!Buffer.isBuffer(message)) throw new TypeError('binary is a Buffer')
  t.equal(message.toString(), 'small')
  t.ok(message.buffer.byteLength < 100)
  connection.terminate()
})

await t.test('pause: neither messages nor Pings nor the Close are seen until resume', async (t) => {
  const { connection, peer } = open()
  const messages = messagesOf(connection)
  connection.pause()
  peer.text('a')
  peer.ping('p')
  peer.close(1000)
  await settle()
  t.strictSame(messages, [])
  t.strictSame(peer.wire, [])
  t.equal(connection.state, 'open')
  connection.resume()
  await peer.untilEnd()
  peer.fin()
  t.strictSame(messages, ['a'])
  t.strictSame(peer.wire, ['pong 70', 'close 1000'])
  t.ok((await connection.closed).wasClean)
})

await t.test('pause from inside a listener holds what is in the same chunk', async (t) => {
  const { connection, peer } = open()
  const messages: Message[] = []
  connection.on('message', (message) => {
    messages.push(message)
    connection.pause()
  })
  peer.write(Buffer.concat(['a', 'b', 'c'].map((message) => peer.encode(text, message))))
  await settle()
  t.strictSame(messages, ['a'])
  connection.resume()
  t.strictSame(messages, ['a', 'b'])
  connection.resume()
  t.strictSame(messages, ['a', 'b', 'c'])
  connection.terminate()
})

await t.test('D3: a FIN behind messages that are held comes behind them', async (t) => {
  for (const how of ['full', 'paused'] as const) {
    const { connection, peer } = open({ maxQueuedMessages: 2 })
    const messages: Message[] = []
    const add = (): void => void connection.on('message', (message) => messages.push(message))
    if (how === 'paused') {
      add()
      connection.pause()
    }
    for (const message of ['a', 'b', 'c', 'd', 'e']) peer.text(message)
    peer.fin()
    await settle()
    t.equal(connection.state, 'open', how)
    if (how === 'full') add()
    else connection.resume()
    const info = await connection.closed
    t.strictSame(messages, ['a', 'b', 'c', 'd', 'e'])
    t.match(info, { trigger: /^peer-fin$/, code: 1006 })
  }
})

await t.test('D1: messages that are queued when the connection ends can still be taken', async (t) => {
  const { connection, peer } = open()
  peer.text('a')
  peer.text('b')
  peer.close(1000)
  peer.fin()
  await connection.closed
  t.equal(await connection.receive(), 'a')
  const messages = messagesOf(connection)
  await turns()
  t.strictSame(messages, ['b'])
  await t.rejects(connection.receive(), { name: 'ConnectionClosedError', info: { code: 1000 } })
})

await t.test(
  'K5: close() finds the peer’s Close though paused or full, and discards what finds no room',
  async (t) => {
    for (const how of ['full', 'paused'] as const) {
      const { connection, peer } = open({ maxQueuedMessages: 2 })
      if (how === 'paused') connection.pause()
      for (const message of ['a', 'b', 'c', 'd']) peer.text(message)
      await settle()
      const closed = connection.close(1000)
      await peer.untilClose()
      peer.text('e')
      peer.close(1000)
      await peer.untilEnd()
      peer.fin()
      t.ok((await closed).wasClean, how)
      t.equal(await connection.receive(), 'a')
      t.equal(await connection.receive(), 'b')
      await t.rejects(connection.receive(), { name: 'ConnectionClosedError' })
    }
  },
)

await t.test('K5: closeOutput() keeps every message, with backpressure', async (t) => {
  const { connection, peer, timers } = open({ maxQueuedMessages: 2, keepalive: false })
  for (const message of ['a', 'b', 'c', 'd']) peer.text(message)
  peer.close(1000)
  await settle()
  await connection.closeOutput(1000)
  timers.advance(100_000)
  await settle()
  t.equal(connection.state, 'close-sent')
  for (const message of ['a', 'b', 'c', 'd']) t.equal(await connection.receive(), message)
  await peer.untilEnd()
  peer.fin()
  t.ok((await connection.closed).wasClean)
})

await t.test('D1: nothing is delivered after terminate(), from inside a listener too', async (t) => {
  const inside = open()
  const messages: Message[] = []
  inside.connection.on('message', (message) => {
    messages.push(message)
    inside.connection.terminate()
    t.equal(inside.connection.state, 'failing')
  })
  const { peer } = inside
  peer.write(Buffer.concat(['a', 'b', 'c'].map((message) => peer.encode(text, message))))
  t.match(await inside.connection.closed, { trigger: 'terminate', code: 1006, sent: null })
  t.strictSame(messages, ['a'])

  const queued = open()
  queued.peer.text('a')
  await settle()
  queued.connection.terminate()
  const late = messagesOf(queued.connection)
  await t.rejects(queued.connection.receive(), { name: 'ConnectionClosedError' })
  await settle()
  t.strictSame(late, [])
})

await t.test('E4: what a state listener does to a paused connection stops the reading at once', async (t) => {
  const ways: Record<string, (connection: Connection) => void> = {
    terminate: (connection) => connection.terminate(),
    throw: () => {
      throw new Error('oops')
    },
  }
  for (const [name, act] of Object.entries(ways)) {
    const { connection, peer } = open()
    const messages: Message[] = []
    connection.pause()
    peer.write(Buffer.concat(['a', 'b'].map((message) => peer.encode(text, message))))
    await settle()
    connection.on('message', (message) => {
      messages.push(message)
      act(connection)
    })
    connection.once('state', () => connection.resume())
    void connection.closeOutput()
    await settle()
    t.strictSame(messages, ['a'], name)
    peer.fin()
    await connection.closed
  }

  const { connection, peer } = open()
  connection.pause()
  peer.write(Buffer.concat([peer.encode(Opcode.close), peer.encode(text, 'behind the Close')]))
  await settle()
  const messages = messagesOf(connection)
  connection.once('state', () => connection.resume())
  void connection.closeOutput()
  await settle()
  t.strictSame(messages, [])
  peer.fin()
  t.ok((await connection.closed).wasClean)
})

await t.test(
  'Z9, 6455-10.4-message-limit: the process budget and maxMessageSize end the connection',
  async (t) => {
    const room = 64 * mebibyte - unfinishedMessages.used
    t.equal(unfinishedMessages.charge(room), true)
    const shed = open()
    shed.peer.text('unfinished', false)
    await shed.peer.untilClose()
    t.strictSame(shed.peer.wire, ['close 1013 "process-budget"'])
    unfinishedMessages.release(room)
    shed.peer.fin()
    t.match(await shed.connection.closed, { trigger: 'limit', error: { code: 'process-budget' } })

    const big = open({ maxMessageSize: 10 })
    big.peer.hex('82 8b')
    await big.peer.untilClose()
    t.strictSame(big.peer.wire, ['close 1009 "message-too-big"'])
    big.peer.fin()
    t.match(await big.connection.closed, { trigger: 'limit', error: { code: 'message-too-big' } })

    const ended = open()
    ended.peer.text('unfinished', false)
    await settle()
    t.not(unfinishedMessages.used, 0)
    ended.connection.terminate()
    t.equal(unfinishedMessages.used, 0)
  },
)

await t.test('rateLimit: more is 1008 with a name of its own, and CloseInfo tells of a limit', async (t) => {
  const { connection, peer, timers } = open({ rateLimit: { messages: 3 } })
  const messages = messagesOf(connection)
  for (const message of ['a', 'b', 'c']) peer.text(message)
  await settle()
  timers.advance(1000)
  for (const message of ['d', 'e', 'f', 'g', 'h']) peer.text(message)
  await peer.untilClose()
  t.strictSame(messages, ['a', 'b', 'c', 'd', 'e', 'f'])
  t.strictSame(peer.wire, ['close 1008 "rate-limit"'])
  peer.fin()
  const info = await connection.closed
  t.match(info, { trigger: 'limit', wasClean: false, error: { code: 'rate-limit', closeCode: 1008 } })
})

await t.test('rateLimit, pause: every message comes, by and by, and nobody is given up', async (t) => {
  const { connection, peer, timers } = open({ rateLimit: { messages: 3, onExcess: 'pause' } })
  const messages = messagesOf(connection)
  const sent = Array.from({ length: 300 }, (_, n) => `${n}`)
  peer.write(Buffer.concat(sent.map((message) => peer.encode(Opcode.text, message))))
  await settle()
  t.equal(messages.length, 4, 'one more than was there; it is owed')
  for (let second = 1; second < 100; second++) {
    timers.advance(1000)
    await turns(2)
    t.equal(messages.length, Math.min(300, 4 + 3 * second), `${second}`)
  }
  t.strictSame(messages, sent)
  t.equal(connection.state, 'open')
  connection.terminate()
})

await t.test('rateLimit, pause: close() finds the Close behind what is held', async (t) => {
  const { connection, peer } = open({ rateLimit: { messages: 1, onExcess: 'pause' } })
  const messages = messagesOf(connection)
  for (const message of ['a', 'b', 'c', 'd']) peer.text(message)
  await settle()
  t.equal(messages.length, 2)
  const closed = connection.close(1000)
  await peer.untilClose()
  peer.close(1000)
  await peer.untilEnd()
  peer.fin()
  t.ok((await closed).wasClean)
  t.equal(messages.length, 4)
})

// Control frames

await t.test(
  '6455-5.5.2-ping-pong, 6455-5.5.3-pong-unsolicited: answered at once, told of, or ignored',
  async (t) => {
    const { connection, peer } = open()
    const events: string[] = []
    connection.on('ping', (payload) => events.push(`ping ${payload.toString('hex')}`))
    connection.on('pong', (payload) => events.push(`pong ${payload.toString('hex')}`))
    peer.ping(Buffer.from([0xff, 0x80]))
    peer.frame(pong, 'unasked')
    peer.ping(Buffer.alloc(125, 1))
    await settle()
    t.strictSame(peer.wire, ['pong ff80', `pong ${'01'.repeat(125)}`])
    t.strictSame(events, [
      'ping ff80',
      `pong ${Buffer.from('unasked').toString('hex')}`,
      `ping ${'01'.repeat(125)}`,
    ])
    connection.terminate()
  },
)

await t.test('6455-5.5.1-no-ping-after-close: no Pong and no Ping behind our own Close', async (t) => {
  const { connection, peer } = open()
  let pings = 0
  connection.on('ping', () => pings++)
  void connection.close(1000)
  const late = connection.ping()
  peer.ping('p')
  await settle()
  t.equal(pings, 1)
  t.strictSame(peer.wire, ['close 1000'])
  peer.close(1000)
  await peer.untilEnd()
  peer.fin()
  await t.rejects(late, { name: 'ConnectionClosedError' })
  await t.rejects(connection.ping(), { name: 'ConnectionClosedError' })
  t.strictSame(peer.wire, ['close 1000'])
})

await t.test('ping: the round trip, several at once, a later Pong for earlier ones', async (t) => {
  const { connection, peer, timers } = open({ role: 'client' })
  const first = connection.ping()
  await settle()
  timers.advance(10)
  const second = connection.ping('mine')
  const third = connection.ping(new Uint8Array([1, 2]))
  await settle()
  timers.advance(5)
  t.strictSame(peer.wire, ['ping 00000000', 'ping 6d696e65', 'ping 0102'])
  peer.frame(pong, 'mine')
  t.equal(await first, 15)
  t.equal(await second, 5)
  timers.advance(3)
  peer.frame(pong, Buffer.from([1, 2]))
  t.equal(await third, 8)
  connection.terminate()
})

await t.test(
  '6455-5.5-send-control-limit: a Ping of 125 bytes leaves, one of 126 is a RangeError',
  async (t) => {
    const { connection, peer } = open()
    t.throws(
      () => connection.ping(Buffer.alloc(126)),
      new RangeError('a Ping holds at most 125 bytes, not 126 (RFC 6455 5.5)'),
    )
    t.throws(() => connection.ping('é'.repeat(63)), RangeError)
    const data = Buffer.alloc(125, 1)
    void connection.ping(data)
    data.fill(2)
    await settle()
    t.strictSame(peer.wire, [`ping ${'01'.repeat(125)}`])
    connection.terminate()
  },
)

await t.test('ping: an abort ends the wait; a signal that is aborted sends nothing', async (t) => {
  const { connection, peer } = open()
  const controller = new AbortController()
  const aborted = connection.ping('a', { signal: controller.signal })
  controller.abort()
  await t.rejects(aborted, { name: 'AbortError' })
  await t.rejects(connection.ping('b', { signal: AbortSignal.abort() }), { name: 'AbortError' })
  await settle()
  t.strictSame(peer.wire, ['ping 61'])
  t.equal(connection.state, 'open')
  connection.terminate()
})

// Who is there

await t.test('D10: keepalive: a Ping after the interval, the end after the timeout behind it', async (t) => {
  const { connection, peer, timers } = open()
  timers.advance(24_000)
  await settle()
  t.strictSame(peer.wire, [])
  timers.advance(1_000)
  await settle()
  t.strictSame(peer.wire, ['ping'])
  peer.frame(pong)
  await settle()
  timers.advance(25_000)
  await settle()
  t.strictSame(peer.wire, ['ping'], 'it began anew')
  timers.advance(1_000)
  await settle()
  t.strictSame(peer.wire, ['ping', 'ping'])
  timers.advance(20_000)
  t.equal(connection.state, 'failing')
  await settle()
  t.strictSame(peer.wire, ['ping', 'ping', 'close 1011 "keepalive timeout"'])
  timers.advance(2_000)
  t.match(await connection.closed, { trigger: 'keepalive-timeout', code: 1006, initiator: 'none' })
})

await t.test(
  'D10: keepalive is off on a client; while reading is held, silence does not count',
  async (t) => {
    const client = open({ role: 'client' })
    client.timers.advance(1_000_000)
    t.equal(client.connection.state, 'open')
    client.connection.terminate()

    const { connection, peer, timers } = open({ keepalive: { interval: 2_000, timeout: 2_000 } })
    connection.pause()
    timers.advance(100_000)
    t.equal(connection.state, 'open')
    connection.resume()
    timers.advance(2_000)
    await settle()
    t.strictSame([...new Set(peer.wire)], ['ping'])
    t.equal(peer.wire.length, 51, 'one an interval')
    peer.text('any sign of life')
    await settle()
    timers.advance(3_000)
    t.equal(connection.state, 'open')
    connection.terminate()
  },
)

await t.test('I9: keepalive guards a half-closed connection, without a Ping', async (t) => {
  const { connection, peer, timers } = open()
  await connection.closeOutput(1000)
  timers.advance(44_000)
  t.equal(connection.state, 'close-sent')
  timers.advance(1_000)
  await settle()
  t.match(await connection.closed, { trigger: 'keepalive-timeout', wasClean: false })
  t.strictSame(peer.wire, ['close 1000'])
})

await t.test('D10: no keepalive Ping once TCP is being ended', async (t) => {
  const { connection, peer, socket, timers } = open({
    pair: { highWaterMark: 1 },
    keepalive: { interval: 1_000, timeout: 60_000 },
    lingerTimeout: 5_000,
  })
  socket.stall()
  connection.send('fills the socket')
  peer.fin()
  await settle()
  t.equal(connection.state, 'failing')
  timers.advance(4_000)
  socket.unstall()
  await peer.untilEnd()
  t.strictSame(peer.wire, ['text "fills the socket"'])
  connection.terminate()
  await connection.closed
})

await t.test('F7: an unfinished frame or message without progress is 1008', async (t) => {
  for (const begin of ['81 fe 10 00 00 00 00 00 61', '01 81 00 00 00 00 61', '81']) {
    const { connection, peer, timers } = open({ keepalive: false })
    timers.advance(10_000)
    peer.hex(begin)
    await settle()
    timers.advance(29_000)
    t.equal(connection.state, 'open')
    timers.advance(2_000)
    await peer.untilClose()
    t.strictSame(peer.wire, ['close 1008 "no-progress"'])
    peer.fin()
    t.match(await connection.closed, { trigger: 'limit', error: { code: 'no-progress' } })
  }
})

await t.test(
  'F7: nobody is blamed while we do not read, nor once nothing is read for its content',
  async (t) => {
    const held = open({ keepalive: false })
    held.peer.text('unfinished', false)
    await settle()
    held.connection.pause()
    held.timers.advance(120_000)
    t.equal(held.connection.state, 'open')
    held.connection.terminate()

    const manual = open({ keepalive: false, closeReply: 'manual', closeTimeout: 1_000_000 })
    manual.peer.text('unfinished', false)
    manual.peer.close(1000)
    await settle()
    manual.timers.advance(120_000)
    t.equal(manual.connection.state, 'close-received')
    manual.connection.terminate()
  },
)

// Handlers

await t.test(
  'E2: a listener that throws or rejects closes its connection with 1011, reported once',
  async (t) => {
    const events: Record<string, (peer: RawPeer, connection: Connection, unstall: () => void) => void> = {
      message: (peer) => peer.text('m'),
      ping: (peer) => peer.ping(),
      pong: (peer) => peer.frame(pong),
      drain: (_peer, _connection, unstall) => unstall(),
      state: (_peer, connection) => void connection.close(1000),
    }
    for (const [event, cause] of Object.entries(events)) {
      for (const how of ['throws', 'rejects'] as const) {
        const watch = watchProcess()
        const { connection, peer, socket, handlerErrors } = open({ highWaterMark: 1 })
        const oops = new Error('oops')
        let calls = 0
        connection.once(event as keyof ConnectionEvents, () => {
          calls++
          if (how === 'throws') throw oops
          return Promise.reject(oops)
        })
        socket.stall()
        connection.send('fills')
        cause(peer, connection, () => socket.unstall())
        await settle()
        socket.unstall()
        await peer.untilClose()
        t.equal(peer.wire.at(-1), event === 'state' ? 'close 1000' : 'close 1011', `${event} ${how}`)
        peer.fin()
        const info = await connection.closed
        t.match(info, { trigger: 'handler-error', error: oops, code: 1006 })
        t.equal(calls, 1)
        t.strictSame(handlerErrors, [oops])
        t.strictSame(await watch.stop(), [])
      }
    }
  },
)

await t.test('E3: a handler of the server is one of the connection', async (t) => {
  const { connection, peer, handlerErrors } = open()
  coreOf(connection).handlerFailed(new Error('oops'))
  await peer.untilClose()
  t.strictSame(peer.wire, ['close 1011'])
  peer.fin()
  t.match(await connection.closed, { trigger: 'handler-error', error: { message: 'oops' } })
  matchEach(t, handlerErrors, [{ message: 'oops' }])
})

await t.test(
  'E2: a close listener that throws or rejects is reported; others are told all the same',
  async (t) => {
    for (const how of ['throws', 'rejects'] as const) {
      const { connection, peer, handlerErrors } = open()
      connection.on('close', () => {
        if (how === 'throws') throw new Error('oops')
        return Promise.reject(new Error('oops'))
      })
      peer.fin()
      t.equal((await connection.closed).trigger, 'peer-fin')
      await settle()
      matchEach(t, handlerErrors, [{ message: 'oops' }])
    }
  },
)

await t.test('D2: with nobody to report to, what a handler threw is a process warning', async (t) => {
  for (const [thrown, message] of [
    [new Error('oops'), 'oops'],
    ['a string', "a handler threw 'a string'"],
  ] as const) {
    const watch = watchProcess()
    const [ours, theirs] = memoryPair()
    const connection = new Connection(ours, { role: 'server', timers: new FakeTimers() })
    const peer = new RawPeer(theirs, 'client', () => {})
    connection.on('message', () => {
      // oxlint-disable-next-line typescript/only-throw-error -- an application may
      throw thrown
    })
    peer.text('a')
    await peer.untilClose()
    peer.fin()
    t.equal((await connection.closed).error?.message, message)
    matchEach(t, await watch.stop(), [{ message }])
  }
})

await t.test('D2: `onClosed` that throws is reported, and the close is told of all the same', async (t) => {
  const thrown = new Error('from onClosed')
  const { connection, handlerErrors } = open({
    onClosed() {
      throw thrown
    },
  })
  connection.terminate()
  t.match(await connection.closed, { trigger: 'terminate' })
  t.strictSame(handlerErrors, [thrown])
})

await t.test('D2: a reporter that throws is a process warning too', async (t) => {
  const watch = watchProcess()
  const { connection, peer } = open({
    onHandlerError() {
      throw new Error('in the reporter')
    },
  })
  connection.on('message', () => {
    throw new Error('in the handler')
  })
  peer.text('a')
  await peer.untilClose()
  peer.fin()
  t.equal((await connection.closed).error?.message, 'in the handler')
  matchEach(t, await watch.stop(), [{ message: 'in the reporter' }])
})

await t.test('D2: callbacks that are async and reject are treated as those that throw', async (t) => {
  const rejecting = (message: string) => (): unknown => Promise.reject(new Error(message))
  const watch = watchProcess()
  const { connection, handlerErrors } = open({ onClosed: rejecting('late, from onClosed') })
  connection.terminate()
  await connection.closed
  await turns()
  matchEach(t, handlerErrors, [{ message: 'late, from onClosed' }])
  t.strictSame(await watch.stop(), [])

  const warnings = watchProcess()
  const reported = open({ onHandlerError: rejecting('late, in the reporter') })
  reported.connection.on('close', () => {
    throw new Error('in the handler')
  })
  reported.connection.terminate()
  await reported.connection.closed
  matchEach(t, await warnings.stop(), [{ name: 'Error', message: 'late, in the reporter' }])
})

await t.test('D2: a handler that ends because the connection closed is no fault of it', async (t) => {
  const { connection, peer, handlerErrors } = open()
  connection.on('message', async () => {
    await connection.receive()
  })
  peer.text('a')
  await settle()
  peer.close(1000)
  await peer.untilEnd()
  peer.fin()
  t.ok((await connection.closed).wasClean)
  await settle()
  t.strictSame(handlerErrors, [])

  const open2 = open()
  open2.connection.on('message', () => {
    throw new ConnectionClosedError({
      code: 1000,
      reason: '',
      wasClean: true,
      initiator: 'local',
      sent: null,
      received: null,
      trigger: 'local-close',
    })
  })
  open2.peer.text('a')
  await open2.peer.untilClose()
  t.equal(open2.handlerErrors.length, 1, 'another connection’s end is news while this one is open')
  open2.peer.fin()
  await open2.connection.closed
})

await t.test('E1: with no listener at all, every kind of end is quiet', async (t) => {
  const ends: Record<string, (peer: RawPeer, connection: Connection) => void> = {
    'a bad frame': (peer) => peer.hex('f1 80 00 00 00 00'),
    'a bad Close': (peer) => peer.hex('88 81 00 00 00 00 03'),
    'bad UTF-8': (peer) => peer.frame(text, Buffer.from([0xff])),
    'a reset': (peer) => peer.reset(),
    'a FIN': (peer) => peer.fin(),
    'a Close': (peer) => peer.close(4000),
    terminate: (_peer, connection) => connection.terminate(),
  }
  for (const [name, end] of Object.entries(ends)) {
    const watch = watchProcess()
    const { connection, peer } = open()
    end(peer, connection)
    await settle()
    peer.fin()
    await until(() => connection.state === 'closed')
    t.strictSame(await watch.stop(), [], name)
  }
})

await t.test('D2: promises that nobody watches never become unhandled rejections', async (t) => {
  const watch = watchProcess()
  const { connection, peer, socket } = open({ highWaterMark: 1 })
  const unwatched = (): void => {
    void connection.closed
    void connection.receive()
    void connection.receive({ signal: AbortSignal.abort() })
    void connection[Symbol.asyncIterator]().next()
    void connection.ping()
    void connection.drained()
    void connection.sendFragments(['a', 5 as unknown as Data])
    void connection.sendFragments({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('oops')) }),
    })
  }
  socket.stall()
  connection.send('x')
  unwatched()
  await settle()
  void connection.closeOutput()
  void connection.close()
  unwatched()
  socket.unstall()
  await settle()
  peer.fin()
  await until(() => connection.state === 'closed')
  unwatched()
  void connection.closeOutput()
  t.strictSame(await watch.stop(), [])
})

await t.test('a misspelt option does not pass for its default', async (t) => {
  const misspelt: object = { maxMesageSize: 1 }
  t.throws(() => open(misspelt), { name: 'TypeError', message: 'unknown option "maxMesageSize"' })
  t.doesNotThrow(() => open({ protocol: 'a', url: 'ws://a/', deflate: undefined, maxMessageSize: 1 }))
})

await t.test('P10: onClosed comes once, before anybody else hears of it', async (t) => {
  const order: string[] = []
  const { connection, peer } = open({ onClosed: (closed) => order.push(`onClosed ${closed === connection}`) })
  const { closed } = connection
  void closed.then(() => order.push('closed'))
  void connection.receive().catch(() => order.push('receive'))
  connection.on('close', () => order.push('close'))
  peer.fin()
  await closed
  await settle()
  t.equal(order[0], 'onClosed true')
  t.equal(order[1], 'close')
  t.strictSame(order.slice(2).toSorted(), ['closed', 'receive'])
})

// Closing

await t.test(
  'K7, 6455-5.5.1-close-reason-sent-limit: wrong arguments throw at once and change nothing',
  async (t) => {
    const { connection, peer } = open()
    const wrong: [unknown, unknown, new () => Error][] = [
      ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1, 1.5, NaN, Infinity].map(
        (code): [unknown, unknown, new () => Error] => [code, '', RangeError],
      ),
      [1000, 'x'.repeat(124), RangeError],
      [1000, '€'.repeat(42), RangeError],
      [undefined, 'reason', TypeError],
      ['1000', '', TypeError],
      [1000, 5, TypeError],
      [null, '', TypeError],
    ]
    for (const [code, reason, type] of wrong) {
      t.throws(() => void connection.close(code as number, reason as string), type)
      t.throws(() => void connection.closeOutput(code as number, reason as string), type)
    }
    await settle()
    t.equal(connection.state, 'open')
    t.strictSame(peer.wire, [])
    void connection.close(4999, 'x'.repeat(123))
    await peer.untilClose()
    t.throws(() => void connection.close(999), RangeError, 'when closing too')
    peer.close()
    peer.fin()
    t.match(await connection.closed, { code: 1005 })
    t.throws(() => void connection.close(999), RangeError, 'and when closed')
  },
)

await t.test(
  '6455-5.5.1-close-echo-code: the peer’s Close is answered with its code and reason',
  async (t) => {
    for (const [code, reason, line] of [
      [4001, 'why', 'close 4001 "why"'],
      [undefined, '', 'close'],
    ] as const) {
      for (const role of ['client', 'server'] as const) {
        const { connection, peer } = open({ role })
        peer.close(code, reason)
        await peer.untilClose()
        t.strictSame(peer.wire, [line])
        peer.fin()
        t.match(await connection.closed, {
          code: code ?? 1005,
          reason,
          wasClean: true,
          initiator: 'remote',
          trigger: 'peer-close',
        })
      }
    }
  },
)

await t.test('closeOutput: resolves when the Close has left, and receiving goes on', async (t) => {
  const { connection, peer, socket } = open({ keepalive: false })
  socket.stall()
  let left = false
  const output = connection.closeOutput(1000, 'done').then(() => (left = true))
  await settle()
  t.notOk(left)
  t.equal(connection.send('late'), false)
  socket.unstall()
  await output
  await peer.untilClose()
  t.strictSame(peer.wire, ['close 1000 "done"'])
  await connection.closeOutput(4000)
  peer.text('still')
  t.equal(await connection.receive(), 'still')
  peer.close(1000)
  await peer.untilEnd()
  peer.fin()
  t.ok((await connection.closed).wasClean)
  await connection.closeOutput()
  t.strictSame(peer.wire, ['close 1000 "done"'])
})

await t.test(
  'closeOutput resolves also when the connection closes first, and is cut by nothing but close',
  async (t) => {
    const lost = open({ keepalive: false })
    lost.socket.stall()
    const output = lost.connection.closeOutput()
    lost.peer.reset()
    await output
    t.match(await lost.connection.closed, { trigger: 'socket-error', wasClean: false })
    await lost.connection.closeOutput()

    const patient = open({ keepalive: false })
    await patient.connection.closeOutput()
    patient.timers.advance(1_000_000)
    t.equal(patient.connection.state, 'close-sent')
    void patient.connection.close()
    patient.timers.advance(10_000)
    t.match(await patient.connection.closed, { trigger: 'close-timeout' })
  },
)

await t.test('closeReply manual: the application answers, and may send before', async (t) => {
  for (const how of ['close', 'closeOutput'] as const) {
    const { connection, peer } = open({ closeReply: 'manual' })
    const waiting = connection.receive()
    const states: string[] = []
    connection.on('state', (state) => states.push(state))
    peer.close(1000, 'bye')
    await t.rejects(waiting, { name: 'ConnectionClosedError', info: { code: 1000 } })
    t.equal(connection.state, 'close-received')
    t.equal(connection.readyState, 2)
    await t.rejects(connection.receive(), { name: 'ConnectionClosedError' })
    peer.text('discarded')
    t.equal(connection.send('last words'), true)
    await connection.drained()
    await settle()
    t.strictSame(peer.wire, ['text "last words"'])
    void connection[how](4000, 'mine')
    await peer.untilEnd()
    peer.fin()
    t.strictSame(peer.wire, ['text "last words"', 'close 4000 "mine"'])
    t.match(await connection.closed, {
      code: 1000,
      wasClean: true,
      initiator: 'remote',
      sent: { code: 4000 },
    })
    t.strictSame(states, ['close-received', 'close-done', 'closed'])
  }
})

await t.test('await using: closes with 1000 and waits, at most closeTimeout', async (t) => {
  const both = openBoth()
  {
    await using connection = both.client
    connection.send('in the block')
  }
  t.equal(both.client.state, 'closed')
  t.ok((await both.server.closed).wasClean)
  t.equal((await both.server.closed).code, 1000)
  t.equal(await both.server.receive(), 'in the block')

  const { connection, timers } = open()
  const disposed = connection[Symbol.asyncDispose]()
  timers.advance(10_000)
  await disposed
  t.match(await connection.closed, { trigger: 'close-timeout' })
})

await t.test('a held FIN is not forgotten when a handler fails: no linger time is spent', async (t) => {
  const { connection, peer, timers } = open({ role: 'client', maxQueuedMessages: 1 })
  peer.text('a')
  peer.text('b')
  peer.text('c')
  await settle()
  // One chunk, so that the end comes while the decoder holds the rest of it.
  const held = open({ role: 'client', maxQueuedMessages: 1 })
  held.peer.write(Buffer.concat(['a', 'b', 'c'].map((message) => held.peer.encode(text, message))))
  held.peer.fin()
  await settle()
  t.equal(held.connection.state, 'open')
  held.connection.on('pong', () => {})
  await t.rejects(held.connection.sendFragments(['a', 5 as unknown as Data]), TypeError)
  await held.connection.closed
  t.equal(held.timers.now(), 0)
  connection.terminate()
  t.equal(timers.now(), 0)
})

// Re-entrancy

await t.test('E4: from inside every listener, everything may be done', async (t) => {
  const actions: Record<string, (connection: Connection) => unknown> = {
    send: (connection) => connection.send('from inside'),
    'send large': (connection) => connection.send(Buffer.alloc(100_000)),
    ping: (connection) => void connection.ping(),
    close: (connection) => void connection.close(4000),
    closeOutput: (connection) => void connection.closeOutput(4000),
    terminate: (connection) => connection.terminate(),
    pause: (connection) => {
      connection.pause()
      setImmediate(() => connection.resume())
    },
    resume: (connection) => connection.resume(),
    receive: (connection) => void connection.receive(),
    removeAllListeners: (connection) => {
      connection.removeAllListeners()
      connection.on('close', () => {})
    },
    sendFragments: (connection) => void connection.sendFragments(['a', 'b']),
    throw: () => {
      throw new Error('oops')
    },
  }
  const events: (keyof ConnectionEvents)[] = ['message', 'ping', 'pong', 'drain', 'state', 'close']
  for (const role of ['client', 'server'] as const) {
    for (const event of events) {
      for (const [name, act] of Object.entries(actions)) {
        const watch = watchProcess()
        const { connection, peer, timers } = open({ role, highWaterMark: 100 })
        const states: string[] = []
        connection.prependListener('state', (state) => states.push(state))
        let closes = 0
        const { closed } = connection
        void closed.then(() => closes++)
        connection.on(event, () => void act(connection))
        connection.send(Buffer.alloc(100))
        peer.write(
          Buffer.concat([
            peer.encode(text, 'one'),
            peer.encode(ping, 'p'),
            peer.encode(pong, 'q'),
            peer.encode(binary, 'two', false),
            peer.encode(continuation, 'three'),
          ]),
        )
        await settle()
        peer.close(1000)
        await settle()
        peer.fin()
        await settle()
        timers.advance(20_000)
        await closed
        await settle()
        const label = `${role}: ${name} in ${event}`
        t.equal(closes, 1, label)
        t.ok(isPath(states) || name === 'removeAllListeners', `${label}: ${states.join(' ')}`)
        const frames = peer.wire
        t.ok(frames.filter((line) => line.startsWith('close')).length <= 1, label)
        const at = frames.findIndex((line) => line.startsWith('close'))
        t.ok(at === -1 || at === frames.length - 1, `${label}: ${frames.join(', ')}`)
        t.strictSame(await watch.stop(), [], label)
        t.equal(unfinishedMessages.used, 0, label)
        t.equal(timers.armed, 0, label)
      }
    }
  }
})

/** States only ever go forward. */
function isPath(states: readonly string[]): boolean {
  const order = ['close-sent', 'close-received', 'close-done', 'failing', 'closed']
  return (
    new Set(states).size === states.length &&
    states.every((state, at) => at === 0 || order.indexOf(state) > order.indexOf(states[at - 1] ?? ''))
  )
}

await t.test(
  'K6: sends race close and terminate in every order; Close is last, and nothing escapes',
  async (t) => {
    const watch = watchProcess()
    let seed = 7
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff
      return (seed >>> 8) % below
    }
    for (let round = 0; round < 100; round++) {
      const role: Role = random(2) === 0 ? 'client' : 'server'
      const { connection, peer, socket, timers } = open({ role, highWaterMark: 200, maxBufferedAmount: 4000 })
      const { closed } = connection
      const errors: unknown[] = []
      socket.on('error', (error) => errors.push(error))
      let numbered = 0
      let ended = false
      const acts: (() => void)[] = [
        () => void connection.send(`${numbered++}`),
        () => void connection.send(`${numbered++}`),
        () => void connection.send(`${numbered++}`.padEnd(5000)),
        () => void connection.ping(),
        () => void connection.sendFragments(['fragment ', `of ${round}`]),
        () => socket.stall(),
        () => socket.unstall(),
        () => peer.text('hello'),
        () => peer.ping(),
        () => void (random(4) === 0 && connection.close(1000)),
        () => void (random(8) === 0 && connection.terminate()),
        () => void (random(8) === 0 && peer.close(1000)),
        () => void (random(16) === 0 && peer.fin()),
      ]
      void closed.then(() => (ended = true))
      for (let step = 0; step < 60; step++) {
        acts[random(acts.length)]?.()
        if (random(3) === 0) await turns()
      }
      socket.unstall()
      void connection.close(1000)
      await settle()
      peer.close(1000)
      await settle()
      peer.fin()
      timers.advance(20_000)
      await settle()
      t.ok(ended, `round ${round}`)
      t.strictSame(errors, [])
      const frames = peer.wire
      const at = frames.findIndex((line) => line.startsWith('close'))
      t.ok(at === -1 || at === frames.length - 1, frames.join(', '))
      const numbers = frames
        .filter((line) => /^text "\d/.test(line))
        .map((line) => Number(/\d+/.exec(line)?.[0]))
      t.strictSame(
        numbers,
        numbers.toSorted((one, other) => one - other),
      )
    }
    t.strictSame(await watch.stop(), [])
  },
)

await t.test(
  'K6: two of ours, many messages each way, closed by either: all that was sent before has come',
  async (t) => {
    for (const closer of ['client', 'server'] as const) {
      const both = openBoth()
      const messages = { client: messagesOf(both.client), server: messagesOf(both.server) }
      const large = Buffer.alloc(100_000, 1)
      for (let n = 0; n < 100; n++) {
        both.client.send(n % 10 === 0 ? large : `${n}`)
        both.server.send(n % 10 === 0 ? large : `${n}`)
      }
      const info = await both[closer].close(1000, 'bye')
      t.ok(info.wasClean)
      const other = closer === 'client' ? 'server' : 'client'
      t.ok((await both[other].closed).wasClean)
      t.equal(messages[other].length, 100)
      t.equal(messages[closer].length, 100)
      t.equal(both.timers.armed, 0)
    }
  },
)
