/** Chaos in a worker: the hooks of a test runner on every promise would take ten times as long as the messages. */
import { parentPort } from 'node:worker_threads'
import { chaos, type ChaosOptions } from './chaos.ts'
import { sabotages } from './sabotage.ts'

export interface ChaosTask extends Omit<ChaosOptions, 'sabotage' | 'onProgress'> {
  /** The bug to plant, as `sabotages` names it. */
  readonly bug?: string
}

Error.stackTraceLimit = 0 // Thousands of errors are made that nobody looks at.
// One at a time; undefined is the end.
parentPort?.on('message', async (task: ChaosTask | undefined) => {
  if (task === undefined) {
    parentPort?.close()
    return
  }
  const { bug, ...options } = task
  const sabotage = bug === undefined ? {} : { sabotage: sabotages[bug]! }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no other origin
  parentPort?.postMessage(await chaos({ ...options, ...sabotage }))
})
