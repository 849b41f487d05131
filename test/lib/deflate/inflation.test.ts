import t from 'tap'
import { Buffer } from 'node:buffer'
import { encodeClosePayload } from '../../../frames/close-payload.ts'
import { Opcode } from '../../../frames/opcode.ts'
import { violation } from '../../../frames/violation.ts'
import { Budget } from '../../../lib/budget.ts'
import { Allowance } from '../../../lib/deflate/allowance.ts'
import { Inflater } from '../../../lib/deflate/inflater.ts'
import { offloadAtLeisure } from '../../../lib/deflate/offload.ts'
import { Inflation } from '../../../lib/deflate/inflation.ts'
import { turns, until, watchProcess } from '../../help/loop.ts'
import { compress, noise, textOf } from './samples.ts'

const mebibyte = 1024 * 1024
const { text, binary, ping, pong, close } = Opcode
const tooLong = textOf(200_000)
/** It is inflated in the thread pool. */
const long = compress(tooLong)

/** An inflation, and what comes out of it as lines. */
class Scene {
  readonly lines: string[] = []
  readonly budget: Budget
  readonly inflation: Inflation
  hook: (line: string) => void = () => {}

  constructor({ limit = 64 * mebibyte, maxSize = mebibyte } = {}) {
    this.budget = new Budget(limit)
    this.inflation = new Inflation(new Inflater(15, false, maxSize, new Allowance(() => 0)), this.budget, {
      message: (message) =>
        this.#say(`message ${typeof message === 'string' ? '' : 'bytes '}${message.length}`),
      control: (opcode, payload) => this.#say(`control ${opcode} ${payload.length}`),
      violation: ({ closeCode }) => this.#say(`violation ${closeCode}`),
      fellBehind: () => this.#say('behind'),
      caughtUp: () => this.#say('caught up'),
    })
  }

  compressed(opcode: typeof text | typeof binary, payload: Buffer): void {
    this.inflation.compressed(opcode, [payload], payload.length)
  }

  idle(): Promise<void> {
    return until(() => !this.inflation.busy)
  }

  #say(line: string): void {
    this.lines.push(line)
    this.hook(line)
  }
}

await t.test('short messages come out at once, in order', async (t) => {
  const scene = new Scene()
  scene.compressed(text, compress('one'))
  scene.inflation.message('plain')
  scene.compressed(binary, compress('three'))
  scene.inflation.control(ping, Buffer.alloc(1))
  scene.inflation.control(close, encodeClosePayload(1000))
  t.strictSame(scene.lines, ['message 3', 'message 5', 'message bytes 5', 'control 9 1', 'control 8 2'])
  t.equal(scene.inflation.busy, false)
  t.equal(scene.budget.used, 0)
})

await t.test(
  '7692-6.2-order-with-async-inflate: what comes behind a long message waits, but for pings',
  async (t) => {
    const behind: readonly [name: string, say: (scene: Scene) => void, line: string][] = [
      ['a plain message', ({ inflation }) => inflation.message('x'), 'message 1'],
      ['plain bytes', ({ inflation }) => inflation.message(Buffer.alloc(9)), 'message bytes 9'],
      ['a short one', (scene) => scene.compressed(text, compress('ab')), 'message 2'],
      ['a Close', ({ inflation }) => inflation.control(close, encodeClosePayload(1000)), 'control 8 2'],
      ['a violation', ({ inflation }) => inflation.violation(violation('reserved-bit')), 'violation 1002'],
      ['a corrupt one', (scene) => scene.compressed(text, Buffer.from([7])), 'violation 1007'],
    ]
    for (const [name, say, line] of behind) {
      const scene = new Scene()
      scene.compressed(text, long)
      t.equal(scene.inflation.busy, true)
      t.equal(scene.inflation.behind, false)
      t.equal(scene.budget.used, long.length, 'what is under way is charged')
      scene.inflation.control(ping, Buffer.alloc(1))
      scene.inflation.control(pong, Buffer.alloc(2))
      say(scene)
      t.equal(scene.inflation.behind, true)
      t.ok(scene.budget.used >= long.length)
      t.strictSame(scene.lines, ['control 9 1', 'control 10 2', 'behind'])
      await scene.idle()
      t.strictSame(scene.lines.slice(3), ['message 200000', line, 'caught up'], name)
      t.equal(scene.inflation.behind, false)
      t.equal(scene.budget.used, 0)
    }
  },
)

