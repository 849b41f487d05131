/** A short run of the fuzzer with a fixed seed, and proof that it finds bugs where there are some. */
import t from 'tap'
import { Buffer } from 'node:buffer'
import { fuzz } from './command.ts'
import { parseHex, readCorpus } from './corpus.ts'
import { decoderTarget } from './decoder.ts'
import { conversation, frameTargets, play, type Play } from './frames.ts'
import { Random } from './random.ts'
import { reference } from './reference.ts'
import { failureOf, makeInput, problemOf, type Target } from './target.ts'

const seed = 20_260_101
const failures = t.testdir()

/** Runs a command line of the fuzzer in this process. */
async function run(targets: Target[], ...args: string[]): Promise<{ status: number; said: string }> {
  const lines: string[] = []
  const status = await fuzz(args, {
    program: 'fuzz',
    targets,
    failures,
    say: (line) => lines.push(line),
  })
  return { status, said: lines.join('\n') }
}

/** The failures that the real decoder met. */
const met = new Set<string>()
const watched = frameTargets((chunks, options, mode) => {
  const result = play(chunks, options, mode)
  for (const event of result.events) if (event.startsWith('fail')) met.add(event)
  return result
})

const runs = { decoder: 10_000, bytes: 3000, valid: 800, mutated: 2000, cuts: 250, 'round-trip': 500 }

for (const [name, cases] of Object.entries(runs)) {
  await t.test(
    `6455-6.2-stream-parsing: ${cases} inputs of the target ${name}, and the corpus`,
    async (t) => {
      const { status, said } = await run(
        [decoderTarget, ...watched],
        '--seed',
        `${seed}`,
        '--cases',
        `${cases}`,
        '--target',
        name,
      )
      t.equal(status, 0, said)
    },
  )
}

await t.test('the conversations of a well-behaved peer are all legal, and not all alike', async (t) => {
  const events = new Map<string, number>()
  for (let index = 0; index < 500; index++) {
    for (const from of ['client', 'server'] as const) {
      const bytes = conversation(new Random(seed, index, from), from, true)
      const result = reference(bytes, { from, maxMessageSize: Number.MAX_SAFE_INTEGER, rsv1Allowed: true })
      if (result.unfinished || result.events.some((event) => event.startsWith('fail'))) t.same(result, {})
      for (const event of result.events) {
        const kind = event.replace(/^(rsv1 )?(\w+).*$/s, '$1$2')
        events.set(kind, (events.get(kind) ?? 0) + 1)
      }
    }
  }
  t.same([...events.keys()].toSorted(), [
    'binary',
    'close',
    'ping',
    'pong',
    'rsv1 binary',
    'rsv1 text',
    'text',
  ])
  t.ok(Math.min(...events.values()) > 50, 'each of them often')
})

await t.test('every violation that frames and Close payloads can make was met', async (t) => {
  t.same([...met].toSorted(), [
    'fail 1002 bad-close-code',
    'fail 1002 fragmented-control',
    'fail 1002 length-not-minimal',
    'fail 1002 length-top-bit',
    'fail 1002 long-control',
    'fail 1002 missing-mask',
    'fail 1002 nested-message',
    'fail 1002 orphan-continuation',
    'fail 1002 reserved-bit',
    'fail 1002 reserved-opcode',
    'fail 1002 short-close',
    'fail 1002 unexpected-mask',
    'fail 1007 bad-close-reason',
    'fail 1007 bad-utf8',
    'fail 1009 message-too-big',
  ])
})

