/** Peers that do not read, or send without end: what they make us hold is bounded, and who is honest is never cut. */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { Opcode } from '../../frames/opcode.ts'
import { ConnectionClosedError, ProtocolError } from '../../lib/index.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns } from '../help/loop.ts'
import type { RawPeer } from './raw-peer.ts'
import { type Transport, transports } from './transports.ts'
import { watchProcess } from './watch.ts'

const { binary, ping, pong } = Opcode
const kibibyte = 1024
const mebibyte = 1024 * kibibyte

const watch = watchProcess()

for (const transport of transports) {
  await t.test(transport.name, async (t) => {
    await t.test('S3: what a peer is answered and does not read stops us from reading', (t) =>
      echo(t, transport),
    )
    await t.test('F9a: a flood of Pings whose Pongs are not read', (t) => unreadPongs(t, transport))
    await t.test('F9b: Pings in bursts of 1 000 from a peer that reads', (t) => honestPings(t, transport))
    await t.test('F10: unsolicited Pongs', (t) => unsolicitedPongs(t, transport))
    await t.test('S1, R4: a server that pushes to a peer that does not read', (t) => pushed(t, transport))
    if (transport.resets)
      await t.test('R4: a reset while a megabyte is queued', (t) => resetWhileQueued(t, transport))
    await transport.stop()
  })
}

async function echo(t: Test, transport: Transport): Promise<void> {
  const highWaterMark = 100 * kibibyte
  const { connection, peer } = await transport.one(t, 'server', { timers: new FakeTimers(), highWaterMark })
  connection.on('message', (message) => connection.send(message))
  peer.stopReading()
  const size = 8 * kibibyte
  // More than all buffers between the two can take, which is several megabytes where the kernel has them.
  const count = transport.name === 'memory' ? 64 : 4096
  const frame = peer.encode(binary, Buffer.alloc(size))
  for (let n = 0; n < count; n++) peer.write(frame)
  // It stops at twice the mark, and the socket may take a part of that before it is looked at.
  while (connection.bufferedAmount < highWaterMark) await turns(1)
  await turns(200)
  t.ok(connection.bufferedAmount < 2 * highWaterMark + 2 * (size + 4), `${connection.bufferedAmount}`)
  t.equal(connection.state, 'open')
  peer.readOn()
  await peer.until(() => peer.frames.length === count)
  t.equal(connection.bufferedAmount, 0)
}

async function unreadPongs(t: Test, transport: Transport): Promise<void> {
  const { connection, peer } = await transport.one(t, 'server', { timers: new FakeTimers() })
  let heard = 0
  let most = 0
  connection.on('ping', () => {
    heard++
    most = Math.max(most, connection.bufferedAmount)
  })
  peer.stopReading()
  const count = 80_000
  for (let n = 0; n < count; n += 1000) {
    pings(peer, 1000, n)
    while (heard < n + 1000) await turns(1)
  }
  t.ok(most < 256 * kibibyte, `${most} bytes were the most`)
  t.equal(connection.state, 'open')
  peer.readOn()
  await peer.until(() => lastPong(peer) === count - 1)
}

async function honestPings(t: Test, transport: Transport): Promise<void> {
  const { connection, peer } = await transport.one(t, 'server', { timers: new FakeTimers() })
  const count = 100_000
  for (let n = 0; n < count; n += 1000) {
    pings(peer, 1000, n)
    await peer.until(() => lastPong(peer) === n + 999)
  }
  t.equal(connection.state, 'open')
}

/** So many Pings, each of 125 bytes with its number. */
function pings(peer: RawPeer, count: number, from: number): void {
  const frames = Array.from({ length: count }, (_, n) => {
    const payload = Buffer.alloc(125)
    payload.writeUInt32BE(from + n)
    return peer.encode(ping, payload)
  })
  peer.write(Buffer.concat(frames))
}

function lastPong(peer: RawPeer): number {
  const last = peer.frames.at(-1)
  return last === undefined ? -1 : last.payload.readUInt32BE(0)
}

async function unsolicitedPongs(t: Test, transport: Transport): Promise<void> {
  const { connection, peer } = await transport.one(t, 'server', { timers: new FakeTimers() })
  const flood = Buffer.concat(Array.from({ length: 1000 }, () => peer.encode(pong, 'nobody asked')))
  let heard = 0
  connection.on('pong', () => heard++)
  for (let n = 0; n < 100; n++) peer.write(flood)
  while (heard < 100_000) await turns(1)
  const answered = connection.ping('really')
  await peer.until(() => peer.frames.length === 1)
  peer.frame(pong, 'really')
  t.equal(await answered, 0, 'the clock stands still')
}

async function pushed(t: Test, transport: Transport): Promise<void> {
  const timers = new FakeTimers()
  const maxBufferedAmount = 2 * mebibyte
  const { connection, peer } = await transport.one(t, 'server', { timers, maxBufferedAmount })
  peer.stopReading()
  const size = 64 * kibibyte
  let most = 0
  const ends: Promise<unknown>[] = []
  while (connection.state === 'open') {
    connection.send(Buffer.alloc(size))
    most = Math.max(most, connection.bufferedAmount)
    // As long as it takes something it gets it; then it is pushed at.
    if (connection.bufferedAmount < mebibyte) await turns(1)
    else if (ends.length < 3) ends.push(connection.drained())
  }
  t.ok(most <= maxBufferedAmount + size + 10, `${most} bytes were the most`)
  t.equal(connection.send('more'), false)
  timers.advance(2000)
  const info = await connection.closed
  t.match(info, { trigger: 'limit', code: 1006, sent: { code: 1008, reason: 'send-buffer-full' } })
  t.ok(info.error instanceof ProtocolError)
  for (const end of await Promise.allSettled(ends)) {
    t.match(end, { status: 'rejected', reason: { name: 'ConnectionClosedError', info } })
  }
  t.equal(ends.length, 3)
  t.equal(connection.bufferedAmount, 0, 'nothing is kept')
}

async function resetWhileQueued(t: Test, transport: Transport): Promise<void> {
  const { connection, peer } = await transport.one(t, 'server', { timers: new FakeTimers() })
  peer.stopReading()
  while (connection.bufferedAmount < mebibyte) {
    connection.send(Buffer.alloc(64 * kibibyte))
    await turns(1)
  }
  const rejections: unknown[] = []
  const waits = [connection.drained(), connection.drained(), connection.ping()].map((wait) =>
    wait.catch((error: unknown) => rejections.push(error)),
  )
  let closes = 0
  connection.on('close', () => closes++)
  peer.reset()
  const info = await connection.closed
  await Promise.all(waits)
  t.match(info, { trigger: 'socket-error', code: 1006, wasClean: false })
  t.equal(rejections.length, 3)
  t.ok(rejections.every((error) => error instanceof ConnectionClosedError && error.info === info))
  t.equal(closes, 1)
}

await t.test('nothing escaped, nothing is left', (t) => watch.check(t))
