import t from 'tap'
import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import * as fc from 'fast-check'
import { mask, maskBack, maskInto, viewOf } from '../../frames/mask.ts'
import { testProperty } from './property.ts'

const keys = [0, 1, 0x37fa213d, 0x80000001, 0xff000000, 0xffffffff, -2]

/** RFC 6455 section 5.3 to the letter, for a payload from byte `from` on. */
function plain(bytes: Uint8Array, key: number, from = 0): Uint8Array {
  const octets = [(key >>> 24) & 0xff, (key >>> 16) & 0xff, (key >>> 8) & 0xff, key & 0xff]
  return bytes.map((byte, index) => byte ^ octets[(from + index) % 4]!)
}

/** Bytes that begin at the given place of an aligned block, with other bytes around them. */
function place(length: number, alignment: number): Uint8Array {
  const block = new Uint8Array(new ArrayBuffer(length + alignment + 16))
  for (let at = 0; at < block.length; at++) block[at] = (at * 31 + 7) & 0xff
  return block
}

await t.test('6455-5.3-mask-algorithm: the example of the RFC', async (t) => {
  const bytes = Buffer.from('Hello')
  mask(bytes, 0, bytes.length, 0x37fa213d)
  t.equal(bytes.toString('hex'), '7f9f4d5158')
  mask(bytes, 0, bytes.length, 0x37fa213d)
  t.equal(bytes.toString(), 'Hello', '6455-5.3-unmask: the same again unmasks')
})

await t.test(
  '6455-5.3-mask-algorithm: lengths 0 to 300 at alignments 0 to 7, and nothing around them',
  async (t) => {
    for (const key of keys) {
      const wrong: string[] = []
      for (let alignment = 0; alignment < 8; alignment++) {
        for (let length = 0; length <= 300; length++) {
          const block = place(length, alignment)
          const wanted = Uint8Array.from(block)
          wanted.set(plain(block.subarray(alignment, alignment + length), key), alignment)
          const next = mask(block, alignment, alignment + length, key)
          const probe = new Uint8Array(4)
          mask(probe, 0, 4, next)
          if (Buffer.compare(block, wanted) !== 0) wrong.push(`bytes ${length}@${alignment}`)
          if (Buffer.compare(probe, plain(new Uint8Array(4), key, length)) !== 0)
            wrong.push(`key ${length}@${alignment}`)
        }
      }
      t.same(wrong, [], `key ${key}`)
    }
  },
)

await t.test('6455-5.3-unmask: the start counts from the view, not from its memory', async (t) => {
  const wrong: string[] = []
  for (let offset = 0; offset < 8; offset++) {
    for (let start = 0; start < 8; start++) {
      const block = place(200 + start, offset)
      const wanted = plain(block.subarray(offset + start, offset + start + 180), 0x01020304)
      const view = block.subarray(offset)
      mask(view, start, start + 180, 0x01020304)
      if (Buffer.compare(view.subarray(start, start + 180), wanted) !== 0) wrong.push(`${offset}+${start}`)
    }
  }
  t.same(wrong, [])
})

await t.test('6455-5.3-unmask: the key is carried over every cut in two', async (t) => {
  const wrong: string[] = []
  for (let alignment = 0; alignment < 4; alignment++) {
    for (const length of [1, 7, 64, 131, 300]) {
      for (let cut = 0; cut <= length; cut++) {
        const block = place(length, alignment)
        const wanted = plain(block.subarray(alignment, alignment + length), 0xa1b2c3d4)
        const key = mask(block, alignment, alignment + cut, 0xa1b2c3d4)
        mask(block, alignment + cut, alignment + length, key)
        if (Buffer.compare(block.subarray(alignment, alignment + length), wanted) !== 0) {
          wrong.push(`${cut} of ${length}@${alignment}`)
        }
      }
    }
  }
  t.same(wrong, [])
})

