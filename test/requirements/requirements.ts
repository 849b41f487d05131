/** The requirements of the RFCs as the documents of this folder list them, and why some of them have no test. */
import { readFileSync } from 'node:fs'

export interface Requirement {
  readonly id: string
  readonly role: 'client' | 'server' | 'both'
  readonly level: 'MUST' | 'MUST NOT' | 'SHOULD' | 'SHOULD NOT' | 'MAY'
  readonly text: string
}

/** A heading of a document, and what stands in the table below it. */
export interface Section<Row> {
  readonly title: string
  readonly rows: readonly Row[]
}

export const documents = ['rfc6455.md', 'rfc7692.md', 'http.md'] as const

/** This runs from .build/test/requirements/, which holds no documents. */
export const folder = new URL('../../../test/requirements/', import.meta.url)

export const requirements: readonly Section<Requirement>[] = documents.flatMap((document) =>
  tablesOf(document).map(({ title, rows }) => ({ title, rows: rows.map((cells) => requirementOf(cells)) })),
)

/** Why a requirement has no test. */
export interface Exemption {
  readonly id: string
  readonly reason: string
}

/** Those that do not bind this library, even where they are a MUST, and the optional ones that are not offered. */
export const exemptions: { readonly notOurs: readonly Exemption[]; readonly left: readonly Exemption[] } = {
  notOurs: exemptionsOf('Do not bind this library'),
  left: exemptionsOf('Optional, and not done'),
}

function exemptionsOf(title: string): Exemption[] {
  const section = tablesOf('untested.md').find((each) => each.title === title)
  if (section === undefined) throw new Error(`untested.md has no table "${title}"`)
  return section.rows.map(([id = '', reason = '']) => ({ id, reason }))
}

function requirementOf([id = '', role = '', level = '', text = '']: readonly string[]): Requirement {
  if (!isRole(role) || !isLevel(level)) throw new Error(`the row of ${id} has a role or level that is none`)
  return { id, role, level, text }
}

function isRole(word: string): word is Requirement['role'] {
  return ['client', 'server', 'both'].includes(word)
}

function isLevel(word: string): word is Requirement['level'] {
  return ['MUST', 'MUST NOT', 'SHOULD', 'SHOULD NOT', 'MAY'].includes(word)
}

/** The cells of all rows that begin with an id, section by section. */
function tablesOf(document: string): Section<readonly string[]>[] {
  const [, ...sections] = readFileSync(new URL(document, folder), 'utf8').split(/^## /m)
  return sections.map((section) => {
    const [title = '', ...lines] = section.split('\n')
    const rows = lines
      .filter((line) => /^\| [a-z0-9]+-/.test(line))
      .map((line) => line.slice(2, -2).split(' | '))
    return { title, rows }
  })
}
