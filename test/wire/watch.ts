/** What nobody is meant to see of a suite: escaped errors, warnings, handles that are left. */
import type { Test } from 'tap'
import { turns } from '../help/loop.ts'

export interface Watch {
  /** Warnings that a test expects are its to take out. */
  readonly warnings: Error[]
  /** For the last test of a file: fails when anything escaped or was left. */
  check(t: Test): Promise<void>
}

export function watchProcess(): Watch {
  const warnings: Error[] = []
  const escaped: unknown[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  const onEscape = (error: unknown): void => void escaped.push(error)
  const before = handles()
  process.on('warning', onWarning)
  process.on('uncaughtException', onEscape)
  process.on('unhandledRejection', onEscape)
  return {
    warnings,
    async check(t) {
      await turns(5)
      process.off('warning', onWarning)
      process.off('uncaughtException', onEscape)
      process.off('unhandledRejection', onEscape)
      t.strictSame(escaped, [], 'no uncaught exception, no unhandled rejection')
      t.strictSame(warnings, [], 'no warning')
      t.strictSame(handles(), before, 'no handle is left')
    },
  }
}

/** The sockets, servers and timers that the event loop waits for. */
function handles(): string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /TCP|TLS|PipeServer|Timeout/.test(name))
    .toSorted()
}
