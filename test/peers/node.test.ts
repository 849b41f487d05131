/** The global WebSocket of Node 22 and newer, and with it all of our server on a newer Node. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { makeCertificate } from './listening.ts'

const folder = t.testdir()
makeCertificate(folder)
const program = fileURLToPath(new URL('node.js', import.meta.url))
const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') }
await t.spawn(newerNode(), [program, folder], { env }, 'Node with a WebSocket of its own')

/** The Node of package.json where there is one for this machine, or else the one that runs this. */
function newerNode(): string {
  try {
    return createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`)
  } catch {
    return process.execPath
  }
}
