import t from 'tap'
import { Buffer } from 'node:buffer'
import { Decoder } from '../../frames/decoder.ts'
import { encodeFrame } from '../../frames/encoder.ts'
import { type MessageOpcode, Opcode } from '../../frames/opcode.ts'
import { Budget } from '../../lib/budget.ts'
import type { Message } from '../../lib/message.ts'
import { Receiver } from '../../lib/receiver.ts'
import { Random } from '../fuzz/random.ts'

const mebibyte = 1024 * 1024

/** A receiver behind a decoder, as a connection has it, and what comes out of them. */
class Reception {
  readonly budget: Budget
  readonly receiver: Receiver
  readonly decoder: Decoder
  readonly messages: Message[] = []
  readonly compressed: string[] = []
  readonly controls: string[] = []
  readonly violations: string[] = []
  /** What was pushed. */
  readonly chunks: Buffer[] = []

  constructor({
    from = 'server',
    limit = 64 * mebibyte,
    maxMessageSize = 16 * mebibyte,
  }: { from?: 'client' | 'server'; limit?: number; maxMessageSize?: number } = {}) {
    this.budget = new Budget(limit)
    this.receiver = new Receiver(
      {
        message: (message) => this.messages.push(message),
        compressed: (opcode, pieces, size) =>
          this.compressed.push(`${opcode} ${Buffer.concat(pieces).toString('hex')} ${size}`),
        control: (opcode, payload) => this.controls.push(`${opcode} ${payload.toString()}`),
        violation: (violation) => {
          this.violations.push(`${violation.closeCode} ${violation.name}`)
          this.decoder.stop()
        },
      },
      this.budget,
    )
    this.decoder = new Decoder(this.receiver, { from, maxMessageSize, rsv1Allowed: true })
  }

  push(...chunks: Uint8Array[]): this {
    // Each in memory of its own, as a socket gives them.
    for (const chunk of chunks) {
      const own = Buffer.allocUnsafeSlow(chunk.length)
      own.set(chunk)
      this.chunks.push(own)
      this.decoder.push(own)
    }
    return this
  }

  /** As `push`, but into the room that there is for what comes next. Returns how much that is. */
  fill(bytes: Uint8Array): number {
    const room = this.decoder.roomAhead()
    if (room === undefined) return 0
    const size = Math.min(room.length, bytes.length)
    room.set(bytes.subarray(0, size))
    this.decoder.filled(room, size)
    return size
  }

  /** In two chunks. */
  halves(bytes: Uint8Array): this {
    const half = bytes.length >> 1
    return this.push(bytes.subarray(0, half), bytes.subarray(half))
  }

  frame(opcode: Opcode, payload: Uint8Array | string, fin: boolean, rsv1 = false): this {
    return this.push(encodeFrame({ opcode, payload, fin, rsv1 }))
  }

  /** Straight to the receiver: the next piece lies in a chunk of its own of that size. */
  piece(opcode: MessageOpcode, size: number, chunkSize: number, last = false): void {
    this.receiver.data(opcode, Buffer.allocUnsafeSlow(chunkSize).fill(size), 0, size, last, false)
  }
}

const { text, binary, continuation, ping, pong } = Opcode

await t.test(
  '6455-5.4-unfragmented, 6455-5.2-extension-data-zero, D6: a whole message is text as string or binary as Buffer',
  async (t) => {
    const reception = new Reception()
    reception.frame(text, 'Grüße €', true).frame(binary, Buffer.from([0, 255]), true)
    reception.frame(text, '', true).frame(binary, '', true)
    t.strictSame(reception.messages, ['Grüße €', Buffer.from([0, 255]), '', Buffer.alloc(0)])
    t.equal(reception.budget.used, 0, 'nothing of them is held')
  },
)

await t.test('D6: a binary message in one chunk is a view of it, not a copy', async (t) => {
  const reception = new Reception()
  const chunk = encodeFrame({ opcode: binary, payload: Buffer.alloc(100, 1) })
  reception.decoder.push(chunk)
  const [message] = reception.messages
  if (!Buffer.isBuffer(message)) throw new TypeError('binary is a Buffer')
  t.equal(message.buffer, chunk.buffer)
})

