/** Compression in a connection: what goes out in which order, and what becomes of it when the connection ends. */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { Opcode } from '../../../frames/opcode.ts'
import { unfinishedMessages } from '../../../lib/budget.ts'
import {
  connect,
  Connection,
  ConnectionClosedError,
  type ConnectionOptions,
  type DeflateAgreement,
  type Message,
  type Role,
} from '../../../lib/index.ts'
import { Inflater } from '../../../lib/deflate/inflater.ts'
import { FakeTimers } from '../../help/fake-timers.ts'
import { turns, until, watchProcess } from '../../help/loop.ts'
import { memoryPair } from '../../help/memory-pair.ts'
import { serve } from '../../help/serve.ts'
import { StrictInflater } from '../../help/strict-inflater.ts'
import { RawPeer } from '../../wire/raw-peer.ts'
import { compress, jsonOf, noise, textOf } from './samples.ts'

const agreement: DeflateAgreement = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
}
/** How often zlib’s work is interrupted; `npm run attack Z7` does it 10,000 times. */
const loops = Number(process.env['FAREWELL_LOOPS'] ?? 540)
const long = textOf(200_000)
const other = textOf(100_000, 'other')

interface Ends {
  readonly connection: Connection
  readonly peer: RawPeer
}

function open(role: Role, options: ConnectionOptions = {}, deflate: Partial<DeflateAgreement> = {}): Ends {
  const [ours, theirs] = memoryPair({ capacity: 2 ** 30 })
  const connection = new Connection(ours, {
    role,
    compression: { threshold: 0 },
    deflate: { ...agreement, ...deflate },
    timers: new FakeTimers(),
    ...options,
  })
  const peer = new RawPeer(theirs, role === 'server' ? 'client' : 'server', () => theirs.reset())
  return { connection, peer }
}

/** The messages among the frames, inflated with the window of those before, as lines; and the control frames. */
function story({ peer }: Ends, strict = new StrictInflater(15, true)): string[] {
  return peer.frames.map(({ first, payload }) => {
    const opcode = first & 0x0f
    if (opcode >= 8) return `control ${opcode}`
    const message = (first & 0x40) === 0 ? payload : strict.inflate(payload)
    const fin = (first & 0x80) === 0 ? '…' : ''
    return message.length > 20 ? `${message.length} bytes${fin}` : `${message.toString()}${fin}`
  })
}

async function end({ connection, peer }: Ends): Promise<void> {
  connection.terminate()
  peer.fin()
  await connection.closed
}

for (const role of ['client', 'server'] as const) {
  await t.test(
    `7692-6-rsv1-set, 7692-9-rsv1-registered, 7692-6-opcode-kept, 7692-6.1-extension-before-mask: what a ${role} sends`,
    async (t) => {
      const ends = open(role)
      const { connection, peer } = ends
      connection.send(textOf(400))
      connection.send(Buffer.from(textOf(400)))
      connection.send('', {})
      connection.send('as it is', { compress: false })
      connection.send(noise(50))
      await peer.until(() => peer.frames.length === 5)
      t.strictSame(
        peer.frames.map(({ first, masked }) => [first.toString(16), masked]),
        ['c1', 'c2', '81', '81', '82'].map((first) => [first, role === 'client']),
        '7692-6-uncompressed-allowed, 7692-7.2.3.6-empty: what gains nothing goes as it is',
      )
      t.strictSame(story(ends).slice(0, 4), ['400 bytes', '400 bytes', '', 'as it is'])
      await end(ends)
    },
  )

  await t.test(
    `7692-7.2.1-shared-window-order, 7692-7.2.1-uncompressed-not-in-window: a ${role} sends long and short ones at once`,
    async (t) => {
      const ends = open(role)
      const { connection, peer } = ends
      connection.send(jsonOf(1))
      connection.send(long)
      connection.send(other)
      connection.send('short')
      connection.send(Buffer.from(textOf(5000)))
      connection.send(long)
      connection.send(noise(100_000), { compress: false })
      connection.send('x'.repeat(100))
      t.ok(connection.bufferedAmount > 500_000, 'what is being compressed counts')
      await peer.until(() => peer.frames.length === 8)
      t.strictSame(story(ends), [
        `${jsonOf(1).length} bytes`,
        '200000 bytes',
        '100000 bytes',
        'short',
        '5000 bytes',
        '200000 bytes',
        '100000 bytes',
        '100 bytes',
      ])
      t.equal(connection.bufferedAmount, 0)
      await end(ends)
    },
  )
}

