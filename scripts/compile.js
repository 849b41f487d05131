// npm run compile: makes .build/, which the tests, the examples, the benchmarks and the fuzzer are run from.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
// Another program may be named, with the folder that it is compiled to.
const [project = 'tsconfig.test.json', folder = '.build'] = process.argv.slice(2)
const out = join(root, folder)

/** Runs a program of node_modules. Where it fails it has said why. */
function run(program, ...args) {
  const script = join(root, 'node_modules', program)
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

// tap comes built with its plugin for TypeScript, which fails with TypeScript 7, and in its first run takes the
// plugin out too late for that run. So that is done here, once after each install.
const tap = fileURLToPath(import.meta.resolve('@tapjs/test/test-built'))
if (readFileSync(tap, 'utf8').includes('"@tapjs/typescript"')) run('tap/dist/esm/run.mjs', 'build')

// A test whose source is gone must not be run again.
mkdirSync(out, { recursive: true })
for (const file of readdirSync(out, { recursive: true })) {
  const source = file.replace(/\.js(\.map)?$/, '.ts')
  if (source !== file && !existsSync(join(root, source))) rmSync(join(out, file))
}

// Makes it a package, so that `import 'farewell'` in an example or a test means the code compiled beside it.
const self = {
  name: 'farewell',
  type: 'module',
  exports: { '.': './lib/index.js', './frames': './frames/index.js' },
}
writeFileSync(join(out, 'package.json'), JSON.stringify(self, null, 2) + '\n')

run('typescript/bin/tsc', '-p', project)
