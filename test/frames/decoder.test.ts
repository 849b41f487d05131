import t from 'tap'
import { Buffer } from 'node:buffer'
import * as fc from 'fast-check'
import { encodeClosePayload } from '../../frames/close-payload.ts'
import { Decoder, type DecoderOptions, type FrameSink } from '../../frames/decoder.ts'
import { encodeFrame, type Frame } from '../../frames/encoder.ts'
import { writeHeader } from '../../frames/header.ts'
import { type ControlOpcode, type MessageOpcode, Opcode } from '../../frames/opcode.ts'
import type { Violation } from '../../frames/violation.ts'
import { Endpoint } from './endpoint.ts'
import { testProperty } from './property.ts'

const limit = Number.MAX_SAFE_INTEGER
const fromServer: DecoderOptions = { from: 'server', maxMessageSize: limit }
const fromClient: DecoderOptions = { from: 'client', maxMessageSize: limit }

function hex(bytes: string): Buffer {
  return Buffer.from(bytes.replaceAll(' ', ''), 'hex')
}

function byteByByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte))
}

/** The events of an endpoint that is fed chunks, each given as hex. */
function events(options: DecoderOptions, ...chunks: string[]): string[] {
  return new Endpoint(options).feed(chunks.map(hex)).events
}

/** Keeps each call of the decoder as it was made. */
class Calls implements FrameSink {
  readonly decoder: Decoder
  readonly lines: string[] = []
  readonly chunks: Buffer[] = []
  /** Called in the middle of each call, with its line. */
  hook: ((line: string) => void) | undefined

  constructor(options: DecoderOptions) {
    this.decoder = new Decoder(this, options)
  }

  data(opcode: MessageOpcode, chunk: Buffer, start: number, end: number, last: boolean, rsv1: boolean): void {
    this.chunks.push(chunk)
    const piece = `data ${opcode} ${chunk.toString('latin1', start, end)}${last ? '.' : ''}`
    this.#tell(rsv1 ? `rsv1 ${piece}` : piece)
  }

  control(opcode: ControlOpcode, payload: Buffer): void {
    this.chunks.push(payload)
    this.#tell(`control ${opcode} ${payload.toString('latin1')}`)
  }

  violation({ name }: Violation): void {
    this.#tell(`violation ${name}`)
  }

  #tell(line: string): void {
    this.lines.push(line)
    this.hook?.(line)
  }
}

/** Six frames in exactly 200 bytes, as F1 of the attack matrix wants them: a message around a Ping, every length form short of 64 bits. */
function conversation(from: 'client' | 'server'): { bytes: Buffer; expected: string[] } {
  const maskKey = from === 'client' ? 0x37fa213d : undefined
  const text = Buffer.from('€'.repeat(from === 'client' ? 9 : 17))
  const binary = Buffer.alloc(126, 'binary')
  const frames: Frame[] = [
    { opcode: Opcode.text, payload: text.subarray(0, 10), fin: false, maskKey },
    { opcode: Opcode.ping, payload: 'ping', maskKey },
    { opcode: Opcode.continuation, payload: text.subarray(10), maskKey },
    { opcode: Opcode.binary, payload: binary, maskKey },
    { opcode: Opcode.pong, payload: '', maskKey },
    { opcode: Opcode.close, payload: encodeClosePayload(1000, 'bye'), maskKey },
  ]
  return {
    bytes: Buffer.concat(frames.map(encodeFrame)),
    expected: [
      'ping 70696e67',
      `text ${text.toString('hex')}`,
      `binary ${binary.toString('hex')}`,
      'pong',
      'close 1000 "bye"',
    ],
  }
}

for (const from of ['client', 'server'] as const) {
  const { bytes, expected } = conversation(from)

  await t.test(`6455-6.2-stream-parsing: 200 bytes from a ${from} cut at every pair of bytes`, async (t) => {
    t.equal(bytes.length, 200)
    let splits = 0
    const wrong: string[] = []
    for (let first = 0; first < bytes.length; first++) {
      for (let second = first + 1; second < bytes.length; second++) {
        const chunks = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]
        const endpoint = new Endpoint({ from, maxMessageSize: limit }).feed(chunks)
        splits++
        if (endpoint.events.join() !== expected.join() || endpoint.decoder.frames !== 6)
          wrong.push(`${first}, ${second}`)
      }
    }
    t.equal(splits, 19_900)
    t.same(wrong, [])
  })

  await t.test(`6455-6.2-stream-parsing: 200 bytes from a ${from} in one, and byte by byte`, async (t) => {
    t.same(new Endpoint({ from, maxMessageSize: limit }).feed([bytes]).events, expected)
    t.same(new Endpoint({ from, maxMessageSize: limit }).feed(byteByByte(bytes)).events, expected)
    const gaps = byteByByte(bytes).flatMap((byte) => [Buffer.alloc(0), byte])
    t.same(
      new Endpoint({ from, maxMessageSize: limit }).feed(gaps).events,
      expected,
      'with empty chunks between',
    )
  })

  await t.test(`6455-6.2-stream-parsing: held after every event, from a ${from}`, async (t) => {
    const wrong: number[] = []
    for (let cut = 0; cut < bytes.length; cut++) {
      const endpoint = new Endpoint({ from, maxMessageSize: limit })
      let held = false
      endpoint.hook = () => {
        endpoint.decoder.hold()
        held = true
      }
      endpoint.feed([bytes.subarray(0, cut), bytes.subarray(cut)])
      while (held) {
        held = false
        endpoint.decoder.resume()
      }
      if (endpoint.events.join() !== expected.join()) wrong.push(cut)
    }
    t.same(wrong, [])
  })
}

await t.test(
  '6455-5.4-fragments-joined, 6455-5.4-control-interleaved: pieces and control frames in order',
  async (t) => {
    const calls = new Calls(fromServer)
    calls.decoder.push(hex('0103 48656c 8901 21 8002 6c6f'))
    t.same(calls.lines, ['data 1 Hel', 'control 9 !', 'data 1 lo.'])
  },
)

await t.test('6455-5.4-type-from-first: a continuation has the opcode of the first frame', async (t) => {
  t.same(events(fromServer, '0201 61 8001 62 0101 63 8001 64 8201 65'), [
    'binary 6162',
    'text 6364',
    'binary 65',
  ])
})

