/** Which tests name which requirement, and the page that shows it. */
import { readdirSync, readFileSync } from 'node:fs'
import { vectors } from '../vectors/vectors.ts'
import { exemptions, folder, type Requirement, requirements, type Section } from './requirements.ts'

/** A place that names a requirement: the title of a test, or of the table that tests are made from. */
export interface Naming {
  readonly id: string
  /** From test/ on. */
  readonly file: string
  readonly title: string
}

/** A requirement's id, or what was meant as one; a regular expression for titles names none. */
const anId = /(?<![\w.-])(?:6455|7692|3629|9110|9112|6585|iana)-\w(?:[\w.-]*\w)?(?![\w\\])/g

const aText = /^(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`)/

/** How the title of a test or a scenario begins. */
const aTitle = /(?:\btest\(|\btitle:)\s*(?=['"`])/g

/** What a source of tests names, in the order of its lines. */
export function namingsOf(file: string, source: string): Naming[] {
  // A declaration or statement of its own begins at the margin, and what is inside one is indented.
  return source.split(/\n(?=[\w/])/).flatMap((chunk) => {
    const titles = [...chunk.matchAll(aTitle)].map((match) => match.index + match[0].length)
    return [...chunk.matchAll(anId)].flatMap(({ 0: id, index }) => {
      // The title that it stands in or behind: that of its test.
      const at = titles.findLast((each) => each <= index)
      const title = at === undefined ? titleOfTable(chunk) : textAt(chunk, at)
      return title === undefined ? [] : [{ id, file, title }]
    })
  })
}

/** Outside of every test: a table that tests are made from. */
function titleOfTable(chunk: string): string | undefined {
  const name = /^(?:export )?const (\w+)/.exec(chunk)?.[1]
  return name === undefined ? undefined : `table ${name}`
}

/** The string that begins there, without its quotes. */
function textAt(source: string, at: number): string | undefined {
  const text = aText.exec(source.slice(at))?.[0]
  return text?.slice(1, -1).replaceAll(/\\(['"`\\])/g, '$1')
}

/** All that the tests and the vectors name. */
export function namings(): Naming[] {
  const tests = new URL('../', folder)
  const files = readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => /^(?!.*node_modules\/|.*\.build\/|help\/|project\/|requirements\/).*\.ts$/.test(file))
    .toSorted()
  const named = files.flatMap((file) => namingsOf(file, readFileSync(new URL(file, tests), 'utf8')))
  const played = [...vectors.vectors, ...vectors.encode].flatMap(({ id, req }) =>
    // A few are of the WHATWG's standard.
    req
      .filter((each) => !each.startsWith('whatwg-'))
      .map((each) => ({ id: each, file: 'vectors/vectors.json', title: id })),
  )
  return [...named, ...played]
}

/** What is wrong with the tests or the lists, a line for each. */
export function complaints(all: readonly Naming[] = namings()): string[] {
  const known = new Map(requirements.flatMap(({ rows }) => rows).map((row) => [row.id, row]))
  const named = new Set(all.map(({ id }) => id))
  const notOurs = new Set(exemptions.notOurs.map(({ id }) => id))
  const left = new Set(exemptions.left.map(({ id }) => id))
  const exempt = [...notOurs, ...left]
  return [
    ...all
      .filter(({ id }) => !known.has(id))
      .map(({ id, file }) => `${file} names ${id}, which does not exist`),
    ...exempt.filter((id) => !known.has(id)).map((id) => `untested.md names ${id}, which does not exist`),
    ...exempt.filter((id) => named.has(id)).map((id) => `${id} is in untested.md and has a test`),
    ...[...known.values()]
      .filter(({ id }) => !named.has(id) && !notOurs.has(id))
      .filter(({ id, level }) => level.startsWith('MUST') || !left.has(id))
      .map(({ id, level }) => `${id} (${level}) has no test${left.has(id) ? '' : ' and no reason'}`),
  ]
}

/** TRACEABILITY.md. */
export function page(all: readonly Naming[] = namings()): string {
  const reasons = new Map([...exemptions.notOurs, ...exemptions.left].map(({ id, reason }) => [id, reason]))
  const tests = groups(all, ({ id }) => id)
  const count = requirements.flatMap(({ rows }) => rows)
  const covered = count.filter(({ id }) => tests.has(id)).length
  const row = ({ id, level }: Requirement): string => {
    const proof = tests.has(id) ? testsCell(tests.get(id) ?? []) : `_${reasons.get(id) ?? 'nothing'}_`
    return `| ${id} | ${level} | ${proof} |\n`
  }
  const section = ({ title, rows }: Section<Requirement>): string =>
    `## ${title}\n\n| id | level | tests |\n|---|---|---|\n${rows.map(row).join('')}`
  return `# Traceability

Each requirement and the tests that name it; in italics why there is none. Made by \`npm run trace\` from the sources of
the tests: do not edit it. What the requirements say is in [the other documents](README.md).

${covered} of ${count.length} requirements have a test.

${requirements.map(section).join('\n')}`
}

/** File by file, what names it there. */
function testsCell(all: readonly Naming[]): string {
  return [...groups(all, ({ file }) => file)]
    .map(([file, there]) => {
      const titles = [...new Set(there.map(({ title }) => title))]
      const shown = file.endsWith('.json') ? [severalVectors(titles)] : titles
      return shown
        .map((title) => `${file}: ${withoutIds(title).replaceAll(/[|<*_`\\]/g, '\\$&')}`)
        .join('<br>')
    })
    .join('<br>')
}

function groups<T>(all: readonly T[], by: (each: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>()
  for (const each of all) {
    const group = found.get(by(each))
    if (group === undefined) found.set(by(each), [each])
    else group.push(each)
  }
  return found
}

/** What stands behind the ids, if anything does. */
function withoutIds(title: string): string {
  return title.replace(/^[^:]*\d-[a-z][^:]*: /, '')
}

function severalVectors([first = '', ...others]: readonly string[]): string {
  return others.length === 0 ? first : `${first} and ${others.length} more`
}
