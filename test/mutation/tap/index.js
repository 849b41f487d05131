/**
 * As much of tap as the tests of frames/ and the close machine use: to load the real one takes longer than most of these
 * tests, and they are run a thousand times. The first failure ends the process.
 */
import assert from 'node:assert'

function fail(why) {
  process.stderr.write(`${why}\n`)
  process.exit(1)
}

/** What tap calls a match: as much of the value as the pattern asks for. */
function matches(value, pattern) {
  if (pattern instanceof RegExp) return pattern.test(String(value))
  if (pattern instanceof Error) return value.name === pattern.name && value.message === pattern.message
  if (typeof pattern === 'string' && typeof value === 'string') return value.includes(pattern)
  if (typeof pattern === 'function' && pattern.prototype !== undefined && typeof value === 'object')
    return value instanceof pattern
  if (typeof pattern !== 'object' || pattern === null) return Object.is(value, pattern)
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(pattern).every(([key, each]) => matches(value[key], each))
}

function holds(check) {
  try {
    check()
    return true
  } catch {
    return false
  }
}

class Test {
  #last = Promise.resolve()

  /** Runs it behind the tests before. */
  test(name, ...rest) {
    const run = rest.at(-1)
    pending++
    this.#last = this.#last.then(async () => {
      const t = new Test()
      try {
        await run(t)
        await t.#last
      } catch (error) {
        fail(`${name}: ${String(error)}`)
      }
      pending--
    })
    return this.#last
  }

  equal = (found, wanted) => this.ok(Object.is(found, wanted) || found === wanted, found)
  not = (found, other) => this.ok(!Object.is(found, other), found)
  same = (found, wanted) =>
    this.ok(
      holds(() => assert.deepEqual(found, wanted)),
      'not the same',
    )
  strictSame = (found, wanted) =>
    this.ok(
      holds(() => assert.deepStrictEqual(found, wanted)),
      'not the same',
    )
  match = (found, pattern) => this.ok(matches(found, pattern), 'no match')
  notMatch = (found, pattern) => this.ok(!matches(found, pattern), 'a match')
  notHas = (found, pattern) => this.ok(!matches(found, pattern), 'has it')
  doesNotThrow = (act) => this.ok(holds(act), 'throws')
  notOk = (value) => this.ok(!value, value)
  fail = (why) => fail(why)
  pass() {}
  end() {}
  comment() {}
  setTimeout() {}

  ok(value, why = value) {
    if (!value) fail(why)
  }

  throws(act, expected) {
    try {
      act()
    } catch (error) {
      const right =
        typeof expected === 'function' ? error instanceof expected : matches(error, expected ?? {})
      return this.ok(right, error)
    }
    return fail('does not throw')
  }
}

let pending = 0
process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
process.on('beforeExit', () => {
  if (pending > 0) fail('a test does not end')
})

const t = new Test()
export default t
