import t from 'tap'
import { Buffer } from 'node:buffer'
import { Opcode } from '../../frames/opcode.ts'
import { type FragmentSink, iteratorOf, type Parts, streamFragments } from '../../lib/fragment-stream.ts'
import type { Data } from '../../lib/payload.ts'
import { turns } from '../help/loop.ts'

/** A sink that records, and that can hold a fragment back or tell that the connection closes. */
class RecordingSink implements FragmentSink {
  readonly fragments: string[] = []
  hold: Promise<void> | undefined
  #close: (reason: Error) => void = () => {}
  readonly #closed = new Promise<never>((_, reject) => (this.#close = reject))

  constructor() {
    this.#closed.catch(() => {})
  }

  close(reason: Error): void {
    this.#close(reason)
  }

  fragment(opcode: Opcode, payload: Uint8Array | string, fin: boolean): Promise<void> {
    const content =
      typeof payload === 'string' ? JSON.stringify(payload) : Buffer.from(payload).toString('hex')
    this.fragments.push(`${opcode} ${content}${fin ? '' : '…'}`)
    return this.hold ?? Promise.resolve()
  }

  unlessClosed<T>(part: Promise<T>): Promise<T> {
    return Promise.race([part, this.#closed])
  }
}

async function fragmentsOf(parts: Parts): Promise<string[]> {
  const sink = new RecordingSink()
  await streamFragments(iteratorOf(parts), sink)
  return sink.fragments
}

async function* asyncParts(parts: Iterable<Data>): AsyncGenerator<Data> {
  for (const part of parts) {
    await turns()
    yield part
  }
}

await t.test(
  '6455-5.4-send-fragments: a fragment a part, and an empty one that ends the message',
  async (t) => {
    const { text, binary, continuation } = Opcode
    t.strictSame(await fragmentsOf(['a', 'b', 'c']), [
      `${text} "a"…`,
      `${continuation} "b"…`,
      `${continuation} "c"…`,
      `${continuation} ""`,
    ])
    t.strictSame(await fragmentsOf([Buffer.from('a'), new Uint16Array([0x0102]), new ArrayBuffer(1)]), [
      `${binary} 61…`,
      `${continuation} 0201…`,
      `${continuation} 00…`,
      `${continuation} ""`,
    ])
    t.strictSame(await fragmentsOf(asyncParts(['a', ''])), [
      `${text} "a"…`,
      `${continuation} ""…`,
      `${continuation} ""`,
    ])
    t.strictSame(await fragmentsOf(new Set(['one'])), [`${text} "one"…`, `${continuation} ""`])
  },
)

await t.test('6455-6.2-empty-message: no parts at all are an empty text', async (t) => {
  t.strictSame(await fragmentsOf([]), [`${Opcode.text} ""`])
  t.strictSame(await fragmentsOf(asyncParts([])), [`${Opcode.text} ""`])
})

await t.test('6455-5.6-text-utf8-sent: a surrogate pair that two parts share stays whole', async (t) => {
  const more = Opcode.continuation
  t.strictSame(await fragmentsOf(['a\ud83d', '\ude42b']), [
    `${Opcode.text} "a"…`,
    `${more} "🙂b"…`,
    `${more} ""`,
  ])
  t.strictSame(await fragmentsOf(['\ud83d', '', '\ude42']), [
    `${Opcode.text} ""…`,
    `${more} ""…`,
    `${more} "🙂"…`,
    `${more} ""`,
  ])
  t.strictSame(await fragmentsOf(['a', '\udbff']), [
    `${Opcode.text} "a"…`,
    `${more} ""…`,
    `${more} ${JSON.stringify('\udbff')}`,
  ])
  t.strictSame(await fragmentsOf(['\ude42x']), [`${Opcode.text} ${JSON.stringify('\ude42x')}…`, `${more} ""`])
})

await t.test('backpressure: the next part is asked for when there is room for it', async (t) => {
  const sink = new RecordingSink()
  let asked = 0
  let makeRoom = (): void => {}
  sink.hold = new Promise((resolve) => (makeRoom = resolve))
  const sent = streamFragments(
    (function* () {
      for (const part of ['a', 'b']) {
        asked++
        yield part
      }
    })(),
    sink,
  )
  await turns(3)
  t.equal(asked, 1)
  makeRoom()
  await sent
  t.equal(asked, 2)
})

await t.test(
  'a part of another type than the first, or of none, is a TypeError, and the source is told',
  async (t) => {
    const notData: unknown = 5
    const cases: [Iterable<unknown>, string][] = [
      [['a', Buffer.from('b')], 'the parts of one message must be all strings or all bytes'],
      [[Buffer.from('b'), 'a'], 'the parts of one message must be all strings or all bytes'],
      [[notData], 'data must be a string, an ArrayBuffer, a typed array, a DataView or a Buffer'],
    ]
    for (const [parts, message] of cases) {
      let told = false
      const source = (function* () {
        try {
          yield* parts
        } finally {
          told = true
        }
      })()
      const sink = new RecordingSink()
      await t.rejects(streamFragments(source as Iterator<Data>, sink), new TypeError(message))
      await turns()
      t.ok(told)
      t.notOk(
        sink.fragments.some((fragment) => !fragment.endsWith('…')),
        'the message is not ended',
      )
    }
  },
)

await t.test('what the source throws or rejects with comes back', async (t) => {
  const oops = new Error('oops')
  const throwing: Iterator<Data> = {
    next() {
      throw oops
    },
  }
  await t.rejects(streamFragments(throwing, new RecordingSink()), oops)
  const rejecting: AsyncIterator<Data> = { next: () => Promise.reject(oops) }
  await t.rejects(streamFragments(rejecting, new RecordingSink()), oops)
})

await t.test(
  'a source that never yields does not outlive the connection, and nobody waits for its end',
  async (t) => {
    const sink = new RecordingSink()
    let told = 0
    const never: AsyncIterator<Data> = {
      next: () => new Promise(() => {}),
      return: () => {
        told++
        return new Promise(() => {})
      },
    }
    const sent = streamFragments(never, sink)
    await turns()
    sink.close(new Error('closed'))
    await t.rejects(sent, new Error('closed'))
    await turns()
    t.equal(told, 1)
  },
)

await t.test('what the source throws when it is told to end is nobody’s', async (t) => {
  for (const end of [
    (): never => {
      throw new Error('second')
    },
    () => Promise.reject(new Error('second')),
  ]) {
    const source: AsyncIterator<Data> = { next: () => Promise.reject(new Error('first')), return: end }
    await t.rejects(streamFragments(source, new RecordingSink()), new Error('first'))
    await turns(2)
  }
})

await t.test('what is no iterable of parts is a TypeError at once', async (t) => {
  const none: unknown[] = [
    'text',
    Buffer.from('b'),
    new Uint8Array(2),
    new DataView(new ArrayBuffer(2)),
    5,
    null,
  ]
  for (const parts of [...none, undefined, {}, new ArrayBuffer(2), () => {}]) {
    t.throws(
      () => iteratorOf(parts as Parts),
      new TypeError('the parts of a message must be an iterable or an async iterable'),
    )
  }
})

await t.test('an object that is both is taken as async', async (t) => {
  const both = {
    [Symbol.iterator]: () => ['sync'][Symbol.iterator](),
    [Symbol.asyncIterator]: () => asyncParts(['async']),
  }
  t.strictSame(await fragmentsOf(both), [`${Opcode.text} "async"…`, `${Opcode.continuation} ""`])
})