await t.test(
  'D6: wherever chunks lie, and whatever came between, each message is its own bytes',
  async (t) => {
    const memory = Buffer.alloc(1000)
    const [one, two] = [new Reception(), new Reception()]
    const push = (to: Reception, at: number, texts: readonly string[]): void => {
      const frames = Buffer.concat(
        texts.map((payload) => encodeFrame({ opcode: binary, payload: Buffer.from(payload) })),
      )
      frames.copy(memory, at)
      to.decoder.push(memory.subarray(at, at + frames.length))
    }
    push(one, 100, ['a', 'bc'])
    push(two, 300, ['def'])
    push(one, 500, ['', 'ghij'])
    t.strictSame(one.messages.map(String), ['a', 'bc', '', 'ghij'])
    t.strictSame(two.messages.map(String), ['def'])
  },
)

await t.test(
  '6455-5.4-fragments-joined, 6455-5.2-fin-final, 6455-5.4-type-from-first: with control frames between',
  async (t) => {
    const reception = new Reception()
    reception.frame(text, 'one ', false).frame(ping, 'p', true).frame(continuation, 'two ', false)
    t.strictSame(reception.messages, [], 'not yet')
    reception.frame(pong, 'q', true).frame(continuation, 'three', true)
    reception.frame(binary, 'x', false).frame(continuation, '', false).frame(continuation, 'y', true)
    t.strictSame(reception.messages, ['one two three', Buffer.from('xy')])
    t.strictSame(reception.controls, ['9 p', '10 q'])
    t.equal(reception.budget.used, 0)
  },
)

await t.test('6455-5.4-no-frame-boundary-meaning: cut into chunks anywhere, the same messages', async (t) => {
  const words = 'Zażółć gęślą jaźń 🙂 '.repeat(3)
  const frames = Buffer.concat([
    encodeFrame({ opcode: text, payload: words }),
    encodeFrame({ opcode: binary, payload: Buffer.from(words), fin: false }),
    encodeFrame({ opcode: continuation, payload: 'end' }),
  ])
  for (let cut = 0; cut <= frames.length; cut++) {
    const reception = new Reception()
    reception.push(frames.subarray(0, cut), frames.subarray(cut))
    t.strictSame(reception.messages, [words, Buffer.from(`${words}end`)], `cut at ${cut}`)
    t.equal(reception.budget.used, 0)
  }
  const bytewise = new Reception()
  bytewise.push(...Array.from(frames, (byte) => Buffer.from([byte])))
  t.strictSame(bytewise.messages, [words, Buffer.from(`${words}end`)])
})

await t.test('6455-6.2-new-message-after-final: nothing of one message is left for the next', async (t) => {
  const reception = new Reception()
  for (const size of [5000, 1, 0, 70_000, 3]) {
    reception.frame(binary, Buffer.alloc(size, size), false).frame(continuation, Buffer.alloc(size, 1), true)
  }
  for (const [at, size] of [5000, 1, 0, 70_000, 3].entries()) {
    t.ok(
      Buffer.concat([Buffer.alloc(size, size), Buffer.alloc(size, 1)]).equals(
        Buffer.from(reception.messages[at] ?? '?'),
      ),
    )
  }
})

