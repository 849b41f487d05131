/** Messages, Pings and streams between two of ours and against raw bytes, over every transport. */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { Opcode } from '../../frames/opcode.ts'
import type { Connection, ConnectionOptions, Data, Message } from '../../lib/index.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns } from '../help/loop.ts'
import { type Transport, transports } from './transports.ts'
import { watchProcess } from './watch.ts'

const roles = ['server', 'client'] as const
const watch = watchProcess()

/** Sends back all that comes, and waits where it should. */
async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) if (!connection.send(message)) await connection.drained()
}

/** Bytes that differ from place to place, and from size to size. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at++) bytes[at] = (at * 7 + (at >> 8) * 13 + size) & 0xff
  return bytes
}

function digest(message: Message): string {
  if (typeof message === 'string' && message.length < 100) return message
  const kind = typeof message === 'string' ? 'text' : 'binary'
  return `${kind} ${message.length} ${createHash('sha1').update(message).digest('hex')}`
}

async function take(connection: Connection, count: number): Promise<Message[]> {
  const taken: Message[] = []
  while (taken.length < count) taken.push(await connection.receive())
  return taken
}

/** Both sides see a clean end, and no timer is left. */
async function goodbye(
  t: Test,
  connection: Connection,
  other: Connection,
  timers: FakeTimers,
): Promise<void> {
  const [info, otherInfo] = await Promise.all([connection.close(1000), other.closed])
  t.ok(info.wasClean && otherInfo.wasClean, 'a clean end')
  t.equal(timers.armed, 0, 'no timer is left')
}

