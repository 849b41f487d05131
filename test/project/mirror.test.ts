import { existsSync, readdirSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/** Files that do without a test file of their own, each with the reason. */
const exceptions: Record<string, string> = {
  'lib/connection-events.ts': 'types alone',
  'lib/message.ts': 'types alone',
}

const root = fileURLToPath(new URL('../../..', import.meta.url))

for (const folder of ['frames', 'lib']) {
  t.test(`each file of ${folder}/ has a test file of the same name in test/${folder}/`, async (t) => {
    const missing = readdirSync(posix.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && posix.basename(file.replaceAll('\\', '/')) !== 'index.ts')
      .map((file) => posix.join(folder, file.replaceAll('\\', '/')))
      .filter((file) => exceptions[file] === undefined)
      .map((file) => posix.join('test', file.replace(/\.ts$/, '.test.ts')))
      .filter((file) => !existsSync(posix.join(root, file)))
    t.strictSame(missing.toSorted(), [], 'test files that are missing')
  })
}

t.test('an exception names a file that exists', async (t) => {
  for (const file of Object.keys(exceptions)) t.ok(existsSync(posix.join(root, file)), file)
})
