/** The global WebSocket of Node 22 and newer, and with it all of our server on that Node. */
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { absent } from './absent.ts'
import { makeCertificate } from './listening.ts'
import { machine, programOf } from './packages.ts'

const folder = t.testdir()
makeCertificate(folder)
const program = fileURLToPath(new URL('node.js', import.meta.url))
const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') }

for (const major of [22, 24, 26]) {
  const node = programOf(`node-${major}-${machine}/bin/node`)
  if (node === undefined) absent(t, `Node ${major}`, `there is no npm package of it for ${machine}`)
  else await t.spawn(node, [program, folder], { env }, `Node ${major}`)
}