/** Between two connections of ours, one of that role and one of the other. */
async function betweenTwo(t: Test, transport: Transport): Promise<void> {
  for (const role of roles) {
    const both = async (t: Test, options: ConnectionOptions = {}, otherOptions: ConnectionOptions = {}) => {
      const timers = new FakeTimers()
      const of = { timers, ...options }
      const otherOf = { timers, ...otherOptions }
      if (role === 'client') {
        const { client, server } = await transport.both(t, of, otherOf)
        return { ours: client, theirs: server, timers }
      }
      const { client, server } = await transport.both(t, otherOf, of)
      return { ours: server, theirs: client, timers }
    }

    await t.test(
      `6455-6.1-opcode-by-type, 6455-6.2-type-noted, 6455-6.2-empty-message, 6455-6.2-server-unmasks: a ${role} gets back what it sends`,
      async (t) => {
        const { ours, theirs, timers } = await both(t)
        const echoing = echo(theirs)
        for (const size of [0, 1, 125, 126, 65_535, 65_536, 1024 * 1024]) {
          const bytes = pattern(size)
          const text = 'x'.repeat(Math.max(0, size - 2)) + (size >= 2 ? 'é' : 'y'.repeat(size))
          ours.send(bytes)
          ours.send(text)
          const [binary = '', string = ''] = await take(ours, 2)
          t.ok(Buffer.isBuffer(binary) && binary.equals(bytes), `${size} bytes`)
          t.ok(string === text, `text of ${size} bytes`)
        }
        await goodbye(t, ours, theirs, timers)
        await echoing
      },
    )

    await t.test(
      `6455-5.4-order-kept, 6455-6.1-send-order: a ${role} sends 1000 messages of all kinds`,
      async (t) => {
        const { ours, theirs, timers } = await both(t)
        const sizes = [0, 3, 200, 5000, 70_000]
        const expected: string[] = []
        const streams: Promise<void>[] = []
        const pings: Promise<number>[] = []
        for (let number = 0; number < 1000; number++) {
          const body = `${number} ${'.'.repeat(sizes[number % sizes.length] ?? 0)}`
          const kind = number % 4
          const data: Data = kind === 1 ? Buffer.from(body) : body
          if (kind === 3) streams.push(ours.sendFragments([body.slice(0, 2), '', body.slice(2)]))
          else ours.send(data)
          if (number % 100 === 50) pings.push(ours.ping())
          expected.push(digest(kind === 1 ? Buffer.from(body) : body))
        }
        t.strictSame((await take(theirs, 1000)).map(digest), expected)
        await Promise.all([...streams, ...pings])
        await goodbye(t, ours, theirs, timers)
      },
    )

    await t.test(
      `D5: what a ${role} sends is answered at once, which may be while it is written`,
      async (t) => {
        const { ours, theirs, timers } = await both(t)
        const sizes = [10, 5000, 20_000, 100_000]
        const expected = sizes.flatMap((size) => [size, size + 1, size + 2])
        const there: number[] = []
        const back: number[] = []
        theirs.on('message', (message) => {
          there.push(message.length)
          theirs.send(message)
        })
        ours.on('message', (message) => {
          back.push(message.length)
          // The other two of three go out from in here.
          const next = expected[back.length]
          if (next !== undefined && !sizes.includes(next)) ours.send('x'.repeat(next))
        })
        for (const size of sizes) {
          const whole = back.length + 3
          ours.send('x'.repeat(size))
          while (back.length < whole) await turns(1)
        }
        await turns(10)
        t.strictSame(there, expected)
        t.strictSame(back, expected)
        t.equal(ours.bufferedAmount, 0)
        t.equal(theirs.bufferedAmount, 0)
        await goodbye(t, ours, theirs, timers)
      },
    )

    await t.test(`a ${role} answers a Close that comes while it writes`, async (t) => {
      const { ours, theirs } = await both(t)
      theirs.on('message', () => void theirs.close(1000, 'enough'))
      ours.send('x'.repeat(5000))
      ours.send('x'.repeat(40_000)) // So much that the socket wants no more.
      const [info, otherInfo] = await Promise.all([ours.closed, theirs.closed])
      t.match(info, { wasClean: true, trigger: 'peer-close' })
      t.match(otherInfo, { wasClean: true, trigger: 'local-close' })
    })

    await t.test(`backpressure: a ${role} sends faster than the other side takes`, async (t) => {
      const { ours, theirs, timers } = await both(t, { highWaterMark: 65_536 }, { maxQueuedMessages: 2 })
      const block = pattern(65_536)
      let sent = 0
      let drains = 0
      let most = 0
      ours.on('drain', () => drains++)
      const sending = (async () => {
        for (; sent < 400; sent++) {
          const room = ours.send(block)
          most = Math.max(most, ours.bufferedAmount)
          if (!room) await ours.drained()
        }
      })()
      // Nobody takes a message: sooner or later nothing moves any more, at either end.
      for (let before = -1; before < sent; await turns(20)) before = sent
      t.ok(sent < 400, `stuck after ${sent} of 400 messages`)
      t.ok(most < 3 * block.length, 'the sender holds no more than it was asked to')
      const taken = await take(theirs, 400)
      t.ok(taken.every((message) => Buffer.isBuffer(message) && message.equals(block)))
      await sending
      t.ok(drains > 0)
      t.equal(ours.bufferedAmount, 0)
      await goodbye(t, ours, theirs, timers)
    })

    await t.test(`pause(): a ${role} reads nothing until resume()`, async (t) => {
      const { ours, theirs, timers } = await both(t)
      const got: Message[] = []
      ours.on('message', (message) => got.push(message))
      ours.pause()
      for (const text of ['1', '2', '3']) theirs.send(text)
      const answered = theirs.ping()
      await turns(20)
      t.strictSame(got, [])
      ours.resume()
      await answered
      t.strictSame(got, ['1', '2', '3'], 'the Pong comes behind them')
      await goodbye(t, ours, theirs, timers)
    })

    await t.test(
      `pause(): a ${role} that pauses inside a handler gets nothing more in that turn`,
      async (t) => {
        const { ours, theirs, timers } = await both(t)
        const got: Message[] = []
        ours.on('message', (message) => {
          got.push(message)
          ours.pause()
        })
        for (const text of ['1', '2', '3']) theirs.send(text)
        const answered = theirs.ping()
        for (const expected of [['1'], ['1', '2'], ['1', '2', '3']]) {
          await turns(20)
          t.strictSame(got, expected)
          ours.resume()
        }
        await answered
        await goodbye(t, ours, theirs, timers)
      },
    )

    await t.test(
      `6455-5.5.2-ping-pong, 6455-5.5.2-ping-any-time, 6455-5.5.3-pong-same-data: a ${role} pings`,
      async (t) => {
        const { ours, theirs, timers } = await both(t)
        const pings: string[] = []
        const pongs: string[] = []
        theirs.on('ping', (payload) => pings.push(payload.toString('hex')))
        ours.on('pong', (payload) => pongs.push(payload.toString('hex')))
        const full = pattern(125)
        const trips = [ours.ping(''), ours.ping(Buffer.from([0xff, 0x80])), ours.ping(full)]
        t.throws(() => ours.ping(pattern(126)), RangeError, '6455-5.5-send-control-limit')
        t.strictSame(await Promise.all(trips), [0, 0, 0], 'the clock stood still')
        t.strictSame(pings, ['', 'ff80', full.toString('hex')])
        t.strictSame(pongs, pings)
        await goodbye(t, ours, theirs, timers)
      },
    )

    await t.test(
      `6455-5.4-send-fragments, 6455-6.1-may-fragment: a ${role} streams 6 MiB against backpressure`,
      async (t) => {
        const { ours, theirs, timers } = await both(t, { highWaterMark: 100_000 })
        const part = pattern(65_536)
        let most = 0
        const streamed = ours.sendFragments(
          (async function* () {
            for (let sent = 0; sent < 96; sent++) {
              most = Math.max(most, ours.bufferedAmount)
              yield part
            }
          })(),
        )
        const answered = ours.ping('between')
        const [message] = await take(theirs, 1)
        const whole = Buffer.concat(Array.from({ length: 96 }, () => part))
        t.ok(Buffer.isBuffer(message) && message.equals(whole))
        t.ok(most < 300_000, 'the parts were taken as the network took them')
        await Promise.all([streamed, answered])
        await goodbye(t, ours, theirs, timers)
      },
    )

    await t.test(`6455-7.1.7-client-not-close-otherwise: ten idle minutes with a ${role}`, async (t) => {
      const keepalive = { interval: 20_000, timeout: 10_000 }
      const { ours, theirs, timers } = await both(t, { keepalive }, { keepalive: false })
      let pings = 0
      theirs.on('ping', () => pings++)
      for (let minute = 0; minute < 60; minute++) {
        timers.advance(10_000)
        await turns(6)
      }
      t.equal(ours.state, 'open')
      t.ok(pings >= 20, `${pings} Pings, all answered`)
      await goodbye(t, ours, theirs, timers)
    })
  }
}