await t.test(
  '6455-6.2-empty-message, 6455-5.4-empty-fragments: an empty frame is one empty piece',
  async (t) => {
    for (const chunks of [[hex('8100 0200 0000 8000')], byteByByte(hex('8100 0200 0000 8000'))]) {
      const calls = new Calls(fromServer)
      for (const chunk of chunks) calls.decoder.push(Buffer.from(chunk))
      t.same(calls.lines, ['data 1 .', 'data 2 ', 'data 2 ', 'data 2 .'])
    }
  },
)

await t.test('RFC 6455 5.2: a frame that is not empty has no empty piece, wherever it is cut', async (t) => {
  const calls = new Calls(fromServer)
  for (const byte of byteByByte(hex('8202 6162 8203 636465'))) calls.decoder.push(Buffer.from(byte))
  t.same(calls.lines, ['data 2 a', 'data 2 b.', 'data 2 c', 'data 2 d', 'data 2 e.'])
})

await t.test(
  '6455-5.3-unmask: payloads are unmasked where they lie and handed on without a copy',
  async (t) => {
    const masked = new Calls(fromClient)
    const chunk = encodeFrame({ opcode: Opcode.text, payload: 'Hello', maskKey: 0x37fa213d })
    masked.decoder.push(chunk)
    t.equal(masked.chunks[0], chunk)
    t.equal(chunk.toString('latin1', 6), 'Hello')

    const plain = new Calls(fromServer)
    const bytes = hex('8205 48656c6c6f 8902 6869')
    plain.decoder.push(bytes)
    t.equal(plain.chunks[0], bytes)
    t.equal(plain.chunks[1]?.buffer, bytes.buffer, 'a control frame that is whole is a view')
    t.equal(plain.chunks[1]?.byteOffset, bytes.byteOffset + 9, 'small buffers share their memory anyhow')
    t.equal(bytes.toString('hex'), '820548656c6c6f89026869', 'what a server sends is not touched')
  },
)

await t.test('6455-6.2-stream-parsing: a control frame that was cut is memory of its own', async (t) => {
  const calls = new Calls(fromClient)
  const frame = encodeFrame({ opcode: Opcode.ping, payload: 'x'.repeat(125), maskKey: 0x01020304 })
  const chunks = [frame.subarray(0, 9), frame.subarray(9, 60), frame.subarray(60)].map((chunk) =>
    Buffer.from(chunk),
  )
  for (const chunk of chunks) {
    calls.decoder.push(chunk)
    chunk.fill(0)
  }
  calls.decoder.push(encodeFrame({ opcode: Opcode.ping, payload: 'second', maskKey: 0x05060708 }))
  t.same(calls.lines, [`control 9 ${'x'.repeat(125)}`, 'control 9 second'])
  t.equal(calls.chunks[0]?.length, 125)
})

await t.test(
  '6455-5.2-reserved-control-opcode and the like: decided at the second byte, whatever length is claimed',
  async (t) => {
    const cases: [string, string][] = [
      ...[3, 4, 5, 6, 7].map((opcode): [string, string] => [`8${opcode} ff`, 'reserved-opcode']),
      ...['b', 'c', 'd', 'e', 'f'].map((opcode): [string, string] => [`8${opcode} 80`, 'reserved-opcode']),
      ['91 ff', 'reserved-bit'],
      ['a2 ff', 'reserved-bit'],
      ['c1 ff', 'reserved-bit'],
      ['c9 80', 'reserved-bit'],
      ['09 80', 'fragmented-control'],
      ['88 fe', 'long-control'],
      ['8a ff', 'long-control'],
      ['80 ff', 'orphan-continuation'],
      ['81 7f', 'missing-mask'],
    ]
    for (const [bytes, name] of cases) {
      t.same(events(fromClient, bytes), [`fail 1002 ${name}`], bytes)
      t.same(events(fromClient, ...bytes.split(' ')), [`fail 1002 ${name}`], `${bytes} byte by byte`)
    }
    t.same(events(fromServer, '81 80'), ['fail 1002 unexpected-mask'])
    t.same(events(fromServer, '01 00 82 7f'), ['fail 1002 nested-message'])
    for (const whole of ['81 01 61', '82 01 61', '81 00'])
      t.same(events(fromServer, `01 01 61 ${whole}`), ['fail 1002 nested-message'], whole)
  },
)

await t.test(
  '6455-5.2-len-minimal: a longer form than needed is refused, at the end of the length',
  async (t) => {
    const cases = [
      '827e 0000',
      '827e 007d',
      '827f 0000000000000000',
      '827f 000000000000007e',
      '827f 000000000000ffff',
    ]
    for (const bytes of cases) {
      const last = bytes.length - 2
      t.same(events(fromServer, bytes), ['fail 1002 length-not-minimal'], bytes)
      t.same(events(fromServer, bytes.slice(0, last)), [], `${bytes} short of a byte`)
      t.same(events(fromServer, bytes.slice(0, last), bytes.slice(last)), ['fail 1002 length-not-minimal'])
    }
    t.same(
      events(fromServer, '827e 007e' + '61'.repeat(126)),
      ['binary ' + '61'.repeat(126)],
      'the shortest is not',
    )
    t.same(events(fromServer, '827f 0000000000010000' + '61'.repeat(65536)), ['binary ' + '61'.repeat(65536)])
  },
)

await t.test('6455-5.2-len64-msb: the top bit is refused, be the message limit what it may', async (t) => {
  for (const maxMessageSize of [0, 10, limit, Infinity]) {
    for (const bytes of ['827f 8000000000000000', '827f ffffffffffffffff', '827f 8000000000000005']) {
      t.same(events({ from: 'server', maxMessageSize }, bytes), ['fail 1002 length-top-bit'])
    }
  }
})

