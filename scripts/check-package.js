// npm run check:package: packs the package as `npm publish` would and looks at it as a user's tools would.
// dist/ has been built by the script that runs before this one.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const programs = join(root, 'test/package')
const home = mkdtempSync(join(tmpdir(), 'farewell-package-'))
/** The compiler of most users; the project's own is newer. */
const olderTypeScript = '5.9.3'

let passed = 0
const failed = []

/** Runs one check and goes on. */
function check(name, run) {
  try {
    run()
    passed++
    console.log(`ok - ${name}`)
  } catch (error) {
    failed.push(name)
    console.log(`not ok - ${name}\n${[error.message, error.stdout, error.stderr].filter(Boolean).join('\n')}`)
  }
}

/** Runs a program to its end. Throws with all it said where it fails. */
function run(cwd, command, ...args) {
  const windows = process.platform === 'win32' && command === 'npm'
  return execFileSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: 'pipe',
    timeout: 120_000,
    shell: windows,
  })
}

const tool = (name, ...args) => run(root, process.execPath, join(root, 'node_modules', name), ...args)

try {
  const [packed] = JSON.parse(
    run(root, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', home),
  )
  const tarball = join(home, packed.filename)
  const files = packed.files.map(({ path }) => path)
  console.log(
    `${packed.filename}: ${files.length} files, ${packed.size} bytes, ${packed.unpackedSize} unpacked`,
  )

  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  check('no runtime dependency and no install script', () => {
    for (const field of ['dependencies', 'optionalDependencies', 'peerDependencies', 'bundleDependencies']) {
      assert.equal(manifest[field], undefined, field)
    }
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
      assert.equal(manifest.scripts[name], undefined, name)
    }
  })
  check('the tarball holds the library and nothing else', () => {
    const expected = /^(?:(?:dist\/)?(?:lib|frames)\/|(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$)/
    assert.deepEqual(
      files.filter((file) => !expected.test(file)),
      [],
    )
    for (const file of ['LICENSE', 'README.md', 'CHANGELOG.md'])
      assert(files.includes(file), `${file} is missing`)
  })
  check('every source map and declaration map leads to a source in the tarball', () => {
    const maps = files.filter((file) => file.endsWith('.map'))
    assert.notEqual(maps.length, 0)
    for (const map of maps) {
      const { sourceRoot, sources } = JSON.parse(readFileSync(join(root, map), 'utf8'))
      for (const source of sources) {
        const path = posix.join(dirname(map), sourceRoot ?? '', source)
        assert(files.includes(path), `${map} names ${path}`)
      }
    }
  })
  check('publint --strict', () => tool('publint/src/cli.js', 'run', '--strict', tarball))
  check('attw --profile esm-only', () =>
    tool('@arethetypeswrong/cli/dist/index.js', '--no-color', '--profile', 'esm-only', tarball),
  )

  const user = join(home, 'user')
  cpSync(programs, user, { recursive: true })
  writeFileSync(join(user, 'package.json'), '{ "private": true }\n')
  const types = `@types/node@${manifest.devDependencies['@types/node']}`
  check('npm install of the tarball', () => {
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
    run(user, 'npm', 'install', ...quiet, tarball, types, `typescript@${olderTypeScript}`)
    assert(existsSync(join(user, 'node_modules/farewell/dist/lib/index.js')))
  })

  check('an ES module in JavaScript', () => run(user, process.execPath, 'esm.mjs'))
  check('a CommonJS module in JavaScript, by require()', () => run(user, process.execPath, 'cjs.cjs'))
  for (const [compiler, name] of [
    [join(root, 'node_modules/typescript/bin/tsc'), `TypeScript ${manifest.devDependencies.typescript}`],
    [join(user, 'node_modules/typescript/bin/tsc'), `TypeScript ${olderTypeScript}`],
  ]) {
    const strict = [
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      'node',
      '--outDir',
      'out',
    ]
    for (const [source, output, kind] of [
      ['esm.mts', 'out/esm.mjs', 'an ES module'],
      ['cjs.cts', 'out/cjs.cjs', 'a CommonJS module'],
    ]) {
      check(`${kind} in ${name}`, () => {
        rmSync(join(user, 'out'), { recursive: true, force: true })
        run(user, process.execPath, compiler, ...strict, source)
        run(user, process.execPath, output)
      })
    }
  }
} finally {
  rmSync(home, { recursive: true, force: true })
}

console.log(`${passed} package checks passed, ${failed.length} failed`)
if (failed.length > 0) process.exitCode = 1
