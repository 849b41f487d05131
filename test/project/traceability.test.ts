/** Every requirement has a test or a reason, and the page that shows it is up to date: `npm run trace`. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { exemptions, folder, requirements } from '../requirements/requirements.ts'
import { complaints, namings, namingsOf, page } from '../requirements/trace.ts'

const all = namings()
const rows = requirements.flatMap((section) => section.rows)

t.test('every requirement has a test or a reason, and every MUST that binds us has a test', async (t) => {
  t.strictSame(complaints(all), [])
})

t.test('TRACEABILITY.md is what npm run trace writes', async (t) => {
  const shown = readFileSync(new URL('TRACEABILITY.md', folder), 'utf8')
  t.equal(shown, page(all))
})

t.test('the lists of requirements are whole, and no id stands twice', async (t) => {
  t.ok(rows.length > 400, `${rows.length}`)
  t.equal(new Set(rows.map(({ id }) => id)).size, rows.length)
  t.ok(rows.every(({ text }) => text.length > 10))
})

t.test('what a test names: in its title, in its body, in the table that it is made from', async (t) => {
  const source = `
/** 6455-1-comment */
const rows = [
  ['6455-1-row', 1], // 6455-1-remark
]

await t.test(
  "it's 6455-2-title, 7692-2-other",
  async (t) => {
    t.ok(true, '6455-2-message') // 6455-2.2-comment
    titlesThatMatch(/6455-2\\.3-expression/)
  },
)

for (const role of roles) {
  t.test(\`a \${role}: 6455-3-loop and 6455-3.1\`, body)
}

const scenarios = [
  { title: '6455-4-scenario.' },
]
function help() {
  throw new Error('6455-5-helper')
}
`
  t.strictSame(
    namingsOf('x.test.ts', source).map(({ id, title }) => `${id} | ${title}`),
    [
      '6455-1-row | table rows',
      '6455-1-remark | table rows',
      "6455-2-title | it's 6455-2-title, 7692-2-other",
      "7692-2-other | it's 6455-2-title, 7692-2-other",
      "6455-2-message | it's 6455-2-title, 7692-2-other",
      "6455-2.2-comment | it's 6455-2-title, 7692-2-other",
      '6455-3-loop | a ${role}: 6455-3-loop and 6455-3.1',
      '6455-3.1 | a ${role}: 6455-3-loop and 6455-3.1',
      '6455-4-scenario | 6455-4-scenario.',
    ],
  )
})

t.test('what is wrong is told', async (t) => {
  const without = (id: string) => all.filter((each) => each.id !== id)
  t.strictSame(complaints(without('6455-5.1-client-masks')), [
    '6455-5.1-client-masks (MUST) has no test and no reason',
  ])
  const [exempt] = exemptions.left
  const surplus = ['6455-5.1-nonsense', exempt?.id ?? ''].map((id) => ({ id, file: 'a.test.ts', title: id }))
  t.strictSame(complaints([...all, ...surplus]), [
    'a.test.ts names 6455-5.1-nonsense, which does not exist',
    `${exempt?.id} is in untested.md and has a test`,
  ])
})
