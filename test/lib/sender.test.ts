import t from 'tap'
import { Buffer } from 'node:buffer'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { Deflater } from '../../lib/deflate/deflater.ts'
import { MaskKeys } from '../../lib/mask-keys.ts'
import { PreparedMessage } from '../../lib/prepared-message.ts'
import { Sender } from '../../lib/sender.ts'
import { turns, until } from '../help/loop.ts'
import { matchEach } from '../help/match-each.ts'
import { RecordingSocket } from '../help/recording-socket.ts'
import { noise, textOf } from './deflate/samples.ts'
import { FrameRecord, lineOf } from '../wire/raw-peer.ts'

const mebibyte = 1024 * 1024

interface Options {
  readonly client?: boolean
  readonly highWaterMark?: number
  readonly maxBufferedAmount?: number
  readonly socketMark?: number
  readonly stalled?: boolean
  /** Compress from that many bytes on. */
  readonly threshold?: number
}

const newDeflater = (): Deflater =>
  new Deflater({ windowBits: 15, noContextTakeover: false, level: 6, memLevel: 8 })

/** A sender on a socket that records. */
function begin({
  client = false,
  highWaterMark = mebibyte,
  maxBufferedAmount = 64 * mebibyte,
  socketMark = 16_384,
  stalled = false,
  threshold,
}: Options = {}) {
  const socket = new RecordingSocket({ highWaterMark: socketMark })
  socket.stalled = stalled
  socket.on('error', () => {})
  const drains: number[] = []
  const excesses: number[] = []
  let word = 0x01020304
  const sender: Sender = new Sender(
    socket,
    {
      maskKeys: client ? new MaskKeys((bytes) => fillWords(bytes, () => word++)) : undefined,
      compression: threshold === undefined ? undefined : { deflater: newDeflater(), threshold },
      highWaterMark,
      maxBufferedAmount,
    },
    {
      exceeded: () => void excesses.push(sender.bufferedAmount),
      drained: () => void drains.push(sender.bufferedAmount),
    },
  )
  socket.on('drain', () => sender.flush())
  const wire = (): string[] => {
    const record = new FrameRecord()
    record.push(socket.bytes)
    const lines = record.frames.map((frame) => lineOf(frame, client ? 'client' : 'server'))
    return record.rest.length === 0 ? lines : [...lines, 'part']
  }
  return { socket, sender, drains, excesses, wire }
}

function fillWords(bytes: Uint8Array, next: () => number): void {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  for (let at = 0; at < words.length; at++) words[at] = next()
}

const encoded = (payload: Uint8Array | string, opcode: Opcode = Opcode.binary): Buffer =>
  encodeFrame({ opcode, payload })

// Order and writes

await t.test('6455-6.1-send-order, D11: the frames of a turn leave in order, in one write', async (t) => {
  const { socket, sender, wire } = begin()
  t.equal(sender.message('a', true), true)
  t.equal(sender.message(Buffer.from('b'), true), true)
  sender.ping(Buffer.from('c'))
  sender.pong(Buffer.from('d'))
  sender.message('', true)
  t.equal(sender.prepared(new PreparedMessage(Buffer.from('e'))), true)
  t.equal(socket.calls.length, 0, 'not before the end of the turn')
  await turns()
  t.equal(socket.calls.length, 1)
  t.strictSame(wire(), ['text "a"', 'binary 62', 'ping 63', 'pong 64', 'text ""', 'binary 65'])
  sender.message('later', true)
  await turns()
  t.equal(socket.calls.length, 2)
})

await t.test('D11: small frames of one turn are one buffer', async (t) => {
  const { socket, sender } = begin()
  for (let n = 0; n < 100; n++) sender.message(`message ${n}`, true)
  await turns()
  t.equal(socket.calls.length, 1)
  t.equal(socket.calls[0]?.length, 1)
})

await t.test('D11: between cork and uncork nothing is written, then all at once', async (t) => {
  const { socket, sender, wire } = begin()
  sender.cork()
  sender.message('a', true)
  sender.prepared(new PreparedMessage(Buffer.from('b')))
  await turns()
  t.equal(socket.calls.length, 0)
  sender.uncork()
  t.equal(socket.calls.length, 1, 'at once')
  await turns()
  t.equal(socket.calls.length, 1)
  t.strictSame(wire(), ['text "a"', 'binary 62'])
  sender.cork()
  sender.uncork()
  t.equal(socket.calls.length, 1, 'nothing to say is no write')
  sender.message('c', true)
  sender.cork()
  sender.message('d', true)
  sender.uncork()
  await turns()
  t.equal(socket.calls.length, 2, 'what was planned for the end of the turn has left already')
})

