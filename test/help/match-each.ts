/** `t.match` on a list does not mind elements beyond those of the pattern; this does. */
import type { Test } from 'tap'

export function matchEach(t: Test, found: readonly unknown[], patterns: readonly unknown[]): void {
  t.equal(found.length, patterns.length, 'so many and no more')
  t.match(found, patterns)
}
