/** A peer that is not on this machine. In CI that is a failure; elsewhere the matrix says so. */
import { appendFileSync } from 'node:fs'
import process from 'node:process'
import type { Test } from 'tap'

export function absent(t: Test, peer: string, why: string): void {
  const file = process.env['INTEROP_RESULTS']
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ peer, skipped: why })}\n`)
  if (process.env['CI']) t.fail(`${peer}: ${why}; the CI image has to have it`)
  else t.pass(`${peer} is skipped: ${why}`, { skip: true })
}