await t.test(
  '6455-10.4-frame-limit: a length over the limit is refused with its header, before the key',
  async (t) => {
    const options: DecoderOptions = { from: 'client', maxMessageSize: 1 << 20 }
    const lengths = [(1 << 20) + 1, 90 << 20, 2 ** 31, 2 ** 32, 2 ** 32 + 3, 2 ** 53 - 1]
    for (const length of lengths) {
      const header = Buffer.alloc(14)
      writeHeader(header, 0, 0x82, length, 0)
      t.same(
        new Endpoint(options).feed([header.subarray(0, 10)]).events,
        ['fail 1009 message-too-big'],
        `${length}`,
      )
      t.same(new Endpoint(options).feed([header.subarray(0, 9)]).events, [], `${length} short of a byte`)
    }
    for (const bytes of ['0020000000000000', '0020000000000001', '4000000000000000', '7fffffffffffffff']) {
      t.same(events(options, '82ff' + bytes), ['fail 1009 message-too-big'], bytes)
    }
  },
)

await t.test(
  '6455-5.2-len64-beyond-2-53: a length that no number holds is over every limit that one does',
  async (t) => {
    for (const bytes of ['0020000000000000', '0020000000000001', '7fffffffffffffff']) {
      t.same(events(fromServer, '827f' + bytes), ['fail 1009 message-too-big'], bytes)
    }
    const unlimited = new Endpoint({ from: 'server', maxMessageSize: Infinity }).feed([
      hex('827f 0020000000000001 616263'),
    ])
    t.same(unlimited.events, [])
    t.equal(unlimited.partial, '616263', 'without a limit its bytes pass as they come')
    const largest = new Endpoint(fromServer).feed([hex('827f 001fffffffffffff 61'), hex('62')])
    t.same([largest.events, largest.partial], [[], '6162'])
  },
)

await t.test('6455-10.4-message-limit: the header that crosses the limit is refused', async (t) => {
  const options: DecoderOptions = { from: 'server', maxMessageSize: 10 }
  t.same(events(options, '820a' + '61'.repeat(10)), ['binary ' + '61'.repeat(10)], 'the limit itself passes')
  t.same(events(options, '820b'), ['fail 1009 message-too-big'])
  t.same(
    events(options, '820b' + '61'.repeat(11)),
    ['fail 1009 message-too-big'],
    'also when all of it is there',
  )
  t.same(events(options, '0206 616161616161 0003 626262 8001 63'), ['binary 61616161616162626263'])
  t.same(events(options, '0206 616161616161 0003 626262 8002'), ['fail 1009 message-too-big'])
  t.same(events(options, '0206 616161616161 8006'), ['fail 1009 message-too-big'])
  t.same(events({ from: 'server', maxMessageSize: 0 }, '8200 8201'), ['binary', 'fail 1009 message-too-big'])
})

await t.test(
  '7692-7.2.1-any-block-type: the limit leaves a compressed message room to be stored',
  async (t) => {
    const options: DecoderOptions = { from: 'server', maxMessageSize: 2048, rsv1Allowed: true }
    const most = 2048 + 2 + 64
    const frame = (first: number, length: number): Buffer => {
      const header = Buffer.alloc(4)
      writeHeader(header, 0, first, length, undefined)
      return Buffer.concat([header, Buffer.alloc(length)])
    }
    const last = (...frames: Buffer[]): string | undefined =>
      new Endpoint(options).feed(frames).events.at(-1)?.slice(0, 24)
    const tooBig = 'fail 1009 message-too-big'.slice(0, 24)
    t.match(last(frame(0xc2, most)), 'rsv1 binary')
    t.equal(last(frame(0xc2, most + 1)), tooBig)
    t.match(last(frame(0x42, 1000), frame(0x80, most - 1000)), 'rsv1 binary')
    t.equal(last(frame(0x42, 1000), frame(0x80, most - 999)), tooBig)
    t.match(last(frame(0xc2, most), frame(0x82, 2048)), 'binary')
    t.equal(last(frame(0xc2, most), frame(0x82, 2049)), tooBig, 'a plain one has none')
  },
)

await t.test('6455-10.4-message-limit: it counts one message, and no control frames', async (t) => {
  const options: DecoderOptions = { from: 'server', maxMessageSize: 4 }
  t.same(events(options, '0203 616161 8001 62 8204 63636363 0202 6464 8002 6565'), [
    'binary 61616162',
    'binary 63636363',
    'binary 64646565',
  ])
  t.same(events(options, '0203 616161 8906 717171717171 8001 62'), ['ping 717171717171', 'binary 61616162'])
})

await t.test('6455-7.1.7-no-data-after-fail: one violation, and nothing after it', async (t) => {
  const calls = new Calls(fromServer)
  calls.decoder.push(hex('8101 61 8301 62 8101 63'))
  calls.decoder.push(hex('8101 64 ff'))
  calls.decoder.resume()
  t.same(calls.lines, ['data 1 a.', 'violation reserved-opcode'])
})

await t.test(
  '7692-6-text-payload-any-bytes, 7692-6-rsv1-without-extension: RSV1 may stand on the first frame of a message where it is allowed',
  async (t) => {
    const options: DecoderOptions = { from: 'server', maxMessageSize: limit, rsv1Allowed: true }
    t.same(events(options, 'c102 c107 8102 6869 4201 00 8001 01'), [
      'rsv1 text c107',
      'text 6869',
      'rsv1 binary 0001',
    ])
    t.same(events(options, 'c9 00'), ['fail 1002 reserved-bit'], '7692-6-control-never-compressed')
    t.same(events(options, '4101 00 c0 01'), ['fail 1002 reserved-bit'], '7692-6-rsv1-first-only')
    t.same(events(options, 'a1 00'), ['fail 1002 reserved-bit'], 'RSV2')
    t.same(
      events({ ...options, rsv1Allowed: false }, 'c1 00'),
      ['fail 1002 reserved-bit'],
      '6455-5.8-negotiate-first',
    )
    t.same(events(fromServer, 'c1 00'), ['fail 1002 reserved-bit'])
  },
)

await t.test('7692-6-rsv1-first-only: rsv1 is that of the first frame throughout the message', async (t) => {
  const calls = new Calls({ from: 'server', maxMessageSize: limit, rsv1Allowed: true })
  calls.decoder.push(hex('4101 61 8900 0001 62 8001 63 8101 64 c201 65'))
  t.same(calls.lines, [
    'rsv1 data 1 a',
    'control 9 ',
    'rsv1 data 1 b',
    'rsv1 data 1 c.',
    'data 1 d.',
    'rsv1 data 2 e.',
  ])
})