await t.test('6455-8.1-fail-fast, D7: bad UTF-8 fails in the frame of its first bad byte', async (t) => {
  const whole = new Reception()
  whole.frame(text, Buffer.from([0x61, 0xff]), true)
  t.strictSame(whole.violations, ['1007 bad-utf8'])

  const early = new Reception()
  early.frame(text, Buffer.from([0xe2, 0x82]), false)
  t.strictSame(early.violations, [], 'a character may be cut')
  early.frame(continuation, Buffer.from([0x28]), false)
  t.strictSame(early.violations, ['1007 bad-utf8'], 'not at the message’s end')
  t.equal(early.budget.used, 0)

  const unending = new Reception()
  unending.push(Buffer.from([0x81, 0x7e, 0x10, 0x00]), Buffer.from([0x61, 0xed, 0xa0]))
  t.strictSame(unending.violations, ['1007 bad-utf8'], 'not at the frame’s end')

  const half = new Reception()
  half.frame(text, 'a', false).frame(continuation, Buffer.from([0xf0, 0x9f]), true)
  t.strictSame(half.violations, ['1007 bad-utf8'], 'the message ends inside a character')
  t.strictSame([...whole.messages, ...early.messages, ...unending.messages, ...half.messages], [])
  t.equal(half.budget.used, 0)
})

await t.test('6455-5.6-partial-utf8-in-frame: characters cut by every frame come out whole', async (t) => {
  const reception = new Reception()
  const bytes = Buffer.from('a€🙂ÿ\uFFFD')
  for (const [at, byte] of bytes.entries()) {
    reception.frame(at === 0 ? text : continuation, Buffer.from([byte]), at === bytes.length - 1)
  }
  reception.frame(text, Buffer.from([0xc3]), false).frame(continuation, Buffer.from([0xa9]), true)
  t.strictSame(reception.messages, ['a€🙂ÿ\uFFFD', 'é'])
})

await t.test('6455-5.6-binary-any: fragments of a binary message may hold anything', async (t) => {
  const reception = new Reception()
  reception.frame(binary, Buffer.from([0xff, 0xc0]), false).frame(continuation, Buffer.from([0x80]), true)
  t.strictSame(reception.messages, [Buffer.from([0xff, 0xc0, 0x80])])
})

await t.test('F4, 6455-10.4-message-limit: 1009 on the header that crosses the limit', async (t) => {
  const reception = new Reception({ maxMessageSize: 10_000 })
  for (let n = 0; n < 10; n++) reception.frame(n === 0 ? binary : continuation, Buffer.alloc(1000), false)
  t.strictSame(reception.violations, [])
  t.ok(reception.budget.used <= 2 * 10_000)
  reception.push(Buffer.from([0x00, 0x01]))
  t.strictSame(reception.violations, ['1009 message-too-big'])
  t.equal(reception.budget.used, 0)
})

await t.test(
  'F5, 6455-10.4-fragment-count: 16,300 fragments of one byte hold twice their size',
  async (t) => {
    const reception = new Reception()
    const begin = encodeFrame({ opcode: binary, payload: 'x', fin: false })
    const fragment = encodeFrame({ opcode: continuation, payload: 'x', fin: false })
    reception.push(begin)
    for (let size = 2; size <= 16_300; size++) {
      reception.push(fragment)
      if (reception.budget.used > Math.max(1024, 2 * size)) t.fail(`${reception.budget.used} for ${size}`)
    }
    t.ok(reception.budget.used >= 16_300 && reception.budget.used <= 2 * 16_300)
    reception.frame(continuation, 'y', true)
    t.ok(Buffer.from(`${'x'.repeat(16_300)}y`).equals(Buffer.from(reception.messages[0] ?? '')))
    t.equal(reception.budget.used, 0)
  },
)

await t.test('D4: nothing of a chunk is kept but a copy, in blocks that grow with the message', async (t) => {
  const reception = new Reception()
  reception.piece(binary, 1, 65_536)
  t.equal(reception.budget.used, 1024)
  reception.piece(binary, 40_000, 65_536)
  t.equal(reception.budget.used, 1024 + 40_001 - 1024, 'the first block is filled before the second')
  reception.piece(binary, 1, 65_536)
  t.equal(reception.budget.used, 40_001 + 40_001)
  reception.piece(binary, 2, 2, true)
  const expected = [Buffer.of(1), Buffer.alloc(40_000, 40_000), Buffer.of(1, 2, 2)]
  t.ok(Buffer.concat(expected).equals(Buffer.from(reception.messages[0] ?? '')))
})