await t.test(
  '6455-5.2-len-minimal-sent: every size comes out whole, in order, small and large mixed',
  async (t) => {
    for (const client of [false, true]) {
      const { socket, sender, wire } = begin({ client })
      const sizes = [0, 1, 125, 126, 4096, 4097, 5, 65_535, 65_536, 7, 100_000]
      sizes.forEach((size) => sender.message(Buffer.alloc(size, size), true))
      sizes.forEach((size) => sender.message('é'.repeat(size / 2), true))
      while (sender.bufferedAmount > 0) await turns()
      const record = new FrameRecord()
      record.push(socket.bytes)
      t.ok(
        record.frames.every(({ payload }, at) =>
          at < sizes.length
            ? payload.equals(Buffer.alloc(sizes[at] ?? 0, sizes[at]))
            : payload.equals(Buffer.from('é'.repeat((sizes[at - sizes.length] ?? 0) / 2))),
        ),
      )
      t.equal(wire().length, 2 * sizes.length)
      t.notOk(wire().some((line) => line.startsWith('masked') || line.startsWith('unmasked')))
    }
  },
)

await t.test('D11: a block that is full gives way to another', async (t) => {
  const { socket, sender, wire } = begin({ socketMark: mebibyte })
  const messages = Array.from({ length: 100 }, (_, n) => Buffer.alloc(4096, n))
  messages.forEach((message) => sender.message(message, true))
  await turns()
  t.equal(socket.calls.length, 1)
  t.ok((socket.calls[0]?.length ?? 99) <= 9, '400 KiB are a few blocks of 64 KiB')
  t.equal(wire().length, 100)
  t.ok(socket.bytes.equals(Buffer.concat(messages.map((message) => encoded(message)))))
})

await t.test(
  '6455-5.6-text-utf8-sent: a lone surrogate leaves as U+FFFD, in small and in large texts',
  async (t) => {
    for (const client of [false, true]) {
      const { socket, sender } = begin({ client })
      sender.message('a\ud83d', true)
      sender.message('\udc00'.repeat(2000), true)
      await turns()
      const record = new FrameRecord()
      record.push(socket.bytes)
      t.strictSame(
        record.frames.map(({ payload }) => payload.toString()),
        ['a\ufffd', '\ufffd'.repeat(2000)],
      )
    }
  },
)

// The caller's bytes

await t.test('D6, whatwg-send-snapshot: small data is what it was at the time of the call', async (t) => {
  const { socket, sender } = begin()
  const data = Buffer.alloc(4096, 1)
  sender.message(data, true)
  data.fill(2)
  await turns()
  t.ok(socket.bytes.equals(encoded(Buffer.alloc(4096, 1))))
})

await t.test(
  'D11: a server sends large data by reference, behind its header, in the same write',
  async (t) => {
    const { socket, sender } = begin()
    const memory = Buffer.alloc(10_000, 3)
    const data = memory.subarray(100, 5000)
    sender.message(data, true)
    await turns()
    const [call] = socket.calls
    t.equal(socket.calls.length, 1)
    t.equal(call?.length, 2)
    t.equal(call?.[1]?.buffer, memory.buffer)
    t.equal(call?.[1]?.byteOffset, data.byteOffset)
    t.equal(call?.[1]?.length, 4900)
    t.ok(socket.bytes.equals(encoded(data)))
  },
)

await t.test(
  '6455-5.3-caller-buffer-untouched, 6455-10.3-frame-immutable: a client masks a copy',
  async (t) => {
    const { socket, sender, wire } = begin({ client: true })
    const sizes = [3, 4096, 4097, 100_000]
    const all = sizes.map((size) => Buffer.alloc(size, 5))
    for (const data of all) sender.message(data, true)
    t.ok(all.every((data) => data.equals(Buffer.alloc(data.length, 5))))
    for (const data of all) data.fill(9)
    while (sender.bufferedAmount > 0) await turns()
    const record = new FrameRecord()
    record.push(socket.bytes)
    t.ok(record.frames.every(({ payload }) => payload.equals(Buffer.alloc(payload.length, 5))))
    t.equal(wire().length, sizes.length)
    t.notOk(
      socket.calls
        .flat()
        .some((chunk) => all.some((data) => data.buffer === chunk.buffer && data.length > 4096)),
    )
  },
)

