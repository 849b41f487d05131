/** What the documents link to is there. */
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'

const root = new URL('../../../', import.meta.url)
const documents = [
  'README.md',
  'CHANGELOG.md',
  'examples/README.md',
  'bench/README.md',
  'test/fuzz/README.md',
  'test/peers/README.md',
  'test/nodes/README.md',
  'test/requirements/README.md',
]

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