await t.test(
  '6455-5.3-unmask: where SIMD begins and ends, at every alignment, in place and to another place',
  async (t) => {
    const lengths = [127, 128, 1023, 1024, 1025, 1087, 1088, 4096, 16_383, 16_384, 16_385, 32_769, 100_003]
    const wrong: string[] = []
    for (const key of [0, 0x37fa213d, -2]) {
      for (const length of lengths) {
        for (let alignment = 0; alignment < 4; alignment++) {
          const source = place(length, alignment)
          const before = Uint8Array.from(source)
          const masked = plain(source.subarray(alignment, alignment + length), key)
          const at = 7 - alignment
          const target = place(length, 8)
          const wanted = Uint8Array.from(target)
          wanted.set(masked, at)
          const next = maskInto(source, alignment, alignment + length, target, at, key)
          if (Buffer.compare(source, before) !== 0) wrong.push(`source ${length}@${alignment}`)
          if (Buffer.compare(target, wanted) !== 0) wrong.push(`target ${length}@${alignment}`)
          before.set(masked, alignment)
          if (mask(source, alignment, alignment + length, key) !== next)
            wrong.push(`key ${length}@${alignment}`)
          if (Buffer.compare(source, before) !== 0) wrong.push(`in place ${length}@${alignment}`)
        }
      }
    }
    t.same(wrong, [])
  },
)

await t.test('6455-5.3-mask-algorithm: lengths 0 to 300 on the way to another place', async (t) => {
  const wrong: string[] = []
  for (const key of keys) {
    for (let length = 0; length <= 300; length++) {
      const source = place(length, 3)
      const before = Uint8Array.from(source)
      const target = new Uint8Array(length + 9).fill(0xa5)
      const wanted = Uint8Array.from(target)
      wanted.set(plain(source.subarray(3, 3 + length), key), 5)
      const next = maskInto(source, 3, 3 + length, target, 5, key)
      if (Buffer.compare(target, wanted) !== 0) wrong.push(`target ${length}, key ${key}`)
      if (Buffer.compare(source, before) !== 0) wrong.push(`source ${length}, key ${key}`)
      const probe = new Uint8Array(4)
      mask(probe, 0, 4, next)
      if (Buffer.compare(probe, plain(new Uint8Array(4), key, length)) !== 0)
        wrong.push(`key ${length}, ${key}`)
    }
  }
  t.same(wrong, [])
})

await t.test('6455-5.3-unmask: many short pieces share a view of their bytes', async (t) => {
  const wrong: string[] = []
  for (let length = 0; length <= 130; length++) {
    const bytes = place(3 * length, 5)
    const wanted = Uint8Array.from(bytes)
    wanted.set(plain(bytes.subarray(7, 7 + length), 0x0a0b0c0d), 7)
    const next = mask(bytes, 7, 7 + length, 0x0a0b0c0d, viewOf(bytes))
    if (Buffer.compare(bytes, wanted) !== 0) wrong.push(`${length}`)
    const [probe] = plain(new Uint8Array(1), next)
    if (probe !== plain(new Uint8Array(1), 0x0a0b0c0d, length)[0]) wrong.push(`key ${length}`)
  }
  t.same(wrong, [])
})

await testProperty(
  t,
  '6455-5.3-unmask: any number of pieces is masked as the whole is',
  fc.property(
    fc.integer({ min: -0x80000000, max: 0xffffffff }),
    fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 }),
    fc.nat(7),
    (key, pieces, alignment) => {
      const whole = Buffer.concat(pieces)
      const wanted = plain(whole, key)
      const bytes = Buffer.concat([new Uint8Array(alignment), whole]).subarray(alignment)
      let at = 0
      let rolling = key
      for (const piece of pieces) {
        rolling = mask(bytes, at, at + piece.length, rolling)
        at += piece.length
      }
      return bytes.equals(wanted)
    },
  ),
)

await t.test('6455-5.3-unmask: a megabyte', async (t) => {
  const bytes = Buffer.alloc(1 << 20, 'farewell')
  const wanted = plain(bytes, 0xdeadbeef)
  mask(bytes, 0, bytes.length, 0xdeadbeef)
  t.ok(bytes.equals(wanted))
})