await t.test('6455-5.3-fresh-key, 6455-5.3-fresh-key-per-fragment: each frame has its own key', async (t) => {
  const { socket, sender } = begin({ client: true, socketMark: mebibyte })
  sender.message('same', true)
  sender.message('same', true)
  sender.message(Buffer.alloc(10_000), true)
  await sender.beginTurn('stream')
  void sender.fragment(Opcode.text, 'same', false)
  sender.ping(Buffer.from('same'))
  sender.message('behind', true)
  void sender.fragment(Opcode.continuation, 'same', true)
  sender.endTurn()
  sender.pong(Buffer.from('same'))
  sender.close(Buffer.alloc(0), () => {})
  await turns()
  const keys: number[] = []
  for (let at = 0; at < socket.bytes.length;) {
    const short = socket.bytes.readUInt8(at + 1)
    t.ok(short & 0x80, '6455-5.1-client-masks')
    const size = short & 0x7f
    const length = size < 126 ? size : socket.bytes.readUInt16BE(at + 2)
    const start = at + (size < 126 ? 2 : 4)
    keys.push(socket.bytes.readInt32BE(start))
    at = start + 4 + length
  }
  t.equal(keys.length, 9)
  t.strictSame(
    keys.toSorted((one, other) => one - other),
    Array.from({ length: 9 }, (_, at) => 0x01020304 + at),
  )
})

// Backpressure

await t.test('S1: false from the high-water mark on, and a drain when the output is below it', async (t) => {
  const { socket, sender, drains } = begin({ highWaterMark: 100, stalled: true })
  t.equal(sender.message(Buffer.alloc(97), true), true, '99 bytes')
  t.equal(sender.mustDrain, false)
  t.equal(sender.message('', true), false, '101 bytes')
  t.equal(sender.mustDrain, true)
  t.equal(sender.bufferedAmount, 101)
  await turns()
  t.equal(sender.bufferedAmount, 101, 'with the socket, not yet with the kernel')
  t.strictSame(drains, [])
  socket.unstall()
  await turns()
  t.strictSame(drains, [0])
  t.equal(sender.mustDrain, false)
  t.equal(sender.message('x', true), true)
  await turns()
  t.strictSame(drains, [0], 'one drain for all that were told to wait')
})

await t.test('S1: no drain while the output is at the mark or above', async (t) => {
  const { socket, sender, drains } = begin({ highWaterMark: 1000, socketMark: 100, stalled: true })
  for (let n = 0; n < 30; n++) sender.prepared(new PreparedMessage(Buffer.alloc(98, n)))
  await turns()
  t.equal(sender.bufferedAmount, 3000)
  for (let left = 3000; left >= 100; left -= 100) {
    t.equal(sender.bufferedAmount, left)
    t.equal(drains.length, left < 1000 ? 1 : 0, `${left}`)
    socket.accept()
    await turns()
  }
  t.strictSame(drains, [900])
})

await t.test(
  'S3: who goes on without waiting is told of when the output has grown by the mark once more',
  async (t) => {
    const { socket, sender, drains, excesses } = begin({ highWaterMark: 1000, stalled: true })
    t.equal(sender.message(Buffer.alloc(5000), true), false, 'one message may be as long as it is')
    t.equal(sender.message(Buffer.alloc(900), true), false)
    t.strictSame(excesses, [])
    sender.message(Buffer.alloc(94), true)
    t.strictSame(excesses, [6004], 'less than the mark is passed over')
    sender.ping(Buffer.alloc(0))
    t.equal(excesses.length, 2, 'and each further frame')
    await turns()
    socket.unstall()
    await until(() => drains.length > 0)
    t.equal(sender.message(Buffer.alloc(1000), true), false)
    t.equal(excesses.length, 2, 'after a drain it begins anew')
  },
)

