// npm run mutate [files]: mutates frames/ and the close machine, and compares what survives with survivors.json. Each
// file has only its own tests to kill its mutants with: what it leaves to the tests of others it does not test.
import { Stryker } from '@stryker-mutator/core'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const frames = 'opcode close-code violation header rules simd mask utf8 close-payload encoder decoder'
const closing = 'close-info closing lifecycle'
const every = [
  ...frames.split(' ').map((name) => `frames/${name}.ts`),
  ...closing.split(' ').map((name) => `lib/${name}.ts`),
]
const leastScore = 90

process.chdir(root)
// The property tests are to try the same on every mutant.
process.env.FC_SEED ??= '6455'
const files = process.argv.length > 2 ? process.argv.slice(2) : every
const known = JSON.parse(readFileSync(new URL('survivors.json', import.meta.url), 'utf8'))

/** Mutates one file; its mutants with what became of each. */
function mutate(file) {
  const stryker = new Stryker({
    plugins: ['@stryker-mutator/tap-runner'],
    testRunner: 'tap',
    tap: { testFiles: [`.build/test/${file.replace(/ts$/, 'test.js')}`] },
    mutate: [file],
    buildCommand: 'tsc -p test/mutation/tsconfig.json',
    // In the sandbox node_modules is found further up; its TypeScript is not one that Stryker knows.
    tempDirName: 'test/mutation/.build',
    symlinkNodeModules: false,
    tsconfigFile: 'none',
    ignorePatterns: [
      '*',
      '!frames/**',
      '!lib/**',
      '!test/**',
      '!tsconfig.json',
      '!package.json',
      '**/node_modules',
      '**/.build',
    ],
    concurrency: 2,
    // A loop without an end is found by counting. This is for a machine that is busy.
    timeoutMS: 60_000,
    logLevel: 'error',
    clearTextReporter: { reportMutants: false, reportTests: false, reportScoreTable: false },
    reporters: ['clear-text'],
    allowConsoleColors: false,
  })
  return stryker.runMutationTest()
}

/** The mutated code and what stands in its place, which stay the same when the lines around them move. */
function describe({ mutatorName, location, replacement }, source) {
  const { start, end } = location
  const lines = source.split('\n').slice(start.line - 1, end.line)
  const line = lines[0].trim()
  const last = lines.length - 1
  lines[last] = lines[last].slice(0, end.column - 1)
  lines[0] = lines[0].slice(start.column - 1)
  const words = (text) => text.replaceAll(/\s+/g, ' ').trim()
  return { mutator: mutatorName, line, code: words(lines.join('\n')), replacement: words(replacement) }
}

const keyOf = ({ line, code, replacement }) => JSON.stringify([line, code, replacement])
const survives = ({ status }) => status === 'Survived' || status === 'NoCoverage'
const isKilled = ({ status }) => status === 'Killed' || status === 'Timeout'

let killed = 0
let valid = 0
let good = true
for (const file of files) {
  const source = readFileSync(file, 'utf8')
  const mutants = await mutate(file)
  const survivors = mutants.filter(survives)
  const dead = mutants.filter(isKilled)
  killed += dead.length
  valid += dead.length + survivors.length
  const timeouts = dead.filter(({ status }) => status === 'Timeout').length
  const errors = mutants.length - dead.length - survivors.length
  const notes = [
    ...(timeouts > 0 ? [`${timeouts} of them by time`] : []),
    ...(errors > 0 ? [`${errors} do not load`] : []),
  ]
  console.log(`${file}: ${dead.length} killed, ${survivors.length} survive ${notes.join(', ')}`.trim())

  const expected = new Set((known[file] ?? []).map(keyOf))
  const found = new Set(survivors.map((mutant) => keyOf(describe(mutant, source))))
  for (const mutant of survivors) {
    const survivor = describe(mutant, source)
    if (expected.has(keyOf(survivor))) continue
    good = false
    console.log(`  NEW, line ${mutant.location.start.line}: ${JSON.stringify(survivor)}`)
  }
  for (const key of expected) {
    if (found.has(key)) continue
    good = false
    console.log(`  DEAD, take it off the list: ${key}`)
  }
}
const score = (100 * killed) / valid
console.log(`${killed} of ${valid} mutants killed: ${score.toFixed(1)} %`)
if (!good || score < leastScore) process.exitCode = 1