await t.test(
  'RFC 6455 10.4: room is made for 17 times what has come, however much is announced',
  async (t) => {
    const mebibytes = Buffer.alloc(4 * mebibyte, 'farewell, ')
    const frame = encodeFrame({ opcode: binary, payload: mebibytes, maskKey: 0x01020304 })
    const reception = new Reception({ from: 'client' })
    let most = 0
    for (let at = 0; at < frame.length; at += 65_536) {
      reception.push(frame.subarray(at, at + 65_536))
      const ratio = reception.budget.used / Math.min(at + 65_536, mebibytes.length)
      most = Math.max(most, ratio)
    }
    t.ok(most > 12 && most <= 17, `at most ${most} times`)
    t.ok(mebibytes.equals(Buffer.from(reception.messages[0] ?? '')))
    t.equal(reception.budget.used, 0)
  },
)

await t.test('D11: a message of 1 MiB has all its room from its first read on', async (t) => {
  for (const from of ['client', 'server'] as const) {
    const reception = new Reception({ from })
    const payload = Buffer.alloc(mebibyte, 'farewell, ')
    const maskKey = from === 'client' ? 0x01020304 : undefined
    const frame = encodeFrame({ opcode: binary, payload, maskKey })
    for (let at = 0; at < mebibyte; at += 65_536) {
      reception.push(frame.subarray(at, at + 65_536))
      t.equal(reception.budget.used, mebibyte)
    }
    reception.push(frame.subarray(mebibyte))
    const [message] = reception.messages
    t.ok(payload.equals(Buffer.from(message ?? '')))
    t.equal(Buffer.isBuffer(message) && message.buffer.byteLength, mebibyte, 'and is not copied in the end')
  }
})

await t.test('D11: what does not get all its room at once is copied once, half of it', async (t) => {
  const payload = Buffer.alloc(1.5 * mebibyte + 1, 'farewell, ')
  const frame = encodeFrame({ opcode: binary, payload, maskKey: 0x01020304 })
  const reception = new Reception({ from: 'client' })
  const held = new Set<number>()
  for (let at = 0; at < payload.length; at += 65_536) {
    reception.push(frame.subarray(at, at + 65_536))
    held.add(reception.budget.used)
  }
  const [message] = reception.messages
  t.strictSame([...held], [Math.floor(payload.length / 2), payload.length, 0])
  t.ok(payload.equals(Buffer.from(message ?? '')))
  t.equal(
    Buffer.isBuffer(message) && message.buffer.byteLength,
    payload.length,
    'and is not joined in the end',
  )
})

await t.test('D11: a message that fits into the chunk it begins in is put together there', async (t) => {
  for (const from of ['client', 'server'] as const) {
    const maskKey = from === 'client' ? 0x01020304 : undefined
    const payloads = Array.from({ length: 5 }, (_, at) => Buffer.alloc(65_536, `farewell ${at} `))
    const bytes = Buffer.concat(payloads.map((payload) => encodeFrame({ opcode: binary, payload, maskKey })))
    const reception = new Reception({ from })
    for (let at = 0; at < bytes.length; at += 65_536) {
      reception.push(bytes.subarray(at, at + 65_536))
      t.equal(reception.budget.used, at + 65_536 < bytes.length ? 65_536 : 0, 'charged as what it holds')
    }
    for (const [at, payload] of payloads.entries()) {
      const message = reception.messages[at]
      t.ok(payload.equals(Buffer.from(message ?? '')), `${at} from the ${from}`)
      t.equal(Buffer.isBuffer(message) && message.buffer, reception.chunks[at]?.buffer)
    }
  }
})

