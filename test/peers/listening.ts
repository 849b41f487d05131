/** An HTTP server over TCP, TLS or a Unix socket, for either side's WebSocket server. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Certificate, Listening, Transport } from './peer.ts'

/** Makes the files `key.pem` and `cert.pem`: a certificate for localhost and 127.0.0.1 that nobody else has signed. */
export function makeCertificate(folder: string): Certificate {
  const request =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost'
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')]
  execFileSync('openssl', [...request.split(' '), ...names, ...files], { stdio: 'ignore' })
  return readCertificate(folder)
}

export function readCertificate(folder: string): Certificate {
  return {
    key: readFileSync(join(folder, 'key.pem'), 'utf8'),
    cert: readFileSync(join(folder, 'cert.pem'), 'utf8'),
  }
}

export async function listen(
  transport: Transport,
  certificate: Certificate,
): Promise<Listening & { readonly http: Server }> {
  const http = transport === 'TLS' ? createSecureServer(certificate) : createServer()
  // The path of a Unix socket must be short.
  const folder = transport === 'a Unix socket' ? mkdtempSync(join(tmpdir(), 'farewell-')) : undefined
  if (folder === undefined) http.listen(0, '127.0.0.1')
  else http.listen(join(folder, 'socket'))
  await once(http, 'listening')
  return {
    http,
    url: urlOf(http, transport),
    async close() {
      const freed = new Promise((resolve) => http.close(resolve))
      http.closeAllConnections()
      await freed
      if (folder !== undefined) rmSync(folder, { recursive: true })
    },
  }
}

function urlOf(http: Server, transport: Transport): string {
  const address = http.address()
  if (address === null) throw new Error('not listening')
  if (typeof address === 'string') return `ws+unix:${address}:/`
  return `${transport === 'TLS' ? 'wss' : 'ws'}://127.0.0.1:${address.port}/`
}
