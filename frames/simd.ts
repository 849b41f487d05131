/**
 * XOR with SIMD, 64 bytes a round: the one thing that JavaScript cannot do at the speed of memory. A few lines of
 * WebAssembly, assembled by hand, work on a memory of their own; with the copies in and out they take less time than
 * the loop over an Int32Array from 1 KiB on, and half of it from 4 KiB on.
 */

const i32 = 0x7f
const v128 = 0x7b
const end = 0x0b

function section(id: number, ...bytes: readonly number[]): readonly number[] {
  return [id, bytes.length, ...bytes]
}

/** `memory[at] ^= word` for the 16 bytes at the pointer and `offset`. */
function xor(offset: number): readonly number[] {
  return [
    [0x20, 0], // local.get $at, the address of the store
    [0x20, 0, 0xfd, 0x00, 4, offset], // local.get $at, v128.load
    [0x20, 3, 0xfd, 0x51], // local.get $word, v128.xor
    [0xfd, 0x0b, 4, offset], // v128.store
  ].flat()
}

/** (func (param $at i32) (param $end i32) (param $key i32) (local $word v128)) */
const code: readonly number[] = [
  [1, 1, v128], // one local
  [0x20, 2, 0xfd, 0x11, 0x21, 3], // $word = i32x4.splat($key)
  [0x03, 0x40], // loop
  [0, 16, 32, 48].flatMap(xor),
  [0x20, 0, 0x41, 0xc0, 0x00, 0x6a, 0x22, 0], // $at += 64
  [0x20, 1, 0x49, 0x0d, 0], // br_if $at < $end
  [end, end],
].flat()

const binary = Uint8Array.from(
  [
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
    section(1, 1, 0x60, 3, i32, i32, i32, 0), // one type
    section(3, 1, 0), // one function
    section(5, 1, 0, 1), // one memory of one page
    section(7, 2, 1, 0x6d, 2, 0, 1, 0x78, 0, 0), // exports: memory "m", function "x"
    section(10, 1, code.length, ...code),
  ].flat(),
)

/** What is used of WebAssembly; its types are the DOM's, and `--jitless` has none. */
interface Engine {
  readonly Module: new (binary: Uint8Array) => object
  readonly Instance: new (module: object) => {
    readonly exports: { readonly m: { readonly buffer: ArrayBuffer }; readonly x: Kernel['xor'] }
  }
}

/** Of the memory's 64 KiB, as much as stays in the cache next to the processor between the copies: a fifth to a third less time. */
const tileSize = 16 * 1024

export interface Kernel {
  /** 16 KiB to work on. */
  readonly memory: Uint8Array
  /** XORs bytes `start` to `end` of the memory, in whole rounds of 64, with the four bytes of `word` as they lie in memory. */
  readonly xor: (start: number, end: number, word: number) => void
}

/** The kernel, or undefined where there is no WebAssembly with SIMD or no address space for it. */
export function loadKernel(engine: unknown): Kernel | undefined {
  try {
    const { Module, Instance } = engine as Engine
    const { m, x } = new Instance(new Module(binary)).exports
    return { memory: new Uint8Array(m.buffer, 0, tileSize), xor: x }
  } catch {
    return undefined
  }
}