await t.test(
  'D4, D6: a message does not take a chunk that is too short, too long or not its own',
  async (t) => {
    const frame = (size: number, fin = true): Buffer =>
      encodeFrame({ opcode: binary, payload: Buffer.alloc(size, 'farewell, '), fin, maskKey: 0x01020304 })
    /** Whether the last message lies in one of the chunks. */
    const adopts = (...chunks: Uint8Array[]): boolean => {
      const reception = new Reception({ from: 'client' }).push(...chunks)
      const message = reception.messages.at(-1)
      t.ok(Buffer.alloc(message?.length ?? 0, 'farewell, ').equals(Buffer.from(message ?? '?')))
      return reception.chunks.some((chunk) => Buffer.isBuffer(message) && chunk.buffer === message.buffer)
    }
    const halves = (size: number, at: number): Buffer[] => [
      frame(size).subarray(0, at),
      frame(size).subarray(at),
    ]
    t.equal(adopts(...halves(10_000, 10_000)), true)
    t.equal(adopts(...halves(10_001, 10_000)), false, 'one byte too short')
    const short = new Reception({ from: 'client' }).push(halves(10_001, 10_000)[0]!)
    t.equal(short.budget.used, 10_001, 'and a block of its own has room for all')
    // Behind the end of another message: 71,400 bytes are 17 times 4200.
    const open = frame(1, false)
    const end = (size: number): Buffer =>
      encodeFrame({ opcode: continuation, payload: Buffer.alloc(size), maskKey: 0x01020304 })
    const cut = (size: number): Buffer => Buffer.concat([end(size), frame(10_000).subarray(0, 8 + 4200)])
    t.equal(cut(67_178).length, 71_400)
    t.equal(adopts(open, cut(67_178), frame(10_000).subarray(8 + 4200)), true)
    t.equal(adopts(open, cut(67_179), frame(10_000).subarray(8 + 4200)), false, 'more than 17 times')

    const first = Buffer.concat([frame(5000), frame(6000).subarray(0, 5500)])
    const given = new Reception({ from: 'client' }).push(first, frame(6000).subarray(5500))
    t.strictSame(
      given.messages,
      [5000, 6000].map((size) => Buffer.alloc(size, 'farewell, ')),
      'a message that was given stays as it is',
    )

    const budget = new Reception({ from: 'client', limit: 9999 }).push(...halves(10_000, 10_000))
    t.strictSame(budget.violations, ['1013 process-budget'], 'Z9: it is charged')
    t.equal(budget.budget.used, 0)
  },
)

await t.test(
  'RFC 6455 5.4: a message of long and short fragments, masked or not, comes out as it went in',
  async (t) => {
    for (const from of ['client', 'server'] as const) {
      for (const sizes of [
        [70_000, 70_000, 70_000],
        [1, 70_000, 3, 5000, 5000, 70_000],
        [5000, 1, 4096, 4095],
        [200_000, 10, 300_000],
      ]) {
        const reception = new Reception({ from })
        const fragments = sizes.map((size, n) => Buffer.alloc(size, `fragment ${n} `))
        const frames = fragments.map((payload, n) =>
          encodeFrame({
            opcode: n === 0 ? binary : continuation,
            payload,
            fin: n === sizes.length - 1,
            maskKey: from === 'client' ? 0x0a0b0c0d + n : undefined,
          }),
        )
        const bytes = Buffer.concat(frames)
        for (let at = 0; at < bytes.length; at += 65_536) reception.push(bytes.subarray(at, at + 65_536))
        const title = `${sizes.join(' + ')} from the ${from}`
        t.ok(Buffer.concat(fragments).equals(Buffer.from(reception.messages[0] ?? '')), title)
        t.equal(reception.budget.used, 0)
      }
    }
  },
)

await t.test('RFC 6455 8.1: a long text is checked as it comes, in its place', async (t) => {
  const payload = Buffer.from('fare well '.repeat(20_000))
  const good = new Reception({ from: 'client' })
  good.halves(encodeFrame({ opcode: text, payload, maskKey: 0x01020304 }))
  t.equal(good.messages[0], payload.toString())
  payload[1] = 0xff
  const bad = new Reception({ from: 'client' })
  bad.push(encodeFrame({ opcode: text, payload, maskKey: 0x01020304 }).subarray(0, 100_000))
  t.strictSame(bad.violations, ['1007 bad-utf8'])
  t.equal(bad.budget.used, 0)
})