/** A connection of ours, and bytes. */
async function againstBytes(t: Test, transport: Transport): Promise<void> {
  for (const role of roles) {
    const open = async (t: Test, options: ConnectionOptions = {}) => {
      const end = await transport.one(t, role, { timers: new FakeTimers(), ...options })
      const events: string[] = []
      end.connection.on('ping', (payload) => events.push(`ping ${payload.toString()}`))
      end.connection.on('pong', (payload) => events.push(`pong ${payload.toString()}`))
      return { ...end, events, hear: () => void end.connection.on('message', (m) => events.push(digest(m))) }
    }

    await t.test(`6455-6.2-stream-parsing: a ${role} gets a burst of 200 frames in one write`, async (t) => {
      const { connection, peer, events, hear } = await open(t)
      hear()
      const frames: Buffer[] = []
      const expected: string[] = []
      for (let number = 0; number < 100; number++) {
        frames.push(peer.encode(Opcode.text, `message ${number}`), peer.encode(Opcode.ping, `${number}`))
        expected.push(`message ${number}`, `ping ${number}`)
      }
      peer.write(Buffer.concat(frames))
      await peer.until(() => peer.frames.length === 100)
      t.strictSame(events, expected)
      t.strictSame(
        peer.frames.map((frame) => frame.payload.toString()),
        Array.from({ length: 100 }, (_, number) => `${number}`),
        'a Pong for each',
      )
      t.equal(connection.state, 'open')
    })

    await t.test(
      `6455-5.4-control-interleaved, 6455-6.2-control-handled, 6455-5.5.2-pong-soon: a ${role} gets a fragmented message with a Ping inside`,
      async (t) => {
        const { connection, peer, events, hear } = await open(t)
        hear()
        peer.text('frag', false)
        peer.ping('inside')
        await peer.until(() => peer.wire.length === 1)
        t.strictSame(peer.wire, [`pong ${Buffer.from('inside').toString('hex')}`], 'before the message ends')
        peer.frame(Opcode.continuation, '', false)
        peer.frame(Opcode.continuation, 'mented')
        await new Promise((resolve) => connection.once('message', resolve))
        t.strictSame(events, ['ping inside', 'fragmented'])
      },
    )

    await t.test(`6455-6.2-stream-parsing: a ${role} gets a frame in two halves, cut anywhere`, async (t) => {
      const { connection, peer } = await open(t)
      const frame = peer.encode(Opcode.text, 'cut ‖ anywhere'.padEnd(130, '.'))
      for (let cut = 1; cut < frame.length; cut += 3) {
        peer.write(frame.subarray(0, cut))
        await turns(1)
        peer.write(frame.subarray(cut))
        t.equal(await connection.receive(), 'cut ‖ anywhere'.padEnd(130, '.'))
      }
    })

    await t.test(
      `6455-5.4-no-interleave-sent, 6455-5.4-control-may-be-injected, 6455-5.5.2-pong-between-own-fragments: what a ${role} streams`,
      async (t) => {
        const { connection, peer } = await open(t)
        let goOn = (): void => {}
        const asked = new Promise<void>((resolve) => {
          goOn = resolve
        })
        const slow = connection.sendFragments(
          (async function* () {
            yield 'a'
            await asked
            yield '\ud83d'
            yield '\ude00'
          })(),
        )
        await peer.until(() => peer.wire.length === 1)
        connection.send('whole')
        const second = connection.sendFragments([new Uint8Array([1]), new Uint16Array([0x0302])])
        connection.send(new DataView(pattern(8).buffer, 2, 3))
        const answered = connection.ping('!')
        peer.ping('?')
        await peer.until(() => peer.wire.length === 3)
        goOn()
        peer.frame(Opcode.pong, '!')
        await Promise.all([slow, second, answered])
        await peer.until(() => peer.wire.length === 11)
        t.strictSame(peer.wire, [
          'text "a"…',
          'ping 21',
          'pong 3f',
          'more ""…',
          'more "😀"…',
          'more ""',
          'text "whole"',
          'binary 01…',
          `more ${JSON.stringify('\u0002\u0003')}…`,
          'more ""',
          `binary ${pattern(8).toString('hex', 2, 5)}`,
        ])
      },
    )

    await t.test(
      `6455-5.1-client-masks-over-tls, 6455-5.1-server-never-masks: every kind of frame of a ${role}`,
      async (t) => {
        const { connection, peer } = await open(t)
        connection.send('text')
        connection.send(pattern(3))
        connection.send('')
        await connection.sendFragments(['a', 'b'])
        const answered = connection.ping('p')
        peer.frame(Opcode.pong, 'p')
        await answered
        peer.ping('q')
        await peer.until(() => peer.wire.length === 8)
        void connection.close(1000, 'bye')
        await peer.untilClose()
        t.strictSame(
          peer.frames.map(({ first, masked }) => [first.toString(16), masked]),
          // 6455-5.5.2-ping-opcode, 6455-5.5.3-pong-opcode, 6455-5.5.1-close-opcode, 6455-5.2-rsv-zero-sent,
          // 6455-6.1-client-mask, 6455-5.5.1-client-close-masked
          ['81', '82', '81', '1', '0', '80', '89', '8a', '88'].map((first) => [first, role === 'client']),
        )
      },
    )

    await t.test(`6455-5.6-text-utf8-sent: a ${role} sends lone surrogates as U+FFFD`, async (t) => {
      const { connection, peer } = await open(t)
      connection.send('\ud800|\udc00')
      await connection.sendFragments(['\ud800', 'x', '\udc00'])
      await peer.until(() => peer.wire.length === 5)
      t.strictSame(peer.wire, ['text "�|�"', 'text ""…', 'more "�x"…', 'more "�"…', 'more ""'])
      t.equal(peer.frames[0]?.payload.toString('hex'), 'efbfbd7cefbfbd')
    })

    await t.test(`6455-10.4-ping-flood, F9: a ${role} owes a peer that does not read one Pong`, async (t) => {
      const { connection, peer, events } = await open(t, { keepalive: false, maxBufferedAmount: 2 ** 32 })
      peer.stopReading()
      while (connection.bufferedAmount < 1024 * 1024) {
        connection.send(pattern(256 * 1024))
        await turns(2)
      }
      const before = connection.bufferedAmount
      const flood: Buffer[] = []
      for (let number = 0; number < 5000; number++) flood.push(peer.encode(Opcode.ping, `${number}`))
      peer.write(Buffer.concat(flood))
      while (events.length < 5000) await new Promise((resolve) => connection.once('ping', resolve))
      t.ok(connection.bufferedAmount <= before + 131, 'it holds one Pong more than before')
      peer.readOn()
      const last = `pong ${Buffer.from('4999').toString('hex')}`
      await peer.until(() => peer.wire.at(-1) === last)
      const pongs = peer.wire.filter((line) => line.startsWith('pong'))
      t.ok(pongs.length <= 2, `${pongs.length} Pongs`)
      t.equal(connection.state, 'open')
    })
  }
}

for (const transport of transports) {
  await t.test(`over ${transport.name}`, async (t) => {
    await betweenTwo(t, transport)
    await againstBytes(t, transport)
    await transport.stop()
  })
}

await t.test('nothing escaped, nothing is left', (t) => watch.check(t))
