import t from 'tap'
import { Buffer } from 'node:buffer'
import type { Duplex } from 'node:stream'
import { encodeFrame, payloadSize } from '../../frames/encoder.ts'
import { finBit } from '../../frames/header.ts'
import { type MessageOpcode, Opcode } from '../../frames/opcode.ts'
import { MaskKeys } from '../../lib/mask-keys.ts'
import { Output } from '../../lib/output.ts'
import { KernelSocket } from '../help/kernel-socket.ts'
import { turns } from '../help/loop.ts'
import { RecordingSocket } from '../help/recording-socket.ts'
import { noise } from './deflate/samples.ts'

const opcodeOf = (payload: Uint8Array | string): MessageOpcode =>
  typeof payload === 'string' ? Opcode.text : Opcode.binary

/** The frames of a server for those messages. */
const frames = (...payloads: (Uint8Array | string)[]): Buffer =>
  Buffer.concat(payloads.map((payload) => encodeFrame({ opcode: opcodeOf(payload), payload })))

/** The frames of a client, whose key is always the same. */
const masked = (...payloads: (Uint8Array | string)[]): Buffer =>
  Buffer.concat(
    payloads.map((payload) => encodeFrame({ opcode: opcodeOf(payload), payload, maskKey: 0x07070707 })),
  )

/** An output that writes again when its socket has drained; `told` says how often it was told that all was taken. */
function begin<S extends Duplex>(socket: S, client = false) {
  const state = { told: 0 }
  const keys = client ? new MaskKeys((bytes) => bytes.fill(7)) : undefined
  const output = new Output(socket, keys, { taken: () => void state.told++ })
  socket.on('error', () => {})
  socket.on('drain', () => output.write(false))
  const frame = (payload: Uint8Array | string): number =>
    output.frame(finBit | opcodeOf(payload), payload, payloadSize(payload))
  return { socket, output, frame, state }
}

const recording = (socketMark = 16_384): RecordingSocket => new RecordingSocket({ highWaterMark: socketMark })

await t.test(
  'D5, D11: small frames are one buffer, a large payload goes as it is, all in one write',
  async (t) => {
    const { socket, output, frame } = begin(recording())
    const large = noise(5000)
    t.equal(frame('one'), 5)
    frame(Buffer.from('two'))
    t.equal(frame(large), 5004)
    output.push(frames('ready'))
    frame('x'.repeat(5000))
    frame('last')
    t.equal(output.waitingBytes, frames('one', 'two', large, 'ready', 'x'.repeat(5000), 'last').length)
    t.equal(output.empty, false)
    output.write(false)
    t.equal(socket.calls.length, 1)
    t.equal(socket.calls[0]?.length, 6)
    t.ok(socket.calls[0]?.some((chunk) => chunk.buffer === large.buffer && chunk.length === large.length))
    const wanted = [frames('one'), frames(Buffer.from('two'), large, 'ready', 'x'.repeat(5000), 'last')]
    t.ok(socket.bytes.equals(Buffer.concat(wanted)))
    t.strictSame([output.waitingBytes, output.takenBytes, output.empty], [0, socket.bytes.length, true])
    output.write(false)
    t.equal(socket.calls.length, 1, 'nothing is written twice')
  },
)

await t.test(
  'D4: what the socket does not take stays, and can be dropped; a frame is never cut',
  async (t) => {
    const { socket, output, frame, state } = begin(recording(10))
    socket.stalled = true
    frame('fills the socket')
    output.write(true)
    t.ok(output.blocked)
    frame('waits')
    frame(noise(5000))
    output.write(true)
    t.strictSame([socket.calls.length, state.told], [1, 0])
    output.drop()
    t.ok(output.empty)
    t.equal(output.waitingBytes, frames('fills the socket').length)
    socket.unstall()
    await turns()
    t.ok(socket.bytes.equals(frames('fills the socket')))
    t.strictSame([output.takenBytes, output.waitingBytes, state.told], [socket.bytes.length, 0, 1])
  },
)

await t.test('it tells when the kernel has taken what was written, and not when that is lost', async (t) => {
  const { socket, output, frame, state } = begin(recording())
  socket.stalled = true
  frame('one')
  output.write(true)
  await turns()
  t.equal(state.told, 0)
  socket.accept()
  await turns()
  t.equal(state.told, 1)
  frame('two')
  output.write(true)
  t.ok(output.isOpen)
  socket.destroy()
  await turns()
  t.strictSame([state.told, output.isOpen], [1, false])
})

await t.test('its end is behind all that was written', async (t) => {
  const { socket, output, frame } = begin(recording())
  frame('last')
  output.write(false)
  output.end()
  t.equal(output.isOpen, false)
  await turns()
  t.ok(socket.ended)
})

await t.test('6455-5.3-fresh-key: a frame that waits elsewhere is masked too', async (t) => {
  t.strictSame(begin(recording(), true).output.encode(Opcode.text, 'a'), masked('a'))
  t.strictSame(begin(recording()).output.encode(Opcode.binary, noise(10)), frames(noise(10)))
})

await t.test('D11: what the kernel has taken at once makes room for what comes next', async (t) => {
  const { socket, output, frame } = begin(new KernelSocket())
  const placeOf = (message: string): number | undefined => {
    frame(message)
    output.write(false)
    const chunk = socket.written.at(-1)
    t.ok(chunk?.equals(frames(message)), message)
    return chunk?.byteOffset
  }
  // Whatever has been written to the block before, there is room in it now for what follows.
  frame(Buffer.alloc(4000))
  output.write(false)
  const place = placeOf('one')
  t.equal(placeOf('two'), place, 'the same place')
  t.equal(socket.written.at(-1), socket.written.at(-2), 'and the same view of it')
  t.equal(placeOf('three'), place)

  const other = begin(new KernelSocket())
  frame('before')
  other.frame('not written yet')
  output.write(false)
  placeOf('behind it')
  other.output.write(false)
  t.ok(other.socket.bytes.equals(frames('not written yet')))

  socket.full = true
  frame('five')
  output.write(false)
  frame('six')
  output.write(false)
  other.frame('others do not write where it lies')
  other.output.write(false)
  socket.full = false
  socket.accept()
  await turns()
  t.ok(socket.bytes.subarray(-frames('five', 'six').length).equals(frames('five', 'six')))
})