await t.test('frames counts what has ended, control frames too, and the one under way not', async (t) => {
  const calls = new Calls(fromServer)
  const seen: number[] = []
  calls.hook = () => seen.push(calls.decoder.frames)
  const counts = byteByByte(hex('0102 6162 8900 8000 8a01 63 827e')).map((byte) => {
    calls.decoder.push(Buffer.from(byte))
    return calls.decoder.frames
  })
  t.same(counts, [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4])
  t.same(seen, [0, 1, 2, 3, 4], 'a frame has ended when its last piece is handed on')
})

await t.test('unfinished from the first byte of a frame to the last of its message', async (t) => {
  const decoder = new Calls(fromServer).decoder
  t.equal(decoder.unfinished, false)
  const states = byteByByte(hex('0102 6162 8901 21 8000 8a01 63 827e 0080')).map((byte) => {
    decoder.push(Buffer.from(byte))
    return decoder.unfinished ? 1 : 0
  })
  t.same(states, [1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1])
  decoder.push(Buffer.alloc(127))
  t.equal(decoder.unfinished, true)
  decoder.push(Buffer.alloc(1))
  t.equal(decoder.unfinished, false)
})

await t.test('hold from the sink: the frame after it waits for resume', async (t) => {
  const calls = new Calls(fromServer)
  calls.hook = () => calls.decoder.hold()
  calls.decoder.push(hex('8101 61 8901 62 8201 63'))
  t.same(calls.lines, ['data 1 a.'])
  t.equal(calls.decoder.unfinished, false, 'what is held has not begun')
  calls.decoder.push(hex('8101'))
  calls.decoder.push(hex('64'))
  t.same(calls.lines, ['data 1 a.'], 'what comes while held is kept')
  const [held] = calls.lines
  calls.decoder.resume()
  t.same(calls.lines, [held, 'control 9 b'], 'the sink holds again')
  calls.hook = undefined
  calls.decoder.resume()
  t.same(calls.lines, ['data 1 a.', 'control 9 b', 'data 2 c.', 'data 1 d.'])
  calls.decoder.push(hex('8101 65'))
  t.equal(calls.lines.length, 5)
})

await t.test('holding while bytes wait for resume', async (t) => {
  const calls = new Calls(fromServer)
  const { decoder } = calls
  t.equal(decoder.holding, false)
  decoder.hold()
  t.equal(decoder.holding, false, 'nothing came yet')
  decoder.push(hex('8101'))
  t.equal(decoder.holding, true)
  decoder.resume()
  t.equal(decoder.holding, false)
  calls.hook = () => decoder.hold()
  decoder.push(hex('61 8101 62'))
  t.equal(decoder.holding, true, 'what is left of the chunk')
  decoder.resume()
  t.equal(decoder.holding, false, 'held, but nothing is left')
  decoder.push(hex('8101 63'))
  t.equal(decoder.holding, true)
  decoder.stop()
  t.equal(decoder.holding, false)
  decoder.push(hex('8101 64'))
  t.equal(decoder.holding, false, 'nothing is kept after stop')
})

await t.test('stop and push from the sink: nothing is kept', async (t) => {
  const calls = new Calls(fromServer)
  calls.hook = () => {
    calls.decoder.stop()
    calls.decoder.push(hex('8101 62'))
  }
  calls.decoder.push(hex('8101 61 8101 63'))
  t.same(calls.lines, ['data 1 a.'])
  t.equal(calls.decoder.holding, false)
})

await t.test('hold from the sink at the end of a chunk: the next chunk waits', async (t) => {
  const calls = new Calls(fromServer)
  calls.hook = () => calls.decoder.hold()
  calls.decoder.push(hex('8101 61'))
  calls.decoder.push(hex('8101 62'))
  t.same(calls.lines, ['data 1 a.'])
  calls.decoder.resume()
  t.same(calls.lines, ['data 1 a.', 'data 1 b.'])
})

await t.test(
  'hold from outside: between chunks, inside a header, a payload and a control frame',
  async (t) => {
    const bytes = encodeFrame({ opcode: Opcode.ping, payload: 'some ping', maskKey: 0x01020304 })
    const frames = Buffer.concat([
      bytes,
      encodeFrame({ opcode: Opcode.text, payload: 'a text', maskKey: 0x05060708 }),
      bytes,
    ])
    for (let cut = 0; cut <= frames.length; cut++) {
      const calls = new Calls(fromClient)
      calls.decoder.push(Buffer.from(frames.subarray(0, cut)))
      const before = calls.lines.length
      calls.decoder.hold()
      calls.decoder.push(Buffer.from(frames.subarray(cut)))
      t.equal(calls.lines.length, before)
      calls.decoder.resume()
      const text = calls.lines
        .filter((line) => line.startsWith('data'))
        .map((line) => line.slice('data 1 '.length))
      t.equal(text.join(''), 'a text.')
      t.same(
        calls.lines.filter((line) => line.startsWith('control')),
        ['control 9 some ping', 'control 9 some ping'],
      )
    }
  },
)

await t.test('resume without hold, and resume with nothing kept, change nothing', async (t) => {
  const calls = new Calls(fromServer)
  calls.decoder.resume()
  calls.decoder.push(hex('8101'))
  calls.decoder.resume()
  calls.decoder.push(hex('61'))
  calls.decoder.hold()
  calls.decoder.resume()
  calls.decoder.resume()
  calls.decoder.push(hex('8101 62'))
  t.same(calls.lines, ['data 1 a.', 'data 1 b.'])
})

await t.test('resume from the sink goes on with the frame after this one', async (t) => {
  const calls = new Calls(fromServer)
  const depth: string[] = []
  calls.hook = (line) => {
    depth.push(`in ${line}`)
    calls.decoder.hold()
    calls.decoder.resume()
    depth.push('out')
  }
  calls.decoder.push(hex('8101 61 8101 62'))
  t.same(depth, ['in data 1 a.', 'out', 'in data 1 b.', 'out'], 'no call inside a call')
})

