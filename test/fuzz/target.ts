/**
 * What a fuzzer runs: targets that take any bytes, and the loop, the shrinking and the report around them. An input
 * is nothing but bytes, so that all targets share one corpus, one way to shrink and one way to replay.
 */
import { Buffer } from 'node:buffer'
import { Random } from './random.ts'

export interface Target {
  readonly name: string
  /** A new input; the same for the same numbers and the same corpus. */
  generate(random: Random, corpus: readonly Uint8Array[]): Uint8Array
  /** What is wrong with what the input led to; undefined when all is well. */
  check(input: Uint8Array): string | undefined
}

export interface Failure {
  readonly target: Target
  readonly problem: string
  readonly input: Uint8Array
  /** The smallest part of the input that was found to fail too, and how it fails. */
  readonly shrunk: Uint8Array
  readonly shrunkProblem: string
}

/** The input number `index` of a target. */
export function makeInput(
  target: Target,
  seed: number,
  index: number,
  corpus: readonly Uint8Array[],
): Uint8Array {
  return target.generate(new Random(seed, target.name, index), corpus)
}

/** Checks one input; what is thrown is a problem too. */
export function problemOf(target: Target, input: Uint8Array): string | undefined {
  try {
    return target.check(Uint8Array.from(input))
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}

/** Checks one input and, where it fails, shrinks it. */
export function tryInput(target: Target, input: Uint8Array): Failure | undefined {
  const problem = problemOf(target, input)
  if (problem === undefined) return undefined
  const shrunk = shrink(target, input)
  return { target, problem, input, shrunk, shrunkProblem: problemOf(target, shrunk) ?? problem }
}

/**
 * Takes out chunks, large ones first, for as long as the input goes on failing, and again for as long as that gets
 * anywhere; from a short input chunks of every size, because a frame must go as a whole. Then sets bytes to 0.
 */
export function shrink(target: Target, input: Uint8Array): Uint8Array {
  let best = input
  let tries = 6000
  const take = (candidate: Uint8Array): boolean => {
    if (tries-- <= 0 || problemOf(target, candidate) === undefined) return false
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
        if (!take(Buffer.concat([best.subarray(0, at), best.subarray(at + size)]))) at += step
      }
    }
  } while (best.length < before && tries > 0)
  for (let at = 0; at < best.length; at++) {
    if (best[at] !== 0) take(best.map((byte, index) => (index === at ? 0 : byte)))
  }
  return best
}

/** The report of a failure, with the commands that show it again. */
export function describe({ target, problem, input, shrunk, shrunkProblem }: Failure, replay: string): string {
  const run = 'node .build/test/fuzz/run.js'
  const hex = Buffer.from(shrunk).toString('hex')
  return [
    `FAILED ${target.name}: ${problem}`,
    `input, ${input.length} bytes: ${Buffer.from(input).toString('hex')}`,
    `shrunk to ${shrunk.length} bytes: ${hex}`,
    `  which says: ${shrunkProblem}`,
    `replay:     ${run} ${replay}`,
    `shrunk one: ${run} --target ${target.name} --hex ${hex}`,
    `keep it:    ${run} --add NAME --hex ${hex}`,
  ].join('\n')
}