await t.test(
  'Z9, D4: a long frame for which there is no budget is 1013, and what it had is given back',
  async (t) => {
    const payload = Buffer.alloc(1_200_000)
    const reception = new Reception({ from: 'client', limit: 1_190_000 })
    const frame = encodeFrame({ opcode: binary, payload, maskKey: 0x01020304 })
    for (let at = 0; at < 1_000_000; at += 65_536) reception.push(frame.subarray(at, at + 65_536))
    t.strictSame(reception.violations, [])
    for (let at = 16 * 65_536; at < frame.length; at += 65_536)
      reception.push(frame.subarray(at, at + 65_536))
    t.strictSame(reception.violations, ['1013 process-budget'])
    t.equal(reception.budget.used, 0)
  },
)

await t.test(
  'D4, 6455-10.4-chunk-count: however a message is cut, it holds twice its size and 1 KiB at most',
  async (t) => {
    let seed = 1
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff
      return (seed >>> 8) % below
    }
    for (let round = 0; round < 200; round++) {
      const reception = new Reception()
      let size = 0
      const kinds = [1 + random(4), 1 + random(2000), 1 + random(65_536)]
      for (let n = 0; n < 60; n++) {
        const piece = 1 + random(kinds[random(3)] ?? 1)
        reception.piece(binary, piece, Math.min(65_536, piece + random(2 * piece)))
        size += piece
        if (reception.budget.used > 2 * size + 1024) t.fail(`${reception.budget.used} for ${size}`)
      }
      reception.piece(binary, 1, 1, true)
      t.equal(Buffer.from(reception.messages[0] ?? '').length, size + 1)
      t.equal(reception.budget.used, 0)
    }
  },
)

await t.test('D4: with room made ahead it holds 18 times what has come and 1 KiB at most', async (t) => {
  let seed = 7
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff
    return (seed >>> 8) % below
  }
  let most = 0
  for (let round = 0; round < 500; round++) {
    const reception = new Reception()
    const kinds = [10, 5000, 70_000, 300_000]
    const sizes = Array.from({ length: 1 + random(5) }, () => 1 + random(kinds[random(4)] ?? 1))
    const fragments = sizes.map((size, n) => Buffer.alloc(size, `${n} of ${round} `))
    const bytes = Buffer.concat(
      fragments.map((payload, n) =>
        encodeFrame({ opcode: n === 0 ? binary : continuation, payload, fin: n === sizes.length - 1 }),
      ),
    )
    let end = 0
    for (let at = 0; at < bytes.length; at = end) {
      end = Math.min(bytes.length, at + 1 + random([5000, 65_536][random(2)] ?? 1))
      reception.push(bytes.subarray(at, end))
      most = Math.max(most, (reception.budget.used - 1024) / end)
    }
    t.ok(Buffer.concat(fragments).equals(Buffer.from(reception.messages[0] ?? '')), sizes.join(' + '))
    t.equal(reception.budget.used, 0)
  }
  t.ok(most > 12 && most <= 18, `at most ${most} times`)
})