await t.test('a mark of one byte works like any other', async (t) => {
  const { sender, drains } = begin({ highWaterMark: 1 })
  for (let n = 1; n <= 3; n++) {
    t.equal(sender.message('a', true), false)
    await turns()
    t.equal(drains.length, n)
  }
})

await t.test('whatever fills the output makes it drain: pings, frames and fragments too', async (t) => {
  const fills: ((sender: Sender) => void)[] = [
    (sender) => sender.ping(Buffer.alloc(100)),
    (sender) => sender.pong(Buffer.alloc(100)),
    (sender) => sender.prepared(new PreparedMessage(Buffer.alloc(98))),
    (sender) => void sender.fragment(Opcode.text, Buffer.alloc(100), false),
  ]
  for (const fill of fills) {
    const { socket, sender, drains } = begin({ highWaterMark: 100, stalled: true })
    fill(sender)
    t.equal(sender.mustDrain, true)
    await turns()
    socket.unstall()
    await turns()
    t.equal(drains.length, 1)
  }
})

await t.test(
  '6455-10.4-send-queue: bufferedAmount counts what is here and what the socket has',
  async (t) => {
    const { socket, sender } = begin({ stalled: true, socketMark: 50 })
    sender.message(Buffer.alloc(98), true)
    sender.message(Buffer.alloc(5000), true)
    t.equal(sender.bufferedAmount, 100 + 5004)
    await turns()
    t.equal(socket.writableLength, 100, 'full: the rest stays here')
    t.equal(sender.bufferedAmount, 100 + 5004)
    socket.accept()
    await turns()
    t.equal(sender.bufferedAmount, 5004)
    socket.unstall()
    await turns()
    t.equal(sender.bufferedAmount, 0)
  },
)

await t.test(
  'D5: a large frame is given to the socket whole, though the socket is full behind its header',
  async (t) => {
    const { socket, sender, wire } = begin({ socketMark: 1, stalled: true })
    sender.message(Buffer.alloc(70_000), true)
    await turns()
    t.equal(socket.writableLength, 70_010)
    sender.pong(Buffer.from('p'))
    sender.close(Buffer.alloc(0), () => {})
    await turns()
    socket.unstall()
    while (sender.bufferedAmount > 0) await turns()
    t.strictSame(wire(), ['binary 70000 bytes', 'close'])
  },
)

// Pongs

await t.test('F9b, 6455-5.5.2-ping-pong: a socket that takes what it gets is given every Pong', async (t) => {
  const { sender, wire } = begin()
  for (let n = 0; n < 100; n++) sender.pong(Buffer.from(`${n}`))
  await turns()
  t.equal(wire().length, 100)
})

await t.test(
  'F9a, 6455-5.5.3-pong-latest-only: a socket that takes nothing gets the latest Pong alone',
  async (t) => {
    const { socket, sender, wire } = begin({ socketMark: 10, stalled: true })
    sender.message('message that fills it', true)
    await turns()
    const before = sender.bufferedAmount
    const payload = Buffer.from('0')
    for (let n = 0; n < 10_000; n++) {
      payload.write(`${n % 10}`)
      sender.pong(payload)
    }
    sender.pong(Buffer.from('longer'))
    sender.pong(Buffer.from('latest'))
    sender.pong(Buffer.from('latest!'))
    t.equal(sender.bufferedAmount, before)
    payload.fill(0)
    socket.unstall()
    await turns(2)
    t.strictSame(wire(), ['text "message that fills it"', `pong ${Buffer.from('latest!').toString('hex')}`])
    sender.pong(Buffer.from('a'))
    await turns()
    t.equal(wire().length, 3)
  },
)

await t.test('a Pong that waited leaves behind what was queued before it, and once', async (t) => {
  const { socket, sender, wire } = begin({ socketMark: 10, stalled: true })
  sender.message('fills the socket', true)
  await turns()
  sender.pong(Buffer.from('p'))
  sender.message('queued', true)
  socket.unstall()
  await turns(2)
  t.strictSame(wire(), ['text "fills the socket"', 'text "queued"', 'pong 70'])
})

// Memory

