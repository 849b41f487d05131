import t from 'tap'
import { Buffer } from 'node:buffer'
import { loadKernel } from '../../frames/simd.ts'

const engine: unknown = Reflect.get(globalThis, 'WebAssembly')

await t.test(
  '6455-5.3-mask-algorithm: whole rounds of 64 bytes are masked, and nothing behind them',
  async (t) => {
    const kernel = loadKernel(engine)
    t.ok(kernel, 'Node has WebAssembly')
    if (kernel === undefined) return
    const { memory } = kernel
    t.equal(memory.length, 16_384)
    const [word] = new Int32Array(Uint8Array.of(0x37, 0xfa, 0x21, 0x3d).buffer)
    for (const [start, end] of [
      [0, 64],
      [0, 1],
      [64, 130],
      [16_320, 16_384],
      [0, 16_384],
    ] as const) {
      memory.forEach((_, at) => (memory[at] = at * 31 + 7))
      const wanted = memory.map((byte, at) => {
        const masked = at >= start && at < start + 64 * Math.ceil((end - start) / 64)
        return masked ? byte ^ [0x37, 0xfa, 0x21, 0x3d][at % 4]! : byte
      })
      kernel.xor(start, end, word!)
      t.equal(Buffer.compare(memory, wanted), 0, `${start} to ${end}`)
    }
  },
)

await t.test('without WebAssembly there is no kernel, and no error', async (t) => {
  t.equal(loadKernel(undefined), undefined, '--jitless')
  const noMemory = (): never => {
    throw new RangeError('WebAssembly.Instance(): out of memory')
  }
  t.equal(loadKernel({ Module: Object, Instance: noMemory }), undefined)
})
