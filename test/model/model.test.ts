import t from 'tap'
import { configurations } from './configurations.ts'
import { explore } from './explore.ts'
import { invariants, shipped } from './model.ts'
import { mutants } from './mutants.ts'

// Everything that can happen to two machines and the wire between them. See model.ts for the theory.

// About 20 seconds of work; a busy machine takes longer.
const PATIENCE = 180_000
t.setTimeout(PATIENCE)

/** The cells of a connection that is open or closing; the model begins behind the opening handshake. */
const states = ['open', 'close-sent', 'close-received', 'close-done', 'failing'] as const
const events = [
  'local-close',
  'close-received',
  'close-flushed',
  'peer-fin',
  'violation',
  'keepalive-timeout',
  'socket-error',
  'deadline',
  'linger',
  'terminate',
  'socket-closed',
] as const

const met = new Set<string>()

t.test('the promise holds in every world that can be reached', (t) => {
  t.setTimeout(PATIENCE)
  for (const [name, configuration] of Object.entries(configurations)) {
    const start = performance.now()
    const { worlds, steps, broken, cells } = explore(shipped, configuration)
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    t.comment(`${name}: ${worlds} worlds, ${steps} steps, ${seconds} s`)
    t.strictSame(Object.fromEntries(broken), {}, name)
    for (const cell of cells) met.add(cell)
  }
  t.end()
})

t.test('every cell of the table has been met, but for those that cannot be', (t) => {
  const missed = states
    .flatMap((state) => events.map((event) => `${state} ${event}`))
    .filter((cell) => !met.has(cell))
  t.strictSame(missed, [
    'open close-flushed', // No Close is queued,
    'open deadline', // and no timer runs.
    'open linger',
    'close-sent linger',
    'close-received close-flushed',
    'close-received linger',
  ])
  t.end()
})

t.test('every mutant is caught', (t) => {
  t.setTimeout(PATIENCE)
  for (const { name, machine, where, breaks } of mutants) {
    const { broken } = explore(machine, configurations[where], true)
    t.ok(broken.has(breaks), `${name}: ${breaks}, ${invariants[breaks]}`, {
      broken: Object.fromEntries(broken),
    })
    t.comment(broken.get(breaks)?.join('; '))
  }
  t.end()
})

t.test('every invariant catches a mutant', (t) => {
  const caught = new Set<string>(mutants.map(({ breaks }) => breaks))
  t.strictSame(
    Object.keys(invariants).filter((invariant) => !caught.has(invariant)),
    [],
  )
  t.end()
})
