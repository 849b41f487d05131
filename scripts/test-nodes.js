// npm run test:nodes: all the tests, as they were compiled, on the other versions of Node that test/nodes pins.
// npm run test:nodes -- 26: on that one alone.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = `${root}test/nodes`
const here = `${process.platform}-${process.arch}`

const { optionalDependencies } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
const pinned = Object.keys(optionalDependencies)
  .filter((name) => name.endsWith(here))
  .map((name) => name.split('-')[1] ?? '')
const versions = process.argv.length > 2 ? process.argv.slice(2) : pinned
if (versions.length === 0) throw new Error(`test/nodes/package.json pins no Node for ${here}`)

for (const version of versions) {
  const node = `${folder}/node_modules/node-${version}-${here}/bin/node`
  if (!existsSync(node)) throw new Error(`there is no ${node}: npm ci --prefix test/nodes`)
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
  if (!stdout.startsWith(`v${version}.`)) throw new Error(`${node} is Node ${stdout}`)
  console.log(`# Node ${stdout.trim()}`)
  // tap runs each file with the Node that it runs in itself.
  const args = [`${root}node_modules/tap/dist/esm/run.mjs`, 'run', '--disable-coverage']
  const { status } = spawnSync(node, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}
