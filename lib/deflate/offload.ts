/**
 * Large pieces of zlib's work go to the thread pool, a few at a time in the whole process: each may hold a message of
 * the greatest size, and the pool also serves the file system and DNS.
 */

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