await t.test(
  'push from the sink: decoded after what is left of the chunk, not inside the call',
  async (t) => {
    for (const bytes of ['8101 61 8101 62', '8101 61']) {
      const calls = new Calls(fromServer)
      let inside = false
      calls.hook = (line) => {
        t.equal(inside, false)
        inside = true
        if (line === 'data 1 a.') {
          calls.decoder.push(hex('8101 63 81'))
          calls.decoder.push(hex('01 64'))
        }
        inside = false
      }
      calls.decoder.push(hex(bytes))
      const left = bytes.endsWith('62') ? ['data 1 b.'] : []
      t.same(calls.lines, ['data 1 a.', ...left, 'data 1 c.', 'data 1 d.'])
    }
  },
)

await t.test('hold, push and resume from the sink: still in order, and no call inside a call', async (t) => {
  for (const bytes of ['8101 61 8101 62', '8101 61']) {
    const calls = new Calls(fromServer)
    let inside = 0
    calls.hook = (line) => {
      t.equal(inside++, 0)
      if (line === 'data 1 a.') {
        calls.decoder.hold()
        calls.decoder.push(hex('8101 63'))
        calls.decoder.resume()
      }
      inside--
    }
    calls.decoder.push(hex(bytes))
    const left = bytes.endsWith('62') ? ['data 1 b.'] : []
    t.same(calls.lines, ['data 1 a.', ...left, 'data 1 c.'])
  }
})

await t.test('push and hold from the sink: both wait, in order', async (t) => {
  for (const bytes of ['8101 61 8101 62', '8101 61']) {
    const calls = new Calls(fromServer)
    calls.hook = (line) => {
      if (line !== 'data 1 a.') return
      calls.decoder.push(hex('8101 63'))
      calls.decoder.hold()
      calls.decoder.push(hex('8101 64'))
    }
    calls.decoder.push(hex(bytes))
    t.same(calls.lines, ['data 1 a.'])
    calls.decoder.push(hex('8101 65'))
    calls.decoder.resume()
    const left = bytes.endsWith('62') ? ['data 1 b.'] : []
    t.same(calls.lines, ['data 1 a.', ...left, 'data 1 c.', 'data 1 d.', 'data 1 e.'])
  }
})

await t.test(
  'stop from the sink: nothing follows, of this chunk, of what is held or of later ones',
  async (t) => {
    for (const stopAt of ['data 1 a.', 'control 9 b', 'data 2 c']) {
      const calls = new Calls(fromServer)
      calls.hook = (line) => {
        if (line === stopAt) calls.decoder.stop()
      }
      calls.decoder.push(hex('8101 61 8901 62 0201 63 8001 64'))
      calls.decoder.push(hex('8101 65'))
      calls.decoder.resume()
      t.equal(calls.lines.at(-1), stopAt)
    }
  },
)

await t.test('stop from the sink after push and hold: what they kept is gone', async (t) => {
  const calls = new Calls(fromServer)
  calls.hook = () => {
    calls.decoder.push(hex('8101 62'))
    calls.decoder.hold()
    calls.decoder.stop()
  }
  calls.decoder.push(hex('8101 61 8101 63'))
  calls.decoder.push(hex('8101 64'))
  calls.decoder.resume()
  t.same(calls.lines, ['data 1 a.'])
})

await t.test('stop from outside: what is held is gone', async (t) => {
  const calls = new Calls(fromServer)
  calls.decoder.hold()
  calls.decoder.push(hex('8101 61'))
  calls.decoder.stop()
  calls.decoder.resume()
  calls.decoder.push(hex('8101 62'))
  t.same(calls.lines, [])
})

await t.test('stop inside a frame: its rest is ignored', async (t) => {
  const calls = new Calls(fromServer)
  calls.decoder.push(hex('8903 61'))
  calls.decoder.stop()
  calls.decoder.push(hex('6263'))
  t.same(calls.lines, [])
})

await t.test(
  '6455-7.1.7-no-data-after-fail: a violation that was held back comes after resume',
  async (t) => {
    const calls = new Calls(fromServer)
    calls.hook = (line) => {
      if (line === 'data 1 a.') calls.decoder.hold()
    }
    calls.decoder.push(hex('8101 61 8300'))
    t.same(calls.lines, ['data 1 a.'])
    calls.decoder.resume()
    t.same(calls.lines, ['data 1 a.', 'violation reserved-opcode'])
  },
)

/** Has a place for long pieces, unless `full`, and keeps what it was asked. */
class Roomy extends Calls {
  readonly asked: [size: number, left: number][] = []
  readonly rooms: Buffer[] = []
  /** The chunks whose beginning it might have used. */
  readonly free: (Buffer | undefined)[] = []
  full = false

  room(size: number, left: number, chunk: Buffer | undefined): Buffer | undefined {
    this.asked.push([size, left])
    this.free.push(chunk)
    if (this.full) return undefined
    const room = Buffer.alloc(size)
    this.rooms.push(room)
    return room
  }
}

