/** Turns of the event loop: for tests that have to see that nothing more happens. */

/** Waits for so many turns. A chunk crosses a memory pair in one. */
export async function turns(count = 1): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => void setImmediate(resolve))
}

/** Waits turn by turn until that is so. */
export async function until(done: () => boolean): Promise<void> {
  while (!done()) await turns()
}

/** Records what would have ended the process or been printed, until `stop` gives it back. */
export function watchProcess(): { stop(): Promise<unknown[]> } {
  const seen: unknown[] = []
  const record = (what: unknown): void => void seen.push(what)
  const events = ['uncaughtException', 'unhandledRejection', 'warning'] as const
  for (const event of events) process.on(event, record)
  return {
    async stop() {
      // An unhandled rejection is noticed when the microtasks of its turn have run, a warning told of one tick later.
      await turns(2)
      for (const event of events) process.off(event, record)
      return seen
    },
  }
}