await t.test('7692-7.1.1-parameters-per-direction: takeover is given up by one side alone', async (t) => {
  for (const role of ['client', 'server'] as const) {
    for (const giver of ['client', 'server'] as const) {
      const ends = open(role, {}, { [`${giver}NoContextTakeover`]: true })
      const { connection, peer } = ends
      connection.send(textOf(400))
      connection.send(textOf(400))
      await peer.until(() => peer.frames.length === 2)
      const [first, second] = peer.frames.map(({ payload }) => payload.toString('hex'))
      t.equal(first === second, role === giver, `a ${role}, given up by the ${giver}`)

      for (const payload of [compress(textOf(400)), compress(textOf(400), Buffer.from(textOf(400)))]) {
        const frame = peer.encode(Opcode.text, payload)
        frame[0] = 0xc1
        peer.write(frame)
      }
      t.equal(await connection.receive(), textOf(400))
      if (role === giver) {
        t.equal(await connection.receive(), textOf(400), 'the peer still takes over')
      } else {
        await peer.untilClose()
        t.equal(peer.wire.at(-1), 'close 1007 "bad-deflate"', 'the peer takes over what it gave up')
      }
      await end(ends)
    }
  }
})

await t.test(
  '7692-6-control-never-compressed: a Ping and a Pong go ahead of what is being compressed',
  async (t) => {
    const ends = open('server')
    const { connection, peer } = ends
    connection.send(long)
    connection.ping('p').catch(() => {})
    peer.ping('q')
    await peer.until(() => peer.frames.length === 3)
    t.strictSame(story(ends), ['control 9', 'control 10', '200000 bytes'])
    t.strictSame(
      peer.frames.slice(0, 2).map(({ first }) => first.toString(16)),
      ['89', '8a'],
    )
    await end(ends)
  },
)

await t.test(
  '6455-5.4-no-interleave-sent: a stream behind a compression, and a compression behind a stream',
  async (t) => {
    const ends = open('server')
    const { connection, peer } = ends
    connection.send(long)
    const first = connection.sendFragments(['a', 'b'])
    connection.send(other)
    connection.send('c')
    const second = connection.sendFragments(['d'])
    await Promise.all([first, second])
    await peer.until(() => peer.frames.length === 8)
    t.strictSame(story(ends), ['200000 bytes', 'a…', 'b…', '', '100000 bytes', 'c', 'd…', ''])
    await end(ends)
  },
)

await t.test('6455-5.5.1-no-data-after-close: Close goes behind what is being compressed', async (t) => {
  const ends = open('server')
  const { connection, peer } = ends
  connection.send(long)
  connection.send('behind it')
  const cut = t.rejects(connection.sendFragments(['never']), ConnectionClosedError)
  connection.send(other)
  const left = connection.closeOutput(1000)
  t.equal(connection.state, 'close-sent')
  t.equal(connection.send('too late'), false)
  await left
  await peer.untilClose()
  t.strictSame(
    story(ends),
    ['200000 bytes', 'behind it', 'control 8'],
    'X1: the stream is cut, and leaves no gap',
  )
  peer.close(1000)
  await peer.untilEnd()
  peer.fin()
  t.match(await connection.closed, { code: 1000, wasClean: true, initiator: 'local' })
  await cut
})

await t.test('6455-5.5.1-close-answer-after-message: the answer to a Close goes behind it too', async (t) => {
  const ends = open('server')
  const { connection, peer } = ends
  connection.send(long)
  peer.close(3000, 'bye')
  await peer.untilEnd()
  t.strictSame(story(ends), ['200000 bytes', 'control 8'])
  peer.fin()
  t.match(await connection.closed, { code: 3000, wasClean: true, initiator: 'remote' })
})