await t.test('one long message behind another, each with the window of the one before', async (t) => {
  const scene = new Scene()
  scene.compressed(text, long)
  scene.compressed(binary, compress(tooLong, Buffer.from(tooLong).subarray(-32768)))
  await until(() => scene.lines.includes('caught up'))
  t.strictSame(scene.lines, ['behind', 'message 200000', 'caught up'], 'the next may come: one is under way')
  t.equal(scene.inflation.busy, true)
  scene.inflation.message('last')
  await scene.idle()
  t.strictSame(scene.lines.slice(3), ['behind', 'message bytes 200000', 'message 4', 'caught up'])
  t.equal(scene.budget.used, 0)
})

await t.test(
  '7692-6-utf8-after-inflate, 7692-7.2.2-corrupt-fails, 6455-10.4-inflated-limit: what fails',
  async (t) => {
    const short = new Scene({ maxSize: 100 })
    short.compressed(text, compress(Buffer.from([0xc3, 0x28])))
    short.compressed(binary, compress(Buffer.from([0xc3, 0x28])))
    short.compressed(text, Buffer.from([7]))
    short.compressed(text, compress('a'.repeat(101)))
    t.strictSame(short.lines, ['violation 1007', 'message bytes 2', 'violation 1007', 'violation 1009'])
    const badText = Buffer.concat([Buffer.from(tooLong), Buffer.from([0xff])])
    for (const [payload, line] of [
      [compress(badText), 'violation 1007'],
      [compress(noise(50_000)).subarray(0, -10), 'violation 1007'],
      [compress(Buffer.alloc(mebibyte + 1)), 'violation 1009'],
    ] as const) {
      const scene = new Scene()
      scene.compressed(text, payload)
      await scene.idle()
      t.strictSame(scene.lines, [line, 'caught up'])
      t.equal(scene.budget.used, 0)
    }
  },
)

await t.test('Z9: what is under way and what waits is charged; over the budget it is 1013', async (t) => {
  const full = new Scene({ limit: long.length - 1 })
  full.hook = () => full.inflation.stop()
  full.compressed(text, long)
  t.strictSame(full.lines, ['violation 1013'])
  t.equal(full.budget.used, 0)

  const almost = new Scene({ limit: long.length + 9 })
  almost.compressed(text, long)
  almost.inflation.message('0123456789')
  t.strictSame(almost.lines, ['violation 1013'])
  almost.inflation.stop()
  t.equal(almost.budget.used, 0)
  await turns(20)
  t.strictSame(almost.lines, ['violation 1013'])
})

await t.test('Z8: the window is left alone while a message is being decompressed with it', async (t) => {
  const one = new Inflater(15, false, mebibyte, new Allowance(() => 0))
  const sink = { message() {}, control() {}, violation() {}, fellBehind() {}, caughtUp() {} }
  const inflation = new Inflation(one, new Budget(mebibyte), sink)
  inflation.compressed(binary, [compress(textOf(40_000))], 1)
  await until(() => !inflation.busy)
  inflation.compressed(binary, [compress(noise(40_000))], 1)
  for (let beat = 0; beat < 20; beat++) inflation.beat()
  t.ok(inflation.busy)
  await offloadAtLeisure(() => Promise.resolve())
  t.equal(one.held, 36 * 1024)
  await until(() => !inflation.busy)
  inflation.compressed(binary, [compress(textOf(40_000))], 1)
  await until(() => !inflation.busy)
  for (let beat = 0; beat < 10; beat++) inflation.beat()
  await until(() => one.held < 16 * 1024)
})

await t.test('Z7: stopped at every step, nothing more comes out and nothing stays charged', async (t) => {
  const watch = watchProcess()
  const steps: readonly [name: string, act: (scene: Scene) => Promise<void> | void][] = [
    ['before anything', () => {}],
    ['with a long one under way', (scene) => scene.compressed(text, long)],
    [
      'with something behind it',
      (scene) => {
        scene.compressed(text, long)
        scene.compressed(text, long)
      },
    ],
    [
      'in the middle of zlib’s work',
      async (scene) => {
        scene.compressed(text, long)
        await turns(3)
      },
    ],
    [
      'from the message itself',
      async (scene) => {
        scene.hook = () => scene.inflation.stop()
        scene.compressed(text, long)
        scene.inflation.message('x')
        await turns(1)
      },
    ],
    [
      'when all is done',
      async (scene) => {
        scene.compressed(text, long)
        await scene.idle()
      },
    ],
  ]
  for (const [name, act] of steps) {
    const scene = new Scene()
    await act(scene)
    scene.inflation.stop()
    const seen = scene.lines.length
    t.equal(scene.budget.used, 0, name)
    await turns(50)
    t.equal(scene.lines.length, seen, `${name}: nothing more`)
    t.equal(scene.budget.used, 0)
    scene.inflation.stop()
    t.equal(scene.budget.used, 0, 'twice is once')
  }
  t.strictSame(await watch.stop(), [])
})