await t.test(
  'D4, 6455-5.4-no-frame-boundary-meaning: read into room ahead or not, the same messages',
  async (t) => {
    const random = new Random(Number(process.env['SEED'] ?? 11))
    t.comment(`SEED=${process.env['SEED'] ?? 11}`)
    let most = 0
    let filled = 0
    for (let round = 0; round < 300; round++) {
      const reception = new Reception()
      const kinds: readonly [number, ...number[]] = [10, 5000, 70_000, 300_000]
      const type = random.pick([text, binary])
      const sizes = Array.from({ length: 1 + random.below(4) }, () => 1 + random.below(random.pick(kinds)))
      // Characters of two bytes, which the cuts go through.
      const payload = Buffer.alloc(
        sizes.reduce((sum, size) => sum + size),
        'ä',
      )
      payload.write('x', payload.length - 1)
      if (payload.length % 2 === 0) payload.write('x', payload.length - 2)
      let at = 0
      const bytes = Buffer.concat(
        sizes.map((size, n) =>
          encodeFrame({
            opcode: n === 0 ? type : continuation,
            payload: payload.subarray(at, (at += size)),
            fin: n === sizes.length - 1,
          }),
        ),
      )
      let come = 0
      while (come < bytes.length) {
        const next = bytes.subarray(come, come + 1 + random.below(random.pick([5000, 65_536])))
        const size = random.once(4) ? 0 : reception.fill(next)
        if (size === 0) reception.push(next)
        filled += size
        come += size || next.length
        most = Math.max(most, (reception.budget.used - 1024) / come)
      }
      const [message = ''] = reception.messages
      t.equal(typeof message, type === text ? 'string' : 'object')
      if (!payload.equals(Buffer.from(message))) t.fail(`round ${round}: ${sizes.join(' + ')}`)
      t.equal(reception.budget.used, 0)
    }
    t.ok(filled > 1e6)
    t.ok(most > 12 && most <= 18, `it held at most ${most} times what had come`)
  },
)

await t.test('D11: of a long message only the beginning is copied', async (t) => {
  const payload = Buffer.alloc(mebibyte, 'farewell, ')
  const frame = encodeFrame({ opcode: binary, payload })
  const reception = new Reception()
  reception.push(frame.subarray(0, 65_536))
  t.equal(reception.fill(frame.subarray(65_536)), frame.length - 65_536)
  const [message] = reception.messages
  t.ok(payload.equals(Buffer.from(message ?? '')))
  t.equal(Buffer.isBuffer(message) && message.buffer.byteLength, mebibyte)
})

await t.test(
  'D4: there is no room ahead where little has come, or the process budget is used up',
  async (t) => {
    const frame = encodeFrame({ opcode: binary, payload: Buffer.alloc(40_000) })
    const little = new Reception().push(frame.subarray(0, 4 + 1023))
    t.equal(little.decoder.roomAhead(), undefined)
    little.push(frame.subarray(4 + 1023, 4 + 1024))
    t.equal(little.decoder.roomAhead()?.length, 17 * 1025 - 1024)

    const poor = new Reception({ limit: 30_000 }).push(frame.subarray(0, 4 + 1024))
    t.equal(poor.fill(frame.subarray(4 + 1024)), 17 * 1025 - 1024)
    t.equal(poor.decoder.roomAhead(), undefined)
    t.strictSame(poor.violations, [], 'nobody is to blame until more comes')
    poor.push(frame.subarray(4 + 17 * 1025))
    t.strictSame(poor.violations, ['1013 process-budget'])
    t.equal(poor.budget.used, 0)
  },
)

await t.test('RFC 6455 8.1: a long text is checked in its place, and fails there', async (t) => {
  const payload = Buffer.from('fare well '.repeat(20_000))
  payload[150_000] = 0xff
  const frame = encodeFrame({ opcode: text, payload })
  const reception = new Reception().push(frame.subarray(0, 65_536))
  reception.fill(frame.subarray(65_536, 150_000))
  t.strictSame(reception.violations, [])
  reception.fill(frame.subarray(150_000, 160_000))
  t.strictSame(reception.violations, ['1007 bad-utf8'])
  t.equal(reception.budget.used, 0)
  t.equal(reception.decoder.roomAhead(), undefined)
})

