/**
 * What a fuzzer runs: targets that take any bytes, and the shrinking and the report around them. An input is nothing
 * but bytes, so that all targets share one way to keep, to shrink and to replay them.
 */
import { Buffer } from 'node:buffer'
import { Random } from './random.ts'

export interface Target {
  readonly name: string
  /** The folder of the corpus with inputs for it; targets that read bytes alike share one. */
  readonly corpus: string
  /** Why it cannot run here; undefined where it can. */
  readonly missing?: string
  /** What is to be told at the end of a run that met no failure. */
  remarks?(): string[]
  /** A new input; the same for the same numbers and the same corpus. */
  generate(random: Random, corpus: readonly Uint8Array[]): Uint8Array
  /** What is wrong with what the input led to; undefined when all is well. */
  check(input: Uint8Array): string | undefined | Promise<string | undefined>
}

export interface Failure {
  readonly target: Target
  readonly problem: string
  readonly input: Uint8Array
  /** The smallest part of the input that was found to fail too, and how it fails. */
  readonly shrunk: Uint8Array
  readonly shrunkProblem: string
}

/** How long a failure may be shrunk, in ms. */
const shrinkTime = 10_000

/** The input number `index` of a target. */
export function makeInput(
  target: Target,
  seed: number,
  index: number,
  corpus: readonly Uint8Array[],
): Uint8Array {
  return target.generate(new Random(seed, target.name, index), corpus)
}

/** Checks one input; what is thrown is a problem too. A promise only where the target needs one, for the sake of speed. */
export function problemOf(
  target: Target,
  input: Uint8Array,
): string | undefined | Promise<string | undefined> {
  try {
    const problem = target.check(input)
    return problem instanceof Promise ? problem.catch(told) : problem
  } catch (error) {
    return told(error)
  }
}

/** Shrinks an input that fails. */
export async function failureOf(target: Target, input: Uint8Array, problem: string): Promise<Failure> {
  const shrunk = await shrink(target, input)
  return { target, problem, input, shrunk, shrunkProblem: (await problemOf(target, shrunk)) ?? problem }
}

/**
 * Takes out chunks, large ones first, for as long as the input goes on failing, and again for as long as that gets
 * anywhere; from a short input chunks of every size, because a frame must go as a whole. Then sets bytes to 0.
 */
async function shrink(target: Target, input: Uint8Array): Promise<Uint8Array> {
  let best = input
  let tries = 6000
  const end = performance.now() + shrinkTime
  const take = async (candidate: Uint8Array): Promise<boolean> => {
    if (tries-- <= 0 || performance.now() > end || (await problemOf(target, candidate)) === undefined)
      return false
    best = candidate
    return true
  }
  let before: number
  do {
    before = best.length
    const everySize = best.length < 200
    for (let size = best.length >> 1; size > 0; size = everySize && size <= 32 ? size - 1 : size >> 1) {
      const step = everySize ? 1 : Math.ceil(size / 2)
      for (let at = 0; at + size <= best.length;) {
        if (!(await take(Buffer.concat([best.subarray(0, at), best.subarray(at + size)])))) at += step
      }
    }
  } while (best.length < before && tries > 0)
  for (let at = 0; at < best.length; at++) {
    if (best[at] !== 0) await take(best.map((byte, index) => (index === at ? 0 : byte)))
  }
  return best
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
