import t from 'tap'
import { Buffer } from 'node:buffer'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { Deflater } from '../../lib/deflate/deflater.ts'
import { PreparedMessage } from '../../lib/prepared-message.ts'
import { StrictInflater } from '../help/strict-inflater.ts'
import { noise, textOf } from './deflate/samples.ts'

function deflater(windowBits = 15, noContextTakeover = false): Deflater {
  return new Deflater({ windowBits, noContextTakeover, level: 6, memLevel: 8 })
}

/** The payload of a frame with a length of 16 bits. */
function payloadOf(frame: Buffer | undefined): Buffer {
  if (frame === undefined) throw new Error('not compressed')
  return frame.subarray(4)
}

await t.test('framed once, as a server frames it', async (t) => {
  const text = new PreparedMessage('grüß dich')
  t.strictSame(text.frame, encodeFrame({ opcode: Opcode.text, payload: 'grüß dich' }))
  t.strictSame(text.payload, Buffer.from('grüß dich'))
  const bytes = Buffer.from([1, 2, 3])
  const binary = new PreparedMessage(bytes)
  bytes.fill(0)
  t.strictSame(binary.frame, encodeFrame({ opcode: Opcode.binary, payload: Buffer.from([1, 2, 3]) }))
  t.strictSame(binary.payload, Buffer.from([1, 2, 3]), 'a copy: connections may take it later')
})

await t.test('7692-6.1-compress-then-frame: compressed once for each window, whoever asks', async (t) => {
  const text = textOf(3000)
  const message = new PreparedMessage(text)
  const frame = await message.compressedFor(deflater())
  t.equal(await message.compressedFor(deflater(15, true)), frame)
  t.equal(frame?.[0], 0xc1, '7692-6-rsv1-set, 7692-6-opcode-kept')
  t.equal(new StrictInflater(15, false).inflate(payloadOf(frame)).toString(), text)
  const narrow = await message.compressedFor(deflater(8))
  t.not(narrow, frame)
  t.equal(
    new StrictInflater(8, false).inflate(payloadOf(narrow)).toString(),
    text,
    '7692-7.1.2.1-server-obeys',
  )
})

await t.test('a long one in the thread pool, once', async (t) => {
  const message = new PreparedMessage(Buffer.from(textOf(50_000)))
  const compressed = message.compressedFor(deflater())
  t.type(compressed, Promise)
  t.equal(message.compressedFor(deflater()), compressed)
  const frame = await compressed
  t.equal(frame?.[0], 0xc2)
  t.equal(new StrictInflater(15, false).inflate(payloadOf(frame)).toString(), textOf(50_000))
})

await t.test(
  '7692-7.3-may-skip-small: where compressing gains nothing, and that too is found out once',
  async (t) => {
    const message = new PreparedMessage(noise(500))
    t.equal(message.compressedFor(deflater()), undefined)
    t.equal(message.compressedFor(deflater()), undefined)
    t.equal(await new PreparedMessage(noise(50_000)).compressedFor(deflater()), undefined)
  },
)
