import t from 'tap'
import { Fact, type FrameFacts, judgeFrame, verdictName, verdicts } from '../../frames/rules.ts'
import type { ViolationName } from '../../frames/violation.ts'

/**
 * The rules once more, each by itself and as the RFC words it. A frame that breaks several is reported as the first
 * of them here.
 */
const oracle: [title: string, name: ViolationName, broken: (frame: FrameFacts) => boolean][] = [
  [
    '6455-5.2-reserved-data-opcode, 6455-5.2-reserved-control-opcode',
    'reserved-opcode',
    ({ opcode }) => ![0, 1, 2, 8, 9, 10].includes(opcode),
  ],
  [
    '6455-5.2-rsv-rejected, 7692-6-control-never-compressed',
    'reserved-bit',
    // RSV2 and RSV3 never; RSV1 where an extension may have it: on the first frame of a message.
    ({ rsv, opcode, rsv1Allowed }) =>
      (rsv & 3) !== 0 || (rsv === 4 && !(rsv1Allowed && (opcode === 1 || opcode === 2))),
  ],
  ['6455-5.5-control-not-fragmented', 'fragmented-control', ({ opcode, fin }) => opcode >= 8 && !fin],
  ['6455-5.5-control-len-125', 'long-control', ({ opcode, long }) => opcode >= 8 && long],
  [
    '6455-5.4-no-new-message-inside',
    'nested-message',
    ({ opcode, insideMessage }) => insideMessage && (opcode === 1 || opcode === 2),
  ],
  [
    '6455-5.4-orphan-continuation',
    'orphan-continuation',
    ({ opcode, insideMessage }) => opcode === 0 && !insideMessage,
  ],
  ['6455-5.1-server-rejects-unmasked', 'missing-mask', ({ fromClient, masked }) => fromClient && !masked],
  ['6455-5.1-client-rejects-masked', 'unexpected-mask', ({ fromClient, masked }) => !fromClient && masked],
]

const booleans = ['fin', 'masked', 'long', 'fromClient', 'insideMessage', 'rsv1Allowed'] as const

/** All 8192 frames that the rules can tell apart. */
const frames: FrameFacts[] = []
for (let bits = 0; bits < 1 << booleans.length; bits++) {
  const [fin, masked, long, fromClient, insideMessage, rsv1Allowed] = booleans.map(
    (_, bit) => (bits & (1 << bit)) !== 0,
  )
  for (let rsv = 0; rsv < 8; rsv++) {
    for (let opcode = 0; opcode < 16; opcode++) {
      frames.push({
        opcode,
        fin: fin === true,
        rsv,
        masked: masked === true,
        long: long === true,
        fromClient: fromClient === true,
        insideMessage: insideMessage === true,
        rsv1Allowed: rsv1Allowed === true,
      })
    }
  }
}

function indexOf(frame: FrameFacts): number {
  return (
    (frame.fin ? 0x80 : 0) |
    (frame.rsv << 4) |
    frame.opcode |
    (frame.long ? Fact.long : 0) |
    (frame.masked ? Fact.masked : 0) |
    (frame.fromClient ? Fact.fromClient : 0) |
    (frame.insideMessage ? Fact.insideMessage : 0) |
    (frame.rsv1Allowed ? Fact.rsv1Allowed : 0)
  )
}

function expected(frame: FrameFacts): ViolationName | undefined {
  return oracle.find(([, , broken]) => broken(frame))?.[1]
}

await t.test('RFC 6455 5.2-5.5: all 8192 frames are judged as the oracle judges them', async (t) => {
  t.equal(frames.length, 8192)
  const wrong = frames.filter((frame) => judgeFrame(frame) !== expected(frame))
  t.same(wrong, [])
})

await t.test('the table says for all 8192 frames what the function says', async (t) => {
  t.equal(verdicts.length, 8192)
  t.equal(new Set(frames.map(indexOf)).size, 8192, 'no two frames share an entry')
  const wrong = frames.filter((frame) => {
    const verdict = verdicts[indexOf(frame)]
    if (verdict === undefined) return true
    if (verdict === 0) return expected(frame) !== undefined
    return expected(frame) === undefined || verdictName(verdict) !== expected(frame)
  })
  t.same(wrong, [])
})

await t.test('6455-5.1-client-masks, 6455-5.4-receive-both: what is legal', async (t) => {
  const legal = frames.filter((frame) => judgeFrame(frame) === undefined)
  // Of each role: 3 control opcodes in 4 contexts; inside a message a continuation with 2 FIN, 2 lengths and RSV1
  // allowed or not; outside of one 2 opcodes with the same, and with RSV1 once more where it is allowed.
  t.equal(legal.length, 2 * (3 * 4 + 2 * 2 * 2 + 2 * (2 * 2 * 3)))
})

for (const [title, name, broken] of oracle) {
  await t.test(`${title}: ${name} is found on its own and with others`, async (t) => {
    const breaking = frames.filter(broken)
    t.ok(breaking.length > 0)
    t.same(
      breaking.filter((frame) => verdicts[indexOf(frame)] === 0),
      [],
      'no frame that breaks it passes',
    )
    t.ok(
      breaking.some(
        (frame) => judgeFrame(frame) === name && oracle.filter(([, , test]) => test(frame)).length === 1,
      ),
    )
  })
}