for (const from of ['client', 'server'] as const) {
  const options: DecoderOptions = { from, maxMessageSize: limit }
  const maskKey = from === 'client' ? 0x37fa213d : undefined
  const headerSize = from === 'client' ? 8 : 4

  await t.test(`6455-5.3-unmask: long pieces from a ${from} go to the place that the sink has`, async (t) => {
    const text = '0123456789abcdefghi'.repeat(1000)
    const frame = encodeFrame({ opcode: Opcode.binary, payload: text, maskKey })
    const before = Buffer.from(frame)
    const calls = new Roomy(options)
    // 4096 bytes are long, 4095 are not; the key is carried from the one into the other and on.
    const cuts = [0, 4097, 8192, 12_289, text.length]
    const chunks = cuts
      .slice(1)
      .map((cut, index) => frame.subarray(index === 0 ? 0 : headerSize + cuts[index]!, headerSize + cut))
    for (const chunk of chunks) calls.decoder.push(chunk)
    t.same(calls.asked, [
      [4097, 14_903],
      [4097, 6711],
      [6711, 0],
    ])
    const pieces = cuts.slice(1).map((cut, index) => text.slice(cuts[index], cut))
    t.same(
      calls.lines,
      pieces.map((piece, index) => `data 2 ${piece}${index === 3 ? '.' : ''}`),
    )
    t.same(
      calls.chunks.map((chunk) => calls.rooms.indexOf(chunk)),
      [0, -1, 1, 2],
    )
    t.ok(chunks[0]!.equals(before.subarray(0, headerSize + 4097)), 'the chunk stays as it came')
    t.equal(calls.decoder.frames, 1)
    t.equal(calls.decoder.unfinished, false)
  })

  await t.test(`long pieces from a ${from}: the sink is asked for all but a whole message`, async (t) => {
    const payload = 'x'.repeat(4096)
    const frame = (opcode: Opcode, fin: boolean, size = 4096): Buffer =>
      encodeFrame({ opcode, payload: payload.slice(0, size), fin, maskKey })
    const asked = (...frames: Buffer[]): number[] => {
      const calls = new Roomy(options)
      for (const bytes of frames) calls.decoder.push(bytes)
      t.equal(calls.lines.length, frames.length)
      return calls.asked.flat()
    }
    t.same(asked(frame(Opcode.text, true)), [], 'it has it in its chunk')
    t.same(asked(frame(Opcode.text, false)), [4096, 0], 'more may follow')
    t.same(asked(frame(Opcode.text, false, 4095)), [], 'too short')
    t.same(asked(frame(Opcode.text, false, 1), frame(Opcode.continuation, true)), [4096, 0])
  })

  await t.test(
    `long pieces from a ${from}: their chunk may be used where nobody has any of it`,
    async (t) => {
      const long = 'x'.repeat(5000)
      const frame = (opcode: Opcode, payload: string, fin = true): Buffer =>
        encodeFrame({ opcode, payload, fin, maskKey })
      const begin = frame(Opcode.binary, long, false)
      const tail = frame(Opcode.continuation, 'x')
      const [half, rest] = [frame(Opcode.ping, 'ping').subarray(0, 3), frame(Opcode.ping, 'ping').subarray(3)]
      /** Whether it is free at each long piece of these chunks. */
      const free = (...parts: Buffer[][]): boolean[] => {
        const calls = new Roomy(options)
        const chunks = parts.map((each) => Buffer.concat(each))
        for (const chunk of chunks) calls.decoder.push(chunk)
        t.ok(calls.free.every((chunk) => chunk === undefined || chunks.some((each) => each === chunk)))
        return calls.free.map((chunk) => chunk !== undefined)
      }
      t.same(free([begin]), [true])
      t.same(free([begin.subarray(0, 4500)]), [true], 'also where the frame goes on')
      t.same(free([begin], [tail, begin]), [true, true], 'behind the end of the message before')
      t.same(free([begin, tail]), [false], 'something lies behind it, and might be given')
      t.same(free([frame(Opcode.binary, ''), begin]), [false], 'behind a short message')
      t.same(free([frame(Opcode.text, long), begin]), [false], 'behind a long message')
      t.same(free([frame(Opcode.ping, 'ping'), begin]), [false], 'behind a control frame')
      t.same(free([half], [rest, begin]), [false], 'behind one that was cut')
      t.same(free([frame(Opcode.binary, 'x')], [begin]), [true], 'in the chunk behind')

      const calls = new Roomy(options)
      calls.hook = () => calls.decoder.hold()
      calls.decoder.push(Buffer.concat([frame(Opcode.binary, 'x'), begin]))
      calls.decoder.push(tail)
      calls.decoder.resume()
      calls.decoder.resume()
      t.same(calls.free, [undefined], 'behind a message that was held, and before what came later')

      const pushing = new Roomy(options)
      const next = Buffer.from(begin)
      pushing.hook = (line) => {
        if (line === 'data 2 x.') pushing.decoder.push(next)
      }
      pushing.decoder.push(frame(Opcode.binary, 'x'))
      t.equal(pushing.free[0], next, 'in one that was pushed meanwhile')
    },
  )

  await t.test(
    `6455-5.3-unmask: a long piece from a ${from} may go to the beginning of its chunk`,
    async (t) => {
      const text = '0123456789abcdefghi'.repeat(3000)
      const calls = new Calls(options)
      const sink = Object.assign(calls, {
        room: (size: number, _left: number, chunk?: Buffer) => chunk?.subarray(0, size),
      })
      const frame = encodeFrame({ opcode: Opcode.binary, payload: text, maskKey })
      const chunk = frame.subarray(0, 50_000)
      sink.decoder.push(chunk)
      t.same(sink.lines, [`data 2 ${text.slice(0, 50_000 - headerSize)}`])
      t.equal(sink.chunks[0]?.byteOffset, chunk.byteOffset)
    },
  )

  await t.test(`long pieces from a ${from} stay in their chunk where there is no place`, async (t) => {
    for (const calls of [new Calls(options), Object.assign(new Roomy(options), { full: true })]) {
      const frame = encodeFrame({ opcode: Opcode.text, payload: 'x'.repeat(5000), fin: false, maskKey })
      calls.decoder.push(frame)
      t.same(calls.lines, [`data 1 ${'x'.repeat(5000)}`])
      t.equal(calls.chunks[0], frame)
    }
  })
}

