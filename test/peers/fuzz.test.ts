/** Our decoder and that of `ws` on the same bytes: the fuzzer's target `decoder-ws`. */
import t from 'tap'
import { readCorpus } from '../fuzz/corpus.ts'
import { decoderWsTarget, installedReceiver, type Receiver } from '../fuzz/decoder-ws.ts'
import { makeInput, problemOf, type Target } from '../fuzz/target.ts'

const seed = 20_261_126
const cases = 20_000

/** The first input that fails: those of the corpus count from -1 downwards. */
async function firstFailure(target: Target): Promise<string | undefined> {
  const corpus = readCorpus(target.corpus).map((entry) => entry.bytes)
  for (let index = -corpus.length; index < cases; index++) {
    const input = index < 0 ? corpus.at(index)! : makeInput(target, seed, index, corpus)
    const problem = await problemOf(target, input)
    if (problem !== undefined) return `case ${index} of seed ${seed}: ${problem}`
  }
  return undefined
}

await t.test(
  `the corpus and ${cases} inputs: each disagreement with ws is one that is explained`,
  async (t) => {
    const explained = new Map<string, number>()
    const target = decoderWsTarget(installedReceiver(), explained)
    t.equal(target.missing, undefined, 'ws is installed')
    t.equal(await firstFailure(target), undefined)
    for (const [reason, times] of explained) t.comment(`${times} times: ${reason}`)
    t.same(
      [...explained.keys()].toSorted(),
      [
        'a 64-bit length with the top bit set',
        'a Close that announces one byte',
        'a length in a longer form than it needs',
        'text that goes wrong before it ends',
      ],
      'and each explanation is needed',
    )
  },
)

await t.test('a receiver with a bug is found out', async (t) => {
  const Receiver = installedReceiver()
  if (Receiver === undefined) throw new Error('ws is not installed')
  const bugs: Readonly<Record<string, Receiver>> = {
    'it does not look at the limit': class extends Receiver {
      constructor(options: ConstructorParameters<Receiver>[0]) {
        super({ ...options, maxPayload: 0 })
      }
    },
    'it takes frames that are not masked': class extends Receiver {
      constructor(options: ConstructorParameters<Receiver>[0]) {
        super({ ...options, isServer: false })
      }
    },
  }
  for (const [bug, broken] of Object.entries(bugs))
    t.type(await firstFailure(decoderWsTarget(broken)), 'string', bug)
})
