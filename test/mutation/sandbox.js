/**
 * A copy of what is compiled, in which one file stands as it is wanted, and which runs the tests of the same name. Several
 * of them work side by side.
 */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
// Here, so that `tap` is the one that stands in for it.
const folder = fileURLToPath(new URL('.build', import.meta.url))

/**
 * After so many seconds of CPU tests are taken for a loop without an end; without a mutant they take one. Time on the clock
 * they have as good as without end: a busy machine makes them wait, and what only waits ends when nothing is left to do.
 */
const cpuLimit = 3
const clockLimit = 600_000

export class Sandbox {
  #folder

  constructor() {
    mkdirSync(folder, { recursive: true })
    this.#folder = mkdtempSync(join(folder, 'sandbox-'))
    for (const part of ['frames', 'lib', 'test', 'package.json'])
      cpSync(join(root, '.build', part), this.#compiled(part), { recursive: true })
    // The one source that tests read.
    const vectors = 'test/vectors/vectors.json'
    cpSync(join(root, vectors), join(this.#folder, vectors))
  }

  /** Compiles one file of TypeScript, types unchecked, because a mutant need not have any. */
  compile(file, source) {
    const home = join(this.#folder, 'source')
    mkdirSync(dirname(join(home, file)), { recursive: true })
    writeFileSync(join(home, file), source)
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { rootDir: '.', outDir: 'out', noEmit: false, noCheck: true, noResolve: true },
      include: [],
      files: [file],
    }
    writeFileSync(join(home, 'tsconfig.json'), JSON.stringify(config))
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { status } = spawnSync(process.execPath, [tsc, '-p', home], { stdio: 'inherit' })
    if (status !== 0) throw new Error(`${file} does not compile with its mutants`)
    return readFileSync(join(home, 'out', asCompiled(file)), 'utf8')
  }

  put(file, code) {
    writeFileSync(this.#compiled(asCompiled(file)), code)
  }

  /** Runs the tests of a file; they have `passed` or `failed`, or it is `time` that ended them. */
  test(file) {
    const tests = this.#compiled(join('test', file.replace(/ts$/, 'test.js')))
    const command = `ulimit -t ${cpuLimit}; exec "$0" --max-old-space-size=512 "$1"`
    return new Promise((resolve) => {
      const child = spawn('sh', ['-c', command, process.execPath, tests], {
        // The property tests are to try the same on every mutant.
        env: { FC_SEED: '6455', ...process.env },
        stdio: 'ignore',
        timeout: clockLimit,
        killSignal: 'SIGKILL',
      })
      child.on('exit', (status, signal) => {
        if (signal === 'SIGXCPU' || signal === 'SIGKILL') resolve('time')
        else resolve(status === 0 ? 'passed' : 'failed')
      })
    })
  }

  remove() {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #compiled(path) {
    return join(this.#folder, '.build', path)
  }
}

function asCompiled(file) {
  return file.replace(/ts$/, 'js')
}
