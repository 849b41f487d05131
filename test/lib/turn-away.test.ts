import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { turnAway } from '../../lib/turn-away.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns, until } from '../help/loop.ts'
import { rawClient, type RawPeer } from '../help/raw-http.ts'
import { portOf } from '../help/serve.ts'

/** A client that has been turned away, and the server's socket to it. */
async function turnedAway(t: Test): Promise<{ peer: RawPeer; socket: Socket; timers: FakeTimers }> {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const came = once(server, 'connection')
  const peer = await rawClient(t, portOf(server))
  const [socket]: Socket[] = await came
  if (socket === undefined) throw new Error('no client')
  t.teardown(() => socket.destroy())
  const timers = new FakeTimers()
  socket.pause()
  turnAway(socket, 'goodbye', 2000, timers, () => {})
  return { peer, socket, timers }
}

await t.test(
  'the answer, then the end; what the client still sends is read, until it ends too',
  async (t) => {
    const { peer, socket, timers } = await turnedAway(t)
    t.equal((await peer.rest()).toString(), 'goodbye')
    peer.write(Buffer.alloc(1_000_000))
    await until(() => socket.bytesRead === 1_000_000)
    const closed = once(socket, 'close')
    peer.socket.end()
    const [failed] = await closed
    t.equal(failed, false)
    t.equal(timers.armed, 0)
  },
)

await t.test('a client that does not end is cut', async (t) => {
  const { socket, timers } = await turnedAway(t)
  timers.advance(1999)
  t.equal(socket.destroyed, false)
  timers.advance(1)
  t.equal(socket.destroyed, true)
  await once(socket, 'close')
  t.equal(timers.armed, 0)
})

await t.test('H4: what comes in crumbs is let pile up, and read at once', async (t) => {
  const { peer, socket, timers } = await turnedAway(t)
  peer.write('a')
  await until(() => socket.bytesRead === 1)
  for (let each = 0; each < 2000; each++) {
    peer.write('a')
    await turns(1)
  }
  t.equal(socket.bytesRead, 1)
  timers.advance(99)
  await turns(3)
  t.equal(socket.bytesRead, 1)
  timers.advance(1)
  await turns(3)
  // How the kernel parts it is its own affair: a few reads at most.
  for (let reads = 0; reads < 5 && socket.bytesRead < 2001; reads++) {
    timers.advance(100)
    await turns(3)
  }
  t.equal(socket.bytesRead, 2001)

  await t.test('and so is the end behind them', async (t) => {
    const closed = once(socket, 'close')
    peer.socket.end('a')
    for (let reads = 0; reads < 10 && !socket.destroyed; reads++) {
      await turns(3)
      timers.advance(100)
    }
    const [failed] = await closed
    t.equal(failed, false)
    t.equal(timers.armed, 0)
  })
})

await t.test('who is cut meanwhile leaves no timer behind', async (t) => {
  const { peer, socket, timers } = await turnedAway(t)
  peer.write('a')
  await until(() => timers.pending === 2)
  socket.destroy()
  await once(socket, 'close')
  t.equal(timers.armed, 0)
})
