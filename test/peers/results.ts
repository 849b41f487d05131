/** What came out of a suite, a line of JSON for each pairing, in the file that $INTEROP_RESULTS names. */
import { appendFileSync } from 'node:fs'
import process from 'node:process'
import type { Case, Feature } from './case.ts'
import type { Pairing } from './meeting.ts'
import type { Difference, Transport } from './peer.ts'

export interface Cell {
  passed: number
  failed: number
  /** Tests that were not run, for the peer does otherwise. */
  differs: number
}

export interface Row {
  readonly ourRole: 'server' | 'client'
  readonly peer: string
  readonly cells: { [column in Column]?: Cell }
  /** What it does otherwise. */
  readonly notes: string[]
  /** The titles of what failed. */
  readonly failures: string[]
}

/** Over TCP each feature has a column; other transports have one each. */
export type Column = Feature | Exclude<Transport, 'TCP'>

export class Results {
  readonly #row: Row

  constructor({ ourRole, name, version, notes = [] }: Pairing) {
    this.#row = { ourRole, peer: `${name} ${version}`, cells: {}, notes: [...notes], failures: [] }
  }

  note({ feature, title }: Case, transport: Transport, passed: boolean): void {
    this.#cell(feature, transport)[passed ? 'passed' : 'failed']++
    if (!passed) this.#row.failures.push(`${title}, over ${transport}`)
  }

  differs(feature: Feature, transport: Transport, { why }: Difference): void {
    this.#cell(feature, transport).differs++
    if (!this.#row.notes.includes(why)) this.#row.notes.push(why)
  }

  write(): void {
    const file = process.env['INTEROP_RESULTS']
    if (file !== undefined) appendFileSync(file, `${JSON.stringify(this.#row)}\n`)
  }

  #cell(feature: Feature, transport: Transport): Cell {
    const column = transport === 'TCP' ? feature : transport
    return (this.#row.cells[column] ??= { passed: 0, failed: 0, differs: 0 })
  }
}