await t.test('D4, S4: a stalled peer pins no shared block', async (t) => {
  // A block that many connections write into at the same time.
  const healthy = begin()
  const stalled = Array.from({ length: 20 }, () => begin({ socketMark: 10, stalled: true }))
  for (const { sender } of stalled) sender.message('fills the socket', true)
  await turns()
  const sharedBlocks = new Set<ArrayBufferLike>(
    stalled.map(({ socket }) => socket.calls[0]?.[0]?.buffer ?? new ArrayBuffer()),
  )
  t.equal(sharedBlocks.size, 1, 'what the sockets took at once lies in one block')
  for (let turn = 0; turn < 100; turn++) {
    for (const { sender } of [healthy, ...stalled]) sender.message(`broadcast ${turn}`, true)
    await turns()
  }
  for (const { socket } of stalled) socket.unstall()
  await turns(3)
  for (const { socket, wire } of stalled) {
    t.equal(wire().length, 101)
    const buffers = new Set(
      socket.calls
        .slice(1)
        .flat()
        .map(({ buffer }) => buffer),
    )
    const pinned = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0)
    const queued = socket.bytes.length - (socket.calls[0]?.[0]?.length ?? 0)
    t.notOk(
      [...buffers].some(
        (buffer) =>
          sharedBlocks.has(buffer) || healthy.socket.calls.flat().some((chunk) => chunk.buffer === buffer),
      ),
    )
    t.ok(pinned <= 2 * queued + 1024, `${pinned} bytes pinned for ${queued}`)
  }
})

await t.test('D4: own blocks double up to 64 KiB, and go when all has left', async (t) => {
  const { socket, sender, wire } = begin({ socketMark: 10, stalled: true, highWaterMark: 16 * mebibyte })
  sender.message('fills the socket', true)
  await turns()
  for (let n = 0; n < 100; n++) sender.message(Buffer.alloc(4000, n), true)
  socket.unstall()
  await turns(3)
  t.equal(wire().length, 101)
  const sizes = [
    ...new Set(
      socket.calls
        .slice(1)
        .flat()
        .map(({ buffer }) => buffer),
    ),
  ].map(({ byteLength }) => byteLength)
  t.ok(sizes.every((size) => size <= 65_536))
  t.ok(sizes.length <= 14, `${sizes.length} blocks`)
  sender.message('small again', true)
  await turns()
  t.notOk(
    socket.calls
      .slice(1, -1)
      .flat()
      .some(({ buffer }) => buffer === socket.calls.at(-1)?.[0]?.buffer),
    'in the shared block',
  )
})

await t.test('D4: a frame that just fits goes into the block, one byte more does not', async (t) => {
  for (const size of [24, 25]) {
    const { socket, sender } = begin({ socketMark: 10, stalled: true })
    sender.message('fills the socket', true)
    await turns()
    sender.message(Buffer.alloc(996, 1), true)
    sender.message(Buffer.alloc(size - 2, 2), true)
    sender.message('x', true)
    socket.unstall()
    await turns(2)
    const expected = [Buffer.alloc(996, 1), Buffer.alloc(size - 2, 2)].map((payload) => encoded(payload))
    t.ok(
      Buffer.concat(socket.calls.slice(1).flat()).equals(
        Buffer.concat([...expected, encoded('x', Opcode.text)]),
      ),
    )
    t.equal(socket.calls[1]?.[0]?.length, size === 24 ? 1024 : 1000)
  }
})

// Close

await t.test('6455-5.5.1-no-data-after-close, I2: Close is the last frame', async (t) => {
  const { sender, wire } = begin()
  sender.message('a', true)
  let flushed = 0
  sender.close(Buffer.from([0x03, 0xe8]), () => flushed++)
  t.equal(sender.message('b', true), false)
  sender.ping(Buffer.alloc(0))
  sender.pong(Buffer.alloc(0))
  t.equal(flushed, 0)
  await turns()
  t.equal(flushed, 1)
  t.strictSame(wire(), ['text "a"', 'close 1000'])
})

await t.test(
  'D1: the Close is flushed when the kernel has it, and not when the socket is destroyed',
  async (t) => {
    const taken = begin({ stalled: true })
    let flushed = 0
    taken.sender.close(Buffer.alloc(0), () => flushed++)
    await turns(2)
    t.equal(flushed, 0)
    taken.socket.unstall()
    await turns()
    t.equal(flushed, 1)

    const destroyed = begin({ stalled: true })
    destroyed.sender.close(Buffer.alloc(0), () => t.fail('it never left'))
    await turns()
    destroyed.socket.destroy()
    await turns(2)
    t.strictSame(destroyed.wire(), ['close'])
  },
)

