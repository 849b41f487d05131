// npm run build: compiles lib/ and frames/ to dist/, ready to be packed.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')

// What was built from files that are gone must not be packed.
rmSync(dist, { recursive: true, force: true })
const tsc = join(root, 'node_modules/typescript/bin/tsc')
const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
})
if (status !== 0) process.exit(status ?? 1)

// tsc rewrites './header.ts' to './header.js' in what it emits, but not in declarations. Not every tool that
// reads declarations finds header.d.ts behind './header.ts'. The length stays, so declaration maps stay right.
for (const file of readdirSync(dist, { recursive: true })) {
  if (!file.endsWith('.d.ts')) continue
  const path = join(dist, file)
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace(/((?:from |import\()(['"])\.\.?\/[^'"\n]+)\.ts\2/g, '$1.js$2'),
  )
}