await t.test('drain comes when the compressed message has left', async (t) => {
  const ends = open('server', { highWaterMark: 100_000 })
  const { connection, peer } = ends
  t.equal(connection.send(long), false)
  await connection.drained()
  t.equal(connection.bufferedAmount, 0)
  await peer.until(() => peer.frames.length === 1)
  await end(ends)
})

await t.test(
  '7692-6.2-order-with-async-inflate: compressed, plain, Ping and Close come in the order of the wire',
  async (t) => {
    for (const role of ['client', 'server'] as const) {
      const ends = open(role)
      const { connection, peer } = ends
      const seen: string[] = []
      connection.on('message', (message) => seen.push(`${message.length}`))
      connection.on('ping', () => seen.push('ping'))
      connection.on('state', (state) => seen.push(state))
      const deflated = (message: string): Buffer => {
        const frame = peer.encode(Opcode.text, compress(message))
        frame[0] = 0xc1
        return frame
      }
      peer.write(
        Buffer.concat([
          deflated(long),
          peer.encode(Opcode.text, 'x'),
          peer.encode(Opcode.ping),
          deflated('yy'),
          deflated(other),
          peer.encode(Opcode.close, Buffer.from([3, 0xe8])),
          peer.encode(Opcode.ping),
          Buffer.from([0xff, 0xff]),
        ]),
      )
      peer.fin()
      await connection.closed
      t.strictSame(seen, ['200000', '1', 'ping', '2', '100000', 'close-done', 'closed'])
      t.match(await connection.closed, { code: 1000, wasClean: true, trigger: 'peer-close' })
    }
  },
)

await t.test(
  '6455-5.5.2-pong-soon: a Ping is not delayed behind a long inflate, and what it answers leaves before',
  async (t) => {
    const ends = open('server')
    const { connection, peer } = ends
    const seen: string[] = []
    connection.on('message', () => seen.push('message'))
    connection.on('ping', () => seen.push('ping'))
    const frame = peer.encode(Opcode.text, compress(long))
    frame[0] = 0xc1
    peer.write(Buffer.concat([frame, peer.encode(Opcode.ping, 'p')]))
    await until(() => seen.length === 2)
    t.strictSame(seen, ['ping', 'message'])
    await end(ends)
  },
)

await t.test('what was sent is what it was then, whatever becomes of its bytes meanwhile', async (t) => {
  const ends = open('server')
  const { connection, peer } = ends
  const strict = new StrictInflater(15, true)
  const message = Buffer.from(long)
  connection.send(message)
  message.fill('!')
  connection.send(message)
  message.fill('?')
  await peer.until(() => peer.frames.length === 2)
  const [first, second] = peer.frames.map(({ payload }) => strict.inflate(payload).toString())
  t.ok(first === long)
  t.ok(second === '!'.repeat(long.length))
  await end(ends)
})

await t.test('Z8: the heartbeat tells the window that time goes by', async (t) => {
  const timers = new FakeTimers()
  const beats = t.capture(Inflater.prototype, 'beat')
  const ends = open('server', { timers, keepalive: false })
  timers.advance(3000)
  t.equal(beats().length, 3)
  await end(ends)
})

await t.test('6455-7.1.5-lost-1006: FIN behind a long inflate comes after the message', async (t) => {
  const ends = open('server')
  const { connection, peer } = ends
  const messages: Message[] = []
  connection.on('message', (message) => messages.push(message))
  const frame = peer.encode(Opcode.text, compress(long))
  frame[0] = 0xc1
  peer.write(frame)
  peer.fin()
  t.match(await connection.closed, { code: 1006, wasClean: false, trigger: /^peer-fin$/ })
  t.strictSame(messages, [long])
  t.equal(unfinishedMessages.used, 0)
})