await t.test('D4: a Duplex may keep the bytes that it says it has written', async (t) => {
  const { socket, output, frame } = begin(recording())
  for (const message of ['one', 'two', 'red']) {
    frame(message)
    output.write(false)
  }
  t.ok(socket.bytes.equals(frames('one', 'two', 'red')))
})

await t.test(
  'D11, 6455-5.3-mask-algorithm: from 16 KiB on a client masks into one block, and writes at once',
  async (t) => {
    for (const size of [16_384, 65_522, 65_523, 131_058, 131_059, 300_000]) {
      const { socket, output, frame } = begin(new KernelSocket(), true)
      const data = noise(size)
      t.equal(frame(data), masked(data).length)
      t.strictSame([output.waitingBytes, output.takenBytes], [0, masked(data).length], 'all has left')
      t.ok(socket.bytes.equals(masked(data)), `${size}`)
      t.ok(data.equals(noise(size)), '6455-5.3-caller-buffer-untouched')
      t.equal(socket.writes, Math.ceil(masked(data).length / 65_536))
      t.equal(new Set(socket.written.map(({ buffer }) => buffer)).size, 1)
      output.write(false)
      t.ok(socket.bytes.equals(masked(data)), 'and no more')
    }
    const { socket, output, frame } = begin(new KernelSocket(), true)
    frame(noise(16_383))
    t.equal(socket.writes, 0, 'less than that waits')
    output.write(false)
    t.ok(socket.bytes.equals(masked(noise(16_383))))
  },
)

await t.test('D5, D11: what came before a long message leaves before it', async (t) => {
  const { socket, output, frame } = begin(new KernelSocket(), true)
  const all = ['before', noise(100_000), 'behind', noise(20_000)]
  for (const payload of all) frame(payload)
  output.write(false)
  t.ok(socket.bytes.equals(masked(...all)))
})

await t.test(
  '6455-5.4-no-interleave-sent: what is sent while a long message is written, as TLS over a Duplex can have it, goes behind it',
  async (t) => {
    const { socket, output, frame } = begin(new KernelSocket(), true)
    let answers = 0
    socket.onWrite = () => {
      if (answers++ > 1) return
      frame('answer')
      frame(noise(20_000, 'long answer'))
      output.write(false)
    }
    frame(noise(200_000))
    output.write(false)
    await turns()
    const [long, long2] = [noise(200_000), noise(20_000, 'long answer')]
    t.ok(socket.bytes.equals(masked(long, 'answer', long2, 'answer', long2)))
  },
)

await t.test(
  'D6, whatwg-send-snapshot: the block is not used again before the kernel has taken what is in it',
  async (t) => {
    const slow = begin(new KernelSocket(), true)
    const quick = begin(new KernelSocket(), true)
    slow.socket.full = true
    const data = noise(200_000, 'slow')
    slow.frame(data)
    t.equal(slow.output.waitingBytes, masked(data).length)
    data.fill(0)
    quick.frame(noise(200_000, 'quick'))
    slow.frame(noise(20_000, 'behind'))
    t.equal(slow.socket.writes, 1, 'the socket waits for the kernel')
    slow.socket.full = false
    slow.socket.accept()
    while (slow.output.waitingBytes > 0) await turns()
    t.ok(slow.socket.bytes.equals(masked(noise(200_000, 'slow'), noise(20_000, 'behind'))))
    t.ok(quick.socket.bytes.equals(masked(noise(200_000, 'quick'))))
  },
)

await t.test(
  'S1: of a long message it always tells, since the socket’s drain only comes when that was full',
  async (t) => {
    const { socket, frame, state } = begin(new KernelSocket(), true)
    socket.full = true
    frame(noise(100_000))
    t.equal(state.told, 0)
    await turns()
    socket.full = false
    socket.accept()
    await turns(2)
    t.equal(state.told, 1)
  },
)

await t.test(
  'a long message goes nowhere once the socket is destroyed, and waits where it is full',
  async (t) => {
    const gone = begin(new KernelSocket(), true)
    gone.socket.destroy()
    gone.frame(noise(100_000))
    gone.output.drop()
    t.strictSame([gone.socket.writes, gone.output.waitingBytes], [0, 0])

    const { socket, output, frame } = begin(new KernelSocket(), true)
    socket.full = true
    frame(noise(5000))
    frame(noise(65_000))
    t.equal(socket.writes, 1)
    output.write(false)
    frame(noise(100_000))
    output.drop()
    socket.full = false
    socket.accept()
    while (output.waitingBytes > 0) await turns()
    t.ok(socket.bytes.equals(masked(noise(5000), noise(65_000))), '7.1.7: it can be dropped')
  },
)

await t.test('D2: a Duplex that throws is destroyed', async (t) => {
  const { socket, output, frame } = begin(recording())
  const errors: Error[] = []
  socket.on('error', (error) => errors.push(error))
  socket.write = () => {
    throw new RangeError('no room')
  }
  frame('lost')
  output.write(false)
  await turns()
  t.strictSame(
    errors.map(({ message }) => message),
    ['no room'],
  )
  t.ok(socket.destroyed)
})
