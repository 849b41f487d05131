/** npm run interop: runs all of the suite that can run here, and prints who gets on with whom, and how well. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import type { Cell, Column, Row } from './results.ts'

const columns: readonly Column[] = [
  'echo',
  'fragments',
  'ping',
  'subprotocol',
  'close',
  'loss',
  'deflate',
  'TLS',
  'a Unix socket',
]

type Line = Row | { readonly peer: string; readonly skipped: string }

function run(): { lines: Line[]; failed: boolean } {
  const folder = mkdtempSync(join(tmpdir(), 'farewell-interop-'))
  const results = join(folder, 'results')
  const here = fileURLToPath(new URL('.', import.meta.url))
  const tests = readdirSync(here).filter((file) => file.endsWith('.test.js'))
  const tap = ['run', '--disable-coverage', '--reporter=silent', ...tests.map((file) => join(here, file))]
  const { status } = spawnSync('tap', tap, {
    stdio: 'inherit',
    env: { ...process.env, INTEROP_RESULTS: results },
  })
  const text = existsSync(results) ? readFileSync(results, 'utf8') : ''
  rmSync(folder, { recursive: true })
  const lines = text.split('\n').filter((line) => line !== '')
  return { lines: lines.map((line): Line => JSON.parse(line)), failed: status !== 0 }
}

/** How many tests passed, of how many that there are for it. */
function shown(cell: Cell | undefined): string {
  if (cell === undefined) return '–'
  const { passed, failed, differs } = cell
  if (failed > 0) return `${failed} FAILED`
  return differs === 0 ? `${passed}` : `${passed}/${passed + differs}`
}

function table(title: string, rows: Row[], notes: string[]): string {
  const cells = rows.map((row) => {
    const marks = row.notes.map((note) => `[${numberOf(notes, note)}]`)
    return [[row.peer, ...marks].join(' '), ...columns.map((column) => shown(row.cells[column]))]
  })
  const head = [title, ...columns.map((column) => (column === 'a Unix socket' ? 'Unix' : column))]
  const widths = head.map((_, at) => Math.max(...[head, ...cells].map((line) => (line[at] ?? '').length)))
  const format = (line: string[]): string =>
    line
      .map((word, at) => (at === 0 ? word.padEnd(widths[at] ?? 0) : word.padStart(widths[at] ?? 0)))
      .join('  ')
  return [head, widths.map((width) => '-'.repeat(width)), ...cells].map(format).join('\n')
}

function numberOf(notes: string[], note: string): number {
  if (!notes.includes(note)) notes.push(note)
  return notes.indexOf(note) + 1
}

const { lines, failed } = run()
const rows = lines.flatMap((line) => ('skipped' in line ? [] : [line]))
const notes: string[] = []
const byName = (one: Row, other: Row): number => one.peer.localeCompare(other.peer, 'en')
for (const ourRole of ['server', 'client'] as const) {
  const ours = rows.filter((row) => row.ourRole === ourRole).toSorted(byName)
  console.log(`\n${table(`our ${ourRole} and`, ours, notes)}`)
}
console.log(
  '\nTests that passed; 4/5 where the peer does one of five otherwise, for the reason with the number:',
)
for (const [at, note] of notes.entries()) console.log(`[${at + 1}] ${note}`)
for (const line of lines) if ('skipped' in line) console.log(`skipped: ${line.peer}: ${line.skipped}`)
for (const { ourRole, peer, failures } of rows)
  for (const title of failures) console.log(`FAILED: our ${ourRole} and ${peer}: ${title}`)
if (failed) console.log('Something failed; npm run test:interop shows it in full.')
process.exitCode = failed ? 1 : 0