await t.test('end comes behind all that is queued', async (t) => {
  const { socket, sender, wire } = begin({ socketMark: 10, stalled: true })
  sender.message('fills the socket', true)
  await turns()
  sender.message('queued', true)
  sender.close(Buffer.alloc(0), () => {})
  sender.end()
  await turns(2)
  t.notOk(socket.writableEnded)
  socket.unstall()
  await turns(3)
  t.ok(socket.ended)
  t.strictSame(wire(), ['text "fills the socket"', 'text "queued"', 'close'])

  const idle = begin()
  idle.sender.end()
  await turns()
  t.ok(idle.socket.ended)
  idle.sender.end()
  await turns()
})

await t.test('a Close forgets the Pong that waited', async (t) => {
  const { socket, sender, wire } = begin({ socketMark: 10, stalled: true })
  sender.message('fills the socket', true)
  await turns()
  sender.pong(Buffer.from('p'))
  sender.close(Buffer.alloc(0), () => {})
  socket.unstall()
  await turns(2)
  t.strictSame(wire(), ['text "fills the socket"', 'close'])
})

await t.test('RFC 6455 7.1.7: drop forgets all that the socket has not been given', async (t) => {
  const { socket, sender, wire } = begin({ socketMark: 10, stalled: true })
  sender.message('fills the socket', true)
  await turns()
  sender.message('small', true)
  sender.message(Buffer.alloc(10_000), true)
  sender.message('small', true)
  sender.pong(Buffer.from('p'))
  const before = socket.writableLength
  sender.drop()
  t.equal(sender.bufferedAmount, before)
  sender.close(Buffer.from([0x03, 0xf0]), () => {})
  socket.unstall()
  await turns(2)
  t.strictSame(wire(), ['text "fills the socket"', 'close 1008'])
})

await t.test(
  'a socket that is destroyed or ended is given nothing, and nothing is kept for it',
  async (t) => {
    const destroyed = begin()
    destroyed.socket.destroy()
    destroyed.sender.message('a', true)
    await turns()
    t.equal(destroyed.sender.bufferedAmount, 0)
    t.equal(destroyed.socket.calls.length, 0)

    const ended = begin()
    ended.socket.end()
    ended.sender.message('a', true)
    await turns()
    t.equal(ended.sender.bufferedAmount, 0)
    t.equal(ended.socket.calls.length, 0)
  },
)

// A streamed message

await t.test('6455-5.4-no-interleave-sent: messages and frames wait behind a stream, in order', async (t) => {
  const { sender, wire } = begin()
  await sender.beginTurn('stream')
  await sender.fragment(Opcode.text, 'a', false)
  t.equal(sender.message('behind 1', true), true)
  t.equal(sender.prepared(new PreparedMessage(Buffer.from('behind 2'))), true)
  sender.ping(Buffer.from('i'))
  sender.pong(Buffer.from('o'))
  t.ok(sender.bufferedAmount > 20, 'what waits counts')
  await sender.fragment(Opcode.continuation, 'b', false)
  await turns()
  t.strictSame(wire(), ['text "a"…', 'ping 69', 'pong 6f', 'more "b"…'])
  t.equal(sender.bufferedAmount, encoded('behind 1').length + encoded('behind 2').length)
  await sender.fragment(Opcode.continuation, '', true)
  sender.endTurn()
  await turns()
  t.strictSame(wire().slice(4), [
    'more ""',
    'text "behind 1"',
    `binary ${Buffer.from('behind 2').toString('hex')}`,
  ])
  t.equal(sender.bufferedAmount, 0)
  sender.message('free', true)
  await turns()
  t.equal(wire().length, 8)
})

await t.test('P8: streams take turns with each other and with the messages between them', async (t) => {
  const { sender, wire } = begin()
  const stream = async (name: string): Promise<void> => {
    await sender.beginTurn('stream')
    await sender.fragment(Opcode.text, name, false)
    await turns()
    await sender.fragment(Opcode.continuation, '', true)
    sender.endTurn()
  }
  const one = stream('one')
  sender.message('a', true)
  const two = stream('two')
  sender.message('b', true)
  const three = stream('three')
  await Promise.all([one, two, three])
  sender.message('c', true)
  await turns()
  t.strictSame(
    wire().filter((line) => line !== 'more ""'),
    ['text "one"…', 'text "a"', 'text "two"…', 'text "b"', 'text "three"…', 'text "c"'],
  )
})

