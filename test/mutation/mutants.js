/**
 * The mutants of one source file. Stryker's instrumenter puts all of them into it at once, each behind a condition; here
 * they are taken out again but for one, so that a mutant runs as fast as the code that it changes.
 */
import { createInstrumenter } from '@stryker-mutator/instrumenter'
import { createInjector } from 'typed-inject'

const noLog = () => {}
const log = { isDebugEnabled: () => false, debug: noLog, info: noLog, warn: console.warn }
const instrumenter = createInjector().provideValue('logger', log).injectFunction(createInstrumenter)

/** The source with every mutant in it, still TypeScript, and the mutants in the order of their numbers. */
export async function instrument(file, source) {
  const options = { plugins: null, ignorers: [], excludedMutations: [] }
  const { files, mutants } = await instrumenter.instrument(
    [{ name: file, mutate: true, content: source }],
    options,
  )
  return { content: files[0].content, mutants: mutants.map((mutant) => describe(mutant, source)) }
}

/** The compiled code with only that mutant in it; with none for undefined. */
export function choose(code, id) {
  return code
    .replaceAll(/stryMutAct_9fa48\("(\d+)"\)/g, (_, number) => String(number === id))
    .replaceAll(/stryCov_9fa48\("[\d", ]+\)/g, '0')
}

/** A mutant by the code that it changes and what stands in its place, which stay the same when the lines around them move. */
function describe({ id, location, replacement }, source) {
  const { start, end } = location
  const lines = source.split('\n').slice(start.line, end.line + 1)
  const line = lines[0].trim()
  const last = lines.length - 1
  lines[last] = lines[last].slice(0, end.column)
  lines[0] = lines[0].slice(start.column)
  return { id, at: start.line + 1, line, code: words(lines.join('\n')), replacement: words(replacement) }
}

function words(text) {
  return text.replaceAll(/\s+/g, ' ').trim()
}