/** Decoders with a bug each, and the targets that must find it. */
const planted: [bug: string, targets: string[], broken: Play][] = [
  [
    'drops a byte at a cut',
    ['bytes', 'valid', 'mutated', 'cuts', 'round-trip'],
    (chunks, options, mode) => {
      const less = chunks.map((chunk, index) => (index > 0 && chunk.length > 2 ? chunk.subarray(1) : chunk))
      return play(less, options, mode)
    },
  ],
  [
    'forgets what comes while it is held',
    ['valid', 'mutated', 'cuts', 'round-trip'],
    (chunks, options, mode) =>
      play(mode === 'hold at each event' ? chunks.slice(0, -1) : chunks, options, mode),
  ],
  [
    'mixes up the order of two chunks that are pushed from the sink',
    ['valid', 'mutated', 'cuts', 'round-trip'],
    (chunks, options, mode) =>
      play(mode === 'push the next from each event' ? chunks.toReversed() : chunks, options, mode),
  ],
  [
    'does not look at the message limit',
    ['bytes', 'mutated'],
    (chunks, options, mode) => play(chunks, { ...options, maxMessageSize: Infinity }, mode),
  ],
  [
    'lets RSV1 pass',
    ['bytes', 'mutated'],
    (chunks, options, mode) => play(chunks, { ...options, rsv1Allowed: true }, mode),
  ],
  [
    'does not mind bad UTF-8',
    ['mutated'],
    (chunks, options, mode) => {
      const result = play(chunks, options, mode)
      return { ...result, events: result.events.filter((event) => event !== 'fail 1007 bad-utf8') }
    },
  ],
  [
    'counts a Ping that was cut twice',
    ['valid', 'round-trip'],
    (chunks, options, mode) => {
      const result = play(chunks, options, mode)
      const pings = result.events.filter((event) => event.startsWith('ping')).length
      return { ...result, frames: result.frames + (chunks.length > 3 ? pings : 0) }
    },
  ],
  [
    'throws at an empty chunk',
    ['valid', 'cuts', 'round-trip'],
    (chunks, options, mode) => {
      if (chunks.length > 1 && chunks.some((chunk) => chunk.length === 0)) throw new Error('boom')
      return play(chunks, options, mode)
    },
  ],
]

for (const [bug, names, broken] of planted) {
  await t.test(`a decoder that ${bug} is found out`, async (t) => {
    for (const target of frameTargets(broken).filter((target) => names.includes(target.name))) {
      const corpus = readCorpus(target.corpus).map((entry) => entry.bytes)
      let index = 0
      while (index < 1000 && problemOf(target, makeInput(target, seed, index, corpus)) === undefined) index++
      t.ok(index < 1000, `${target.name} finds it at case ${index}`)
      const failure = await failureOf(target, makeInput(target, seed, index, corpus), 'found')
      t.ok(
        failure.shrunk.length <= failure.input.length / 2,
        `and shrinks ${failure.input.length} bytes to ${failure.shrunk.length}`,
      )
      t.type(problemOf(target, failure.shrunk), 'string', 'to something that fails as well')
      const sound = frameTargets().find(({ name }) => name === target.name)
      t.equal(sound && problemOf(sound, failure.shrunk), undefined, 'and that the real decoder passes')
    }
  })
}

await t.test('a failure is reported with commands that show it again', async (t) => {
  const [, , broken] = planted[0]!
  const targets = frameTargets(broken)
  const { status, said } = await run(targets, '--cases', '1000', '--seed', '7', '--target', 'valid')
  t.equal(status, 1)
  t.match(said, /FAILED valid: cut into/)
  for (const way of ['replay', 'shrunk one']) {
    const command = new RegExp(`^${way}: +fuzz (.*)$`, 'm').exec(said)?.[1]
    t.type(command, 'string', said)
    const again = await run(targets, ...(command ?? '').split(' '))
    t.equal(again.status, 1, `${way}: ${command}`)
    t.equal(
      (await run(frameTargets(), ...(command ?? '').split(' '))).status,
      0,
      'and that pass without the bug',
    )
  }
})

await t.test('the same numbers make the same inputs', async (t) => {
  for (const target of frameTargets()) {
    const make = (index: number): string => Buffer.from(makeInput(target, 5, index, [])).toString('hex')
    t.equal(make(3), make(3))
    t.not(make(3), make(4))
  }
})

await t.test('a command line that makes no sense is refused', async (t) => {
  const targets = frameTargets()
  for (const args of [
    '--target none',
    '--case 1',
    '--case 1 --seed 1',
    '--seed x',
    '--hex 0',
    '--add x',
    '--nonsense',
  ]) {
    t.equal((await run(targets, ...args.split(' '))).status, 2, args)
  }
  t.equal((await run(targets, '--hex', '0000', '--add', 'No/Name')).status, 2)
  t.match(await run(targets, '--help'), { status: 0, said: /--time/ })
})

await t.test('hex may hold white space and comments', async (t) => {
  t.same(parseHex('# one\n01 0203 # two\n\n FF'), Buffer.of(1, 2, 3, 255))
  t.same(parseHex(''), Buffer.alloc(0))
  t.throws(() => parseHex('0'), TypeError)
})
