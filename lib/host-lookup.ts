/** How the name of a remote host becomes its addresses, on which the attempt then waits for its turn. */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { remoteHost } from './connecting.ts'
import { asError } from './errors.ts'
import type { ConnectOptions } from './options.ts'
import type { Target } from './url.ts'

/** What looks the name up; undefined for an address, and where that is left to a proxy or has been done. */
export function hostLookup(
  { host, secure, socketPath }: Target,
  { agent, tls = {} }: ConnectOptions,
): LookupFunction | undefined {
  if (isIP(host) !== 0 || socketPath !== undefined || agent !== undefined) return undefined
  if (!secure) return dnsLookup
  return tls.socket === undefined ? (tls.lookup ?? dnsLookup) : undefined
}

/** The same, which answers when the turn of all those addresses has come. */
export function lookupInTurn(
  lookup: LookupFunction,
  port: number,
  inTurn: (hosts: readonly string[]) => Promise<void>,
): LookupFunction {
  return (name, options, answer) => {
    const found = new Promise<{ addresses: string | LookupAddress[]; family: number | undefined }>(
      (resolve, reject) => {
        lookup(name, options, (error, addresses, family) => {
          if (error) reject(error)
          else resolve({ addresses, family })
        })
      },
    )
    found
      .then(async ({ addresses, family }) => {
        const list = typeof addresses === 'string' ? [addresses] : addresses.map(({ address }) => address)
        await inTurn(list.map((address) => remoteHost(address, port)))
        answer(null, addresses, family)
      })
      .catch((error: unknown) => answer(asError(error), []))
  }
}
