/** Property tests with a seed that is shown and that `FC_SEED` replays. */
import { randomInt } from 'node:crypto'
import { env } from 'node:process'
import * as fc from 'fast-check'
import type { Test } from 'tap'

const seed = env['FC_SEED'] === undefined ? randomInt(0x7fffffff) : Number(env['FC_SEED'])

/** Runs a property as a test of its own. Where it fails, fast-check shows the smallest input that it found. */
export async function testProperty<Input>(
  t: Test,
  title: string,
  property: fc.IProperty<Input>,
  numRuns = 300,
): Promise<void> {
  await t.test(title, async (t) => {
    t.comment(`FC_SEED=${seed} replays`)
    fc.assert(property, { seed, numRuns })
    t.pass(`${numRuns} runs`)
  })
}

/**
 * Any text of up to `maxLength` characters, lone surrogates left out. fast-check's own `unit: 'binary'` takes seconds
 * to set up.
 */
export function anyText(maxLength: number): fc.Arbitrary<string> {
  const character = fc.oneof(
    fc.integer({ min: 0, max: 0x7f }),
    fc.integer({ min: 0x80, max: 0x7ff }),
    fc.integer({ min: 0x800, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0x10ffff }),
  )
  return fc.array(character, { maxLength }).map((characters) => String.fromCodePoint(...characters))
}