await t.test('6455-5.3-unmask: long pieces where there is no WebAssembly', async (t) => {
  const program = `
    import { mask, maskInto } from ${JSON.stringify(new URL('../../frames/mask.js', import.meta.url).href)}
    const bytes = Buffer.alloc(5003, 'farewell')
    const into = Buffer.alloc(5010)
    const keys = [maskInto(bytes, 3, 5003, into, 5, 0x0a0b0c0d), mask(bytes, 3, 5003, 0x0a0b0c0d)]
    console.log(JSON.stringify({ keys, bytes: bytes.toString('hex'), into: into.toString('hex') }))`
  const args = ['--jitless', '--input-type=module', '-e', program]
  const { keys, bytes, into } = JSON.parse(
    execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  )
  const whole = Buffer.alloc(5003, 'farewell')
  const masked = plain(whole.subarray(3), 0x0a0b0c0d)
  t.equal(bytes, Buffer.concat([whole.subarray(0, 3), masked]).toString('hex'))
  t.equal(into, Buffer.concat([Buffer.alloc(5), masked, Buffer.alloc(5)]).toString('hex'))
  t.strictSame(keys, [0x0a0b0c0d, 0x0a0b0c0d])
})

await t.test(
  'SIMD is used from 1024 bytes on, a view from 128 bytes on, and neither for nothing',
  async (t) => {
    const program = `
    const { Module, Instance } = WebAssembly
    let rounds = 0
    let views = 0
    globalThis.WebAssembly = {
      Module,
      Instance: class {
        constructor(module) {
          const { m, x } = new Instance(module).exports
          const counted = (start, end, word) => {
            rounds++
            x(start, end, word)
          }
          this.exports = { m, x: counted }
        }
      },
    }
    globalThis.DataView = class extends DataView {
      constructor(...place) {
        super(...place)
        views++
      }
    }
    const { mask, maskInto, viewOf } = await import(${JSON.stringify(new URL('../../frames/mask.js', import.meta.url).href)})
    const bytes = new Uint8Array(131_073)
    const target = new Uint8Array(131_073)
    const shared = viewOf(bytes)
    const count = (act) => {
      rounds = 0
      views = 0
      act()
      return [rounds, views]
    }
    const of = (length, key) => ({
      inPlace: count(() => mask(bytes, 0, length, key)),
      shared: count(() => mask(bytes, 0, length, key, shared)),
      into: count(() => maskInto(bytes, 0, length, target, 0, key)),
    })
    const found = [127, 128, 1023, 1024, 16_384, 16_385, 131_072].map((length) => [length, of(length, 0x0a0b0c0d)])
    console.log(JSON.stringify([...found, ['no key', of(4096, 0)]]))`
    const found = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
    /** Calls of the kernel, and views that were made. */
    const each = (rounds: number, views = 0): object => ({
      inPlace: [rounds, views],
      shared: [rounds, 0],
      into: [rounds, views],
    })
    t.strictSame(JSON.parse(found), [
      [127, each(0)],
      [128, each(0, 1)],
      [1023, each(0, 1)],
      [1024, each(1)],
      [16_384, each(1)],
      [16_385, each(2)],
      [131_072, each(8)],
      ['no key', each(0)],
    ])
  },
)

await t.test(
  '6455-5.3-mask-algorithm: lengths 0 to 125 to places 1 to 20 bytes before, and nothing around them',
  async (t) => {
    for (const key of keys) {
      const wrong: string[] = []
      for (let length = 0; length <= 125; length++) {
        for (let shift = 1; shift <= 20; shift++) {
          const block = place(length, shift + 3)
          const start = shift + 3
          const wanted = Uint8Array.from(block)
          wanted.set(plain(block.subarray(start, start + length), key), start - shift)
          maskBack(viewOf(block), start, start + length, start - shift, key)
          if (Buffer.compare(block, wanted) !== 0) wrong.push(`${length}, ${shift} back`)
        }
      }
      t.same(wrong, [], `key ${key}`)
    }
  },
)