await t.test('a fragment resolves when another may come, whatever waits behind the stream', async (t) => {
  const { socket, sender } = begin({ highWaterMark: 100, stalled: true })
  await sender.beginTurn('stream')
  t.equal(sender.message(Buffer.alloc(1000), true), false)
  await sender.fragment(Opcode.text, 'a', false)
  let goesOn = false
  void sender.fragment(Opcode.continuation, Buffer.alloc(100), false).then(() => (goesOn = true))
  await turns(2)
  t.notOk(goesOn)
  socket.unstall()
  await turns(2)
  t.ok(goesOn)
  t.ok(sender.mustDrain, 'but what waits behind is above the mark still')
  sender.endTurn()
  await turns(2)
  t.notOk(sender.mustDrain)
})

await t.test(
  'a Close or the end cuts a stream: what waited behind is gone, streams that wait still get their turn',
  async (t) => {
    for (const cut of ['close', 'drop', 'end'] as const) {
      const { sender, wire } = begin()
      await sender.beginTurn('stream')
      await sender.fragment(Opcode.text, 'a', false)
      sender.message('behind', true)
      let turn = false
      void sender.beginTurn('stream').then(() => (turn = true))
      sender.prepared(new PreparedMessage('behind'))
      await turns()
      if (cut === 'close') sender.close(Buffer.alloc(0), () => {})
      else sender[cut]()
      t.equal(sender.bufferedAmount, cut === 'close' ? 2 : 0)
      await sender.fragment(Opcode.continuation, '', true)
      sender.endTurn()
      await turns()
      t.ok(turn)
      const last = { close: ['close'], drop: ['more ""'], end: [] }[cut]
      t.strictSame(wire(), ['text "a"…', ...last])
    }
  },
)

// Compression: the rest is in deflate/connection.test.ts

await t.test('7692-7.3-may-skip-small, 7692-6-rsv1-set: compressed from the threshold on', async (t) => {
  const { sender, wire } = begin({ threshold: 100 })
  sender.message('a'.repeat(99), true)
  sender.message('a'.repeat(100), true)
  sender.message('a'.repeat(100), false)
  sender.prepared(new PreparedMessage('b'.repeat(99)))
  sender.prepared(new PreparedMessage('b'.repeat(100)))
  await turns()
  t.strictSame(
    wire().map((line) => line.startsWith('rsv 4 text')),
    [false, true, false, false, true],
  )
})

await t.test(
  '7692-6-uncompressed-allowed: what gains nothing in the thread pool goes as it is',
  async (t) => {
    const { sender, wire } = begin({ threshold: 0 })
    sender.prepared(new PreparedMessage(noise(50_000)))
    sender.message(noise(50_000), true)
    await until(() => wire().length === 2)
    t.strictSame(wire(), ['binary 50000 bytes', 'binary 50000 bytes'])
  },
)

await t.test('6455-5.5.1-no-data-after-close: what was dropped while it was compressed', async (t) => {
  const { sender, wire } = begin({ threshold: 0 })
  const message = new PreparedMessage(textOf(50_000))
  sender.prepared(message)
  sender.message(textOf(50_000), true)
  t.equal(sender.bufferedAmount, 100_000)
  sender.drop()
  sender.close(Buffer.from([0x03, 0xea]), () => {})
  await until(() => sender.bufferedAmount === 0)
  await turns(2)
  t.strictSame(wire(), ['close 1002'])
})

for (const last of ['Close', 'end'] as const) {
  await t.test(
    `X1: the ${last} goes behind what is compressed, in the place of a stream that waits; what waits behind that is gone`,
    async (t) => {
      const { socket, sender, wire } = begin({ threshold: 1000 })
      sender.message(textOf(50_000), true)
      sender.message('behind it', true)
      let turn = false
      const stream = sender.beginTurn('stream').then(() => {
        turn = true
        sender.endTurn()
      })
      sender.message('behind the stream', true)
      sender.prepared(new PreparedMessage('behind the stream'))
      sender.message(textOf(50_000), true)
      if (last === 'Close') sender.close(Buffer.from([0x03, 0xe8]), () => {})
      sender.end()
      t.equal(turn, false)
      await stream
      await until(() => sender.bufferedAmount === 0 && socket.ended)
      await turns(2)
      matchEach(t, wire(), [/^rsv 4 text/, 'text "behind it"', ...(last === 'Close' ? ['close 1000'] : [])])
    },
  )
}

