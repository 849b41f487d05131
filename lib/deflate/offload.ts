/**
 * Large pieces of zlib's work go to the thread pool, a few at a time in the whole process: each may hold a message of
 * the greatest size, and the pool also serves the file system and DNS.
 */
import type { Buffer } from 'node:buffer'
import { deflateRaw, type ZlibOptions } from 'node:zlib'

const atOnce = 2
let running = 0
const waiting: (() => void)[] = []

/** Runs `work` when its turn has come. */
export async function offload<T>(work: () => Promise<T>): Promise<T> {
  if (running === atOnce) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}

let leisure: Promise<void> = Promise.resolve()

/** The same for what nobody waits for: one after the other, so that no more than one of them is in anybody's way. */
export function offloadAtLeisure(work: () => Promise<void>): Promise<void> {
  leisure = leisure.then(() => offload(work))
  return leisure
}

/** What comes out in the thread pool; undefined where there is no memory left for it. */
export function deflateInPool(input: Buffer, options: ZlibOptions): Promise<Buffer | undefined> {
  return new Promise<Buffer>((resolve, reject) => {
    deflateRaw(input, options, (error, result) => (error === null ? resolve(result) : reject(error)))
  }).catch(() => undefined)
}
