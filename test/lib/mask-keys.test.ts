import t from 'tap'
import { MaskKeys, maskKeysFrom, systemRandom } from '../../lib/mask-keys.ts'

const keysAtOnce = 2048

await t.test(
  '6455-5.3-fresh-key: each key is used once, and the source is asked for many at a time',
  async (t) => {
    const asked: number[] = []
    let word = 0
    const keys = new MaskKeys((bytes) => {
      asked.push(bytes.length)
      const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
      for (let at = 0; at < words.length; at++) words[at] = word++
    })
    t.strictSame(asked, [], 'a connection that sends nothing asks for nothing')
    const seen = Array.from({ length: 2 * keysAtOnce + 1 }, () => keys.next())
    t.strictSame(
      seen,
      Array.from({ length: 2 * keysAtOnce + 1 }, (_, at) => at),
    )
    t.strictSame(asked, [4 * keysAtOnce, 4 * keysAtOnce, 4 * keysAtOnce])
  },
)

await t.test(
  '6455-5.3-strong-entropy: all bytes that are asked for are filled, and never alike',
  async (t) => {
    const [one, other] = [new Uint8Array(64), new Uint8Array(64)]
    systemRandom(one)
    systemRandom(other)
    t.notSame(one, other)
    t.ok(one.subarray(60).some((byte) => byte !== 0) || other.subarray(60).some((byte) => byte !== 0))
  },
)

await t.test('the system has one pool for all connections, another source has its own', async (t) => {
  t.equal(maskKeysFrom(systemRandom), maskKeysFrom(systemRandom))
  const source = (bytes: Uint8Array): void => void bytes.fill(7)
  t.not(maskKeysFrom(source), maskKeysFrom(source))
  t.equal(maskKeysFrom(source).next(), 0x07070707)
})

await t.test('C5, 6455-10.3-key-unpredictable: 100,000 keys look random in every byte', async (t) => {
  const keys = maskKeysFrom(systemRandom)
  const count = 100_000
  const seen = new Set<number>()
  const counts = [0, 1, 2, 3].map(() => new Uint32Array(256))
  let repeated = 0
  let before = keys.next()
  for (let n = 0; n < count; n++) {
    const key = keys.next()
    if (key === before) repeated++
    before = key
    seen.add(key)
    counts.forEach((of, byte) => of[(key >>> (8 * byte)) & 0xff]!++)
  }
  // By chance 1.2 pairs are alike; more than 15 is less likely than 1 in 10^12.
  t.ok(count - seen.size <= 15, `${count - seen.size} keys came twice`)
  t.ok(repeated <= 1)
  for (const of of counts) {
    // 255 degrees of freedom: mean 255, standard deviation 22.6.
    const chiSquare = of.reduce((sum, each) => sum + (each - count / 256) ** 2 / (count / 256), 0)
    t.ok(chiSquare > 120 && chiSquare < 430, `chi-square ${chiSquare}`)
  }
})
