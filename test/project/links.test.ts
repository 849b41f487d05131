/** What the documents link to is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'

const root = new URL('../../../', import.meta.url)
const folders = ['bench', 'examples', 'test', ...subfolders('test'), 'test/fuzz/corpus']
const documents = ['README.md', 'CHANGELOG.md', ...folders.flatMap(documentsIn)]

function subfolders(folder: string): string[] {
  const entries = readdirSync(new URL(folder, root), { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => `${folder}/${name}`)
}

function documentsIn(folder: string): string[] {
  const names = readdirSync(new URL(folder, root))
  return names.filter((name) => name.endsWith('.md')).map((name) => `${folder}/${name}`)
}

for (const document of documents) {
  t.test(`the links of ${document} lead somewhere`, async (t) => {
    const here = new URL(document, root)
    const links = [...readFileSync(here, 'utf8').matchAll(/\]\((?!\w+:)([^)#]+)/g)].map(
      (match) => match[1] ?? '',
    )
    t.strictSame(
      links.filter((link) => !existsSync(new URL(link, here))),
      [],
    )
  })
}