await t.test(
  'Z7: ended at any step of zlib’s work: each promise settles, once, and nothing is left',
  async (t) => {
    const watch = watchProcess()
    const before = process.getActiveResourcesInfo().filter((name) => /zlib/i.test(name)).length
    type Ending = (ends: Ends) => void
    const endings: readonly (readonly [name: string, clean: boolean, ending: Ending])[] = [
      ['terminate', false, ({ connection }) => connection.terminate()],
      ['the peer resets', false, ({ peer }) => peer.reset()],
      ['the peer ends', false, ({ peer }) => peer.fin()],
      ['we close', true, ({ connection }) => void connection.close(1000)],
      ['the peer closes', true, ({ peer }) => peer.close(1000)],
      ['a violation', false, ({ peer }) => peer.hex('ffff')],
    ]
    const sample = textOf(40_000)
    const payload = compress(noise(20_000), undefined, { level: 0 })
    for (const [name, clean, ending] of endings) {
      for (let round = 0; round < loops / endings.length; round++) {
        const role = round % 2 === 0 ? 'server' : 'client'
        const ends = open(role)
        const { connection, peer } = ends
        let closes = 0
        connection.on('close', () => closes++)
        const frame = peer.encode(Opcode.binary, payload)
        frame[0] = 0xc2
        peer.write(Buffer.concat([frame, frame]))
        connection.send(sample)
        connection.send(sample)
        const stream = connection.sendFragments(['a'])
        const pong = connection.ping()
        await turns(round % 9)
        ending(ends)
        if (clean) {
          // Both have said what they had to say; the server's end of TCP comes first.
          if (name === 'we close') {
            await peer.untilClose()
            peer.close(1000)
          } else {
            await peer.untilClose()
          }
          if (role === 'server') await peer.untilEnd()
          peer.fin()
        } else {
          await turns()
          if (name === 'a violation') await peer.untilClose()
          peer.fin()
        }
        const info = await connection.closed
        if (info.wasClean !== clean) t.fail(`${name} ${role} ${round}: ${JSON.stringify(info)}`)
        await Promise.allSettled([stream, pong])
        await turns()
        if (closes !== 1) t.fail(`${name}: closed ${closes} times`)
        if (unfinishedMessages.used !== 0)
          t.fail(`${name}: ${unfinishedMessages.used} bytes are still charged`)
      }
    }
    t.strictSame(await watch.stop(), [])
    t.equal(process.getActiveResourcesInfo().filter((name) => /zlib/i.test(name)).length, before)
  },
)

/** Connections to one server, each with what it is asked for. */
async function audience(t: Test, options: ConnectionOptions[]) {
  const { server, url } = await serve(t, { compression: { threshold: 0 } })
  const clients: Connection[] = []
  for (const each of options) {
    const accepted = once(server, 'connection')
    clients.push(await connect(url, each))
    await accepted
  }
  t.teardown(() => {
    for (const client of clients) client.terminate()
  })
  return { server, clients }
}

await t.test(
  'broadcast: compressed by hand or not at all, under takeover and without, in order with other messages',
  async (t) => {
    const { server, clients } = await audience(t, [
      { compression: true },
      { compression: { serverNoContextTakeover: true } },
      { compression: { serverMaxWindowBits: 9 } },
      {},
    ])
    const sent: string[] = []
    for (let round = 0; round < 6; round++) {
      const text = textOf(round % 2 === 0 ? 3000 : 70_000, round % 3)
      server.broadcast(text)
      for (const connection of server.connections) connection.send(`after ${round}`)
      server.broadcast(text.slice(0, 500))
      sent.push(text, `after ${round}`, text.slice(0, 500))
    }
    for (const client of clients) {
      for (const each of sent) t.equal(await client.receive(), each)
    }
  },
)

await t.test(
  '7692-5.1-declined-no-compression, 6455-9.1-offer-only, 7692-5.1-server-may-decline: on one side alone it is off',
  async (t) => {
    const { server, url } = await serve(t)
    const client = await connect(url, { compression: true })
    const [accepted] = [...server.connections]
    client.send(textOf(1000))
    t.equal(await accepted?.receive(), textOf(1000))
    client.terminate()
    t.throws(() => new Connection(memoryPair()[0], { role: 'server', deflate: agreement }), {
      name: 'TypeError',
      message: /compression/,
    })
  },
)