await t.test('F6: 1,024 empty fragments in a row are borne, one more is 1008', async (t) => {
  const reception = new Reception()
  const empty = encodeFrame({ opcode: continuation, payload: '', fin: false })
  reception.frame(text, '', false)
  for (let n = 1; n < 1024; n++) reception.push(empty)
  reception.frame(continuation, 'x', false)
  for (let n = 0; n < 1024; n++) reception.push(empty)
  t.strictSame(reception.violations, [], 'a byte of data counts anew')
  t.equal(reception.budget.used, 1024)
  reception.push(empty)
  t.strictSame(reception.violations, ['1008 empty-fragments'])
  t.equal(reception.budget.used, 0)

  const ended = new Reception()
  ended.frame(binary, '', false)
  for (let n = 1; n < 1024; n++) ended.push(empty)
  ended.frame(continuation, 'x', true).frame(binary, '', false)
  for (let n = 1; n < 1024; n++) ended.push(empty)
  t.strictSame(ended.violations, [], 'the next message counts anew')
})

await t.test('Z9, D4: at the process budget 1013, and all of it is given back', async (t) => {
  const copied = new Reception({ limit: 4096 })
  copied.frame(binary, Buffer.alloc(900), false).frame(continuation, Buffer.alloc(900), false)
  t.strictSame(copied.violations, [])
  copied.frame(continuation, Buffer.alloc(3000), false)
  t.strictSame(copied.violations, ['1013 process-budget'])
  t.equal(copied.budget.used, 0)

  const kept = new Reception({ limit: 4096 })
  kept.frame(binary, Buffer.alloc(5000), false)
  t.strictSame(kept.violations, ['1013 process-budget'])
  t.equal(kept.budget.used, 0)

  const whole = new Reception({ limit: 0 })
  whole.frame(binary, Buffer.alloc(5000), true)
  t.equal(whole.messages.length, 1, 'a message that comes whole is held by nobody')
})

await t.test('D4: what was held is given back at every kind of end', async (t) => {
  const ends: Record<string, (reception: Reception) => void> = {
    'the message ends': (reception) => reception.frame(continuation, 'x', true),
    'the message is too big': (reception) => reception.frame(continuation, Buffer.alloc(100_000), true),
    'bad UTF-8': (reception) => reception.frame(continuation, Buffer.from([0xff]), false),
    'a rule is broken': (reception) => reception.frame(text, 'nested', true),
    'the budget is reached': (reception) => reception.frame(continuation, Buffer.alloc(60_000), false),
    'the connection ends': (reception) => reception.receiver.clear(),
  }
  for (const [name, end] of Object.entries(ends)) {
    const reception = new Reception({ limit: 50_000, maxMessageSize: 70_000 })
    reception.frame(text, 'a'.repeat(1000), false).frame(continuation, 'b'.repeat(2000), false)
    t.not(reception.budget.used, 0)
    end(reception)
    t.equal(reception.budget.used, 0, name)
    reception.receiver.clear()
    t.equal(reception.budget.used, 0, 'and not twice')
  }
})

await t.test('a violation is told of once, and nothing is delivered behind it', async (t) => {
  const reception = new Reception()
  reception.push(
    Buffer.concat([
      encodeFrame({ opcode: text, payload: 'a' }),
      Buffer.from([0x83, 0x00]),
      encodeFrame({ opcode: text, payload: 'b' }),
    ]),
  )
  reception.frame(text, 'c', true)
  t.strictSame(reception.messages, ['a'])
  t.strictSame(reception.violations, ['1002 reserved-opcode'])
})

await t.test(
  '7692-6.2-join-then-inflate, 7692-6-text-payload-any-bytes: a compressed message is handed on as it came',
  async (t) => {
    const reception = new Reception()
    reception.frame(text, Buffer.of(0xff), true, true).frame(binary, '', true, true)
    reception.frame(text, Buffer.of(0xff, 0xfe), false, true).frame(ping, 'p', true)
    reception.frame(continuation, '', false)
    t.ok(reception.budget.used > 0, 'Z9: what is held of it is charged')
    reception.frame(continuation, Buffer.of(0xfd), true).frame(text, 'plain', true)
    t.strictSame(reception.compressed, ['1 ff 1', '2  0', '1 fffefd 3'])
    t.strictSame(reception.messages, ['plain'])
    t.strictSame(reception.controls, ['9 p'])
    t.strictSame(reception.violations, [])
    t.equal(reception.budget.used, 0)
  },
)