for (const options of [fromServer, fromClient]) {
  const { from } = options
  /** A fragment, masked with another key each time where a client sends it. Each begins as a short fragment would. */
  let key = 0x00810203
  const fragment = (payload: string, details: Partial<Frame> = {}): Buffer => {
    const maskKey = from === 'client' ? (key += 0x010203) : undefined
    return encodeFrame({ opcode: Opcode.continuation, fin: false, payload, maskKey, ...details })
  }
  const first = (payload: string): Buffer => fragment(payload, { opcode: Opcode.text })
  const long = 'x'.repeat(125)
  /** With each length from 1 to 20, so that they end at any alignment. */
  const texts = Array.from({ length: 20 }, (_, at) => 'abcdefghijklmnopqrst'.slice(0, at + 1))

  await t.test(
    `6455-5.4-fragments-joined: short fragments of one chunk from a ${from} are one piece`,
    async (t) => {
      const calls = new Calls(options)
      const chunk = Buffer.concat([first('Hello '), ...texts.map((text) => fragment(text)), fragment(long)])
      calls.decoder.push(chunk)
      t.same(calls.lines, ['data 1 Hello ', `data 1 ${texts.join('')}${long}`])
      t.equal(calls.chunks[1], chunk, 'where they lie')
      t.equal(calls.decoder.frames, 22)
      calls.decoder.push(fragment('!', { fin: true }))
      t.equal(calls.lines.at(-1), 'data 1 !.')
    },
  )

  await t.test(
    `6455-5.4-control-interleaved: short fragments from a ${from} end at all that is not one`,
    async (t) => {
      const others: [name: string, frame: Buffer, lines: string[]][] = [
        ['a control frame', fragment('?', { opcode: Opcode.ping, fin: true }), ['control 9 ?', 'data 1 bb']],
        ['an empty fragment', fragment(''), ['data 1 ', 'data 1 bb']],
        ['a longer one', fragment(`${long}y`), [`data 1 ${long}y`, 'data 1 bb']],
        ['the last one', fragment('y', { fin: true }), ['data 1 y.', 'violation orphan-continuation']],
        ['a frame that breaks a rule', first('y'), ['violation nested-message']],
        ['RSV1', fragment('y', { rsv1: true }), ['violation reserved-bit']],
      ]
      for (const [name, frame, lines] of others) {
        const calls = new Calls(options)
        const chunk = [first(long), fragment(long), fragment('a'), frame, fragment('b'), fragment('b')]
        calls.decoder.push(Buffer.concat(chunk))
        t.same(calls.lines, [`data 1 ${long}`, `data 1 ${long}a`, ...lines], name)
      }
    },
  )

  await t.test(
    `6455-6.2-stream-parsing: short fragments from a ${from} in two chunks, cut anywhere`,
    async (t) => {
      const bytes = Buffer.concat([
        first('Hello'),
        ...[...texts, long, long].map((text) => fragment(text)),
        fragment('!', { fin: true }),
      ])
      const wanted = `text ${Buffer.from(`Hello${texts.join('')}${long}${long}!`).toString('hex')}`
      const wrong: number[] = []
      for (let cut = 0; cut <= bytes.length; cut++) {
        const endpoint = new Endpoint(options).feed([bytes.subarray(0, cut), bytes.subarray(cut)])
        if (endpoint.events.join() !== wanted || endpoint.decoder.frames !== 24) wrong.push(cut)
      }
      t.same(wrong, [])
    },
  )

  await t.test(
    `6455-10.4-message-limit: the short fragment from a ${from} that crosses it is refused`,
    async (t) => {
      for (const maxMessageSize of [252, 253, 254, 255]) {
        const calls = new Calls({ from, maxMessageSize })
        const chunk = [first(long), fragment(long), fragment('a'), fragment('b'), fragment('c')]
        calls.decoder.push(Buffer.concat(chunk))
        const taken = 'abc'.slice(0, maxMessageSize - 250)
        const lines = [`data 1 ${long}`, `data 1 ${long}${taken}`]
        t.same(calls.lines, taken === 'abc' ? lines : [...lines, 'violation message-too-big'])
      }
    },
  )

  await t.test(
    `6455-10.4-message-limit: short fragments from a ${from} count as what they hold, for what follows`,
    async (t) => {
      for (const [maxMessageSize, end] of [
        [252, 'data 1 !.'],
        [251, 'violation message-too-big'],
      ] as const) {
        const calls = new Calls({ from, maxMessageSize })
        calls.decoder.push(
          Buffer.concat([first(long), fragment(long), fragment('a'), fragment('!', { fin: true })]),
        )
        t.same(calls.lines, [`data 1 ${long}`, `data 1 ${long}a`, end])
      }
    },
  )

  await t.test(
    `7692-6-rsv1-first-only: short fragments from a ${from} have the RSV1 of the first`,
    async (t) => {
      const calls = new Calls({ ...options, rsv1Allowed: true })
      const begin = fragment(long, { opcode: Opcode.binary, rsv1: true })
      calls.decoder.push(Buffer.concat([begin, fragment(long), fragment('a')]))
      t.same(calls.lines, [`rsv1 data 2 ${long}`, `rsv1 data 2 ${long}a`])
    },
  )
}

/** Has room for all that is to come of a long frame, and keeps how much that was. */
class Ahead extends Calls {
  readonly asked: number[] = []

  roomAhead(left: number): Buffer {
    this.asked.push(left)
    return Buffer.alloc(left)
  }

  /** Reads so many bytes into the room there is. */
  fill(bytes: Buffer): void {
    const room = this.decoder.roomAhead() ?? Buffer.alloc(0)
    bytes.copy(room)
    this.decoder.filled(room, bytes.length)
  }
}

await t.test(
  '6455-6.2-stream-parsing: the rest of a long frame may come where the sink wants it',
  async (t) => {
    const text = '0123456789abcdefghi'.repeat(1000)
    const frame = encodeFrame({ opcode: Opcode.text, payload: text, fin: false })
    const end = encodeFrame({ opcode: Opcode.continuation, payload: text.slice(0, 5000) })
    const calls = new Ahead(fromServer)
    calls.decoder.push(frame.subarray(0, 1004))
    calls.fill(frame.subarray(1004, 2004))
    calls.fill(frame.subarray(2004, 2005))
    t.same(calls.asked, [18_000, 17_000])
    calls.decoder.push(frame.subarray(2005, 3004))
    t.ok(calls.decoder.unfinished)
    t.equal(calls.decoder.frames, 0)
    calls.fill(frame.subarray(3004))
    t.equal(calls.decoder.frames, 1)
    t.ok(calls.decoder.unfinished, 'the message goes on')
    t.equal(calls.decoder.roomAhead(), undefined, 'a header comes next')
    calls.decoder.push(end.subarray(0, 4))
    calls.fill(end.subarray(4))
    t.notOk(calls.decoder.unfinished)
    t.equal(calls.decoder.frames, 2)
    calls.decoder.push(encodeFrame({ opcode: Opcode.ping, payload: 'p' }))
    const cuts = [0, 1000, 2000, 2001, 3000, text.length]
    t.same(calls.lines, [
      ...cuts.slice(1).map((cut, index) => `data 1 ${text.slice(cuts[index], cut)}`),
      `data 1 ${text.slice(0, 5000)}.`,
      'control 9 p',
    ])
  },
)

