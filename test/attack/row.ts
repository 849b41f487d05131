/** One row of the attack matrix: what a hostile peer or a failing network does, and what must come of it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Ledger } from './ledger.ts'

export interface Row {
  /** A letter and a number, such as F5. */
  readonly id: string
  readonly attack: string
  /** Quick, and judged by sizes and counts that no load on the machine changes: run by `npm test` too. */
  readonly cheap?: true
  readonly run: (ledger: Ledger) => Promise<void>
}

/**
 * Tests that stand for the row: those of that file with a title like this are run, and must pass; a list has one such
 * expression for each level of nested tests. `settings` are variables of the environment that the tests look at.
 */
export async function prove(
  ledger: Ledger,
  file: string,
  titles: RegExp | readonly RegExp[],
  settings: Readonly<Record<string, string>> = {},
): Promise<void> {
  if (ledger.quick) return // `npm test` runs them itself.
  const program = fileURLToPath(new URL(`../${file}.test.js`, import.meta.url))
  // As tap would run it: a test may put something else in the place of a module.
  const mock = import.meta.resolve('@tapjs/mock/import')
  const child = spawn(process.execPath, ['--import', mock, program], {
    env: { ...process.env, ...settings, TAP_GREP: [titles].flat().join('\n'), TAP_TIMEOUT: '600' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, 'close')])
  const passed = Number(/^# \{[^}]*\bpass: (\d+)/m.exec(output)?.[1] ?? 0)
  if (status !== 0) console.error(output)
  ledger.must(
    `${passed} assertions of test/${file}.test.ts, ${[titles].flat().join(' ')}`,
    status === 0 && passed > 0,
  )
}