await t.test(
  'RFC 6455 7.1.7: drop gives the socket what one turn has held together, as far as it takes it',
  async (t) => {
    const { sender, wire } = begin()
    sender.cork()
    sender.message('an answer', true)
    sender.pong(Buffer.from('p'))
    sender.drop()
    sender.close(Buffer.from([0x03, 0xea]), () => {})
    sender.uncork()
    await turns()
    t.strictSame(wire(), ['text "an answer"', 'pong 70', 'close 1002'])
  },
)

await t.test('RFC 6455 7.1.7: of a Close that was dropped nobody is told that it has left', async (t) => {
  for (const dropped of [true, false]) {
    const { socket, sender } = begin({ stalled: true, highWaterMark: 10, socketMark: 10 })
    let flushed = 0
    t.equal(sender.message('fills the socket', true), false)
    await turns()
    t.equal(sender.message('waits', true), false)
    sender.close(Buffer.from([0x03, 0xe8]), () => flushed++)
    await turns()
    if (dropped) sender.drop()
    socket.unstall()
    await turns(2)
    t.equal(sender.bufferedAmount, 0)
    t.equal(flushed, dropped ? 0 : 1)
  }
})

await t.test('S1: full is what is above maxBufferedAmount, and a drain empties it', async (t) => {
  const { socket, sender } = begin({
    stalled: true,
    highWaterMark: 100,
    maxBufferedAmount: 200,
    socketMark: 10,
  })
  sender.message('x'.repeat(96), true)
  t.notOk(sender.full)
  sender.message('x'.repeat(98), true)
  t.equal(sender.bufferedAmount, 198)
  t.notOk(sender.full)
  sender.message('', true)
  t.equal(sender.bufferedAmount, 200)
  t.notOk(sender.full, 'the cap itself is allowed')
  sender.message('', true)
  t.ok(sender.full)
  socket.unstall()
  await turns()
  t.equal(sender.bufferedAmount, 0)
  t.notOk(sender.full)
})

await t.test('RFC 6455 6.1: text is written as UTF-8, all ASCII or not', async (t) => {
  for (const text of ['', 'ascii', 'é', 'a€b', '😀', '\ud800', 'x'.repeat(5000), 'ü'.repeat(5000)]) {
    const { socket, sender } = begin()
    sender.message(text, true)
    sender.flush()
    t.ok(
      socket.bytes.subarray(-Buffer.byteLength(text) || Infinity).equals(Buffer.from(text)),
      text.slice(0, 10),
    )
  }
})

await t.test(
  'D2: a Duplex that throws fails its own connection, not those that are flushed behind it',
  async (t) => {
    const first = begin()
    const second = begin()
    const errors: Error[] = []
    first.socket.on('error', (error) => errors.push(error))
    first.socket.write = () => {
      throw new RangeError('no room')
    }
    first.sender.message('lost', true)
    second.sender.message('one', true)
    await turns()
    t.strictSame(
      errors.map(({ message }) => message),
      ['no room'],
    )
    t.ok(first.socket.destroyed)
    t.strictSame(second.wire().length, 1)
    second.sender.message('two', true)
    await turns()
    t.strictSame(second.wire().length, 2, 'and it goes on')
  },
)

await t.test('P19: what the kernel has taken is known, beside what waits', async (t) => {
  const { socket, sender } = begin({ socketMark: 10, stalled: true })
  const size = encoded('fills the socket', Opcode.text).length
  sender.message('fills the socket', true)
  sender.message('fills the socket', true)
  await turns()
  sender.message(Buffer.alloc(5000), true)
  await turns()
  t.strictSame([sender.bufferedAmount, sender.takenAmount], [2 * size + 5004, 0])
  socket.accept()
  await turns()
  t.strictSame([sender.bufferedAmount, sender.takenAmount], [5004, 2 * size])
  socket.unstall()
  await turns(2)
  t.strictSame([sender.bufferedAmount, sender.takenAmount], [0, 2 * size + 5004])
})