await t.test(
  'only the rest of a long frame without a mask is asked for ahead, and not while held',
  async (t) => {
    const payload = 'x'.repeat(5000)
    const asked = (from: 'client' | 'server', size: number, come: number): number[] => {
      const calls = new Ahead({ from, maxMessageSize: limit })
      const maskKey = from === 'client' ? 0x37fa213d : undefined
      const frame = encodeFrame({ opcode: Opcode.text, payload: payload.slice(0, size), maskKey })
      calls.decoder.push(frame.subarray(0, come))
      calls.decoder.roomAhead()
      return calls.asked
    }
    t.same(asked('server', 5000, 3), [], 'the header is not there')
    t.same(asked('server', 5000, 4), [5000])
    t.same(asked('server', 5000, 4 + 904), [4096])
    t.same(asked('server', 5000, 4 + 905), [], 'too short')
    t.same(asked('client', 5000, 8), [], 'it must be unmasked')

    const without = new Calls(fromServer)
    const calls = new Ahead(fromServer)
    for (const { decoder } of [without, calls]) decoder.push(hex('82 7f 0000000000010000 61'))
    t.equal(without.decoder.roomAhead(), undefined, 'a sink without room')
    calls.decoder.hold()
    t.equal(calls.decoder.roomAhead(), undefined)
    calls.decoder.resume()
    const room = calls.decoder.roomAhead()
    t.equal(room?.length, 0xffff)
    calls.decoder.stop()
    t.equal(calls.decoder.roomAhead(), undefined)
    calls.decoder.filled(Buffer.alloc(10), 10)
    t.same(calls.lines, ['data 2 a'], 'what comes behind the end is not told of')
  },
)

await t.test('two decoders do not share anything', async (t) => {
  const one = new Calls(fromServer)
  const two = new Calls(fromServer)
  one.decoder.push(hex('0102 61'))
  two.decoder.push(hex('8204 62'))
  one.decoder.push(hex('62 80'))
  two.decoder.push(hex('6363'))
  one.decoder.push(hex('01 63'))
  two.decoder.push(hex('64'))
  t.same(one.lines, ['data 1 a', 'data 1 b', 'data 1 c.'])
  t.same(two.lines, ['data 2 b', 'data 2 cc', 'data 2 d.'])
})

/** Whole messages with control frames among their fragments, and the events they must give. */
const anyConversation = fc
  .array(
    fc.record({
      text: fc.boolean(),
      parts: fc.array(fc.string({ maxLength: 200 }), { minLength: 1, maxLength: 12 }),
      ping: fc.option(fc.uint8Array({ maxLength: 125 })),
    }),
    { maxLength: 6 },
  )
  .chain((messages) =>
    fc.record({ messages: fc.constant(messages), key: fc.option(fc.integer({ max: 0xffffffff })) }),
  )
  .map(({ messages, key }) => {
    const frames: Buffer[] = []
    const expected: string[] = []
    for (const { text, parts, ping } of messages) {
      for (const [index, payload] of parts.entries()) {
        const opcode = index > 0 ? Opcode.continuation : text ? Opcode.text : Opcode.binary
        const fin = index === parts.length - 1
        if (ping !== null && fin) {
          frames.push(encodeFrame({ opcode: Opcode.ping, payload: ping, maskKey: key ?? undefined }))
          expected.push(`ping ${Buffer.from(ping).toString('hex')}`.trimEnd())
        }
        frames.push(encodeFrame({ opcode, payload, fin, maskKey: key ?? undefined }))
      }
      expected.push(`${text ? 'text' : 'binary'} ${Buffer.from(parts.join('')).toString('hex')}`.trimEnd())
    }
    const from: 'client' | 'server' = key === null ? 'server' : 'client'
    return { from, frames: frames.length, bytes: Buffer.concat(frames), expected }
  })

await testProperty(
  t,
  '6455-6.2-stream-parsing, 6455-5.4-no-frame-boundary-meaning: any messages in any cuts',
  fc.property(
    anyConversation,
    fc.array(fc.nat(10_000), { maxLength: 12 }),
    ({ from, frames, bytes, expected }, places) => {
      const cuts = [
        0,
        ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b),
        bytes.length,
      ]
      const chunks = cuts.slice(1).map((cut, index) => bytes.subarray(cuts[index], cut))
      const endpoint = new Endpoint({ from, maxMessageSize: limit }).feed(chunks)
      return (
        endpoint.events.join('\n') === expected.join('\n') &&
        endpoint.decoder.frames === frames &&
        !endpoint.decoder.unfinished
      )
    },
  ),
  500,
)

await testProperty(
  t,
  '6455-6.2-stream-parsing: any bytes give the same in any cuts, held or not',
  fc.property(
    fc.constantFrom('client', 'server'),
    fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 8 }),
        fc.constantFrom(hex('0181'), hex('8980'), hex('8100'), hex('0202'), hex('8001')),
      ),
      { maxLength: 12 },
    ),
    fc.array(fc.nat(10_000), { maxLength: 8 }),
    fc.boolean(),
    (from, parts, places, holding) => {
      const bytes = Buffer.concat(parts)
      const options: DecoderOptions = { from, maxMessageSize: 1000 }
      const whole = new Endpoint(options).feed([bytes])
      const cuts = [
        0,
        ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b),
        bytes.length,
      ]
      const endpoint = new Endpoint(options)
      if (holding) endpoint.hook = () => endpoint.decoder.hold()
      endpoint.feed(cuts.slice(1).map((cut, index) => bytes.subarray(cuts[index], cut)))
      for (let count = 0; count <= bytes.length; count++) endpoint.decoder.resume()
      const left = whole.over || endpoint.partial === whole.partial
      return endpoint.events.join('\n') === whole.events.join('\n') && left
    },
  ),
  1000,
)

await t.test('a side that is none is refused', async (t) => {
  const misspelt: object = { from: 'cleint', maxMessageSize: 1024 }
  t.throws(() => new Endpoint(misspelt as DecoderOptions), {
    name: 'TypeError',
    message: 'from must be "client" or "server"',
  })
})

await t.test('6455-10.4-message-limit: a limit that is none is refused', async (t) => {
  for (const maxMessageSize of [Number.NaN, -1]) {
    t.throws(() => new Endpoint({ from: 'client', maxMessageSize }), {
      name: 'RangeError',
      message: `maxMessageSize must not be ${maxMessageSize}`,
    })
  }
  t.doesNotThrow(() => new Endpoint({ from: 'client', maxMessageSize: 0 }))
})
