/** All ways in which we meet a peer: directly, and with nginx or haproxy between the two. */
import { once } from 'node:events'
import type { Test } from 'tap'
import type { Connection } from '../../lib/index.ts'
import { serve } from '../help/serve.ts'
import { absent } from './absent.ts'
import { ourClientAnd, ourServerAnd } from './meeting.ts'
import type { Certificate, Peer, PeerClient, PeerServer } from './peer.ts'
import { haproxy, nginx, Proxy, type ProxyKind } from './proxy.ts'
import { suite } from './suite.ts'

/** What an implementation has of the two. */
export interface Peers {
  readonly client?: PeerClient | undefined
  readonly server?: PeerServer | undefined
}

export async function everyWay(t: Test, { client, server }: Peers, certificate: Certificate): Promise<void> {
  if (client !== undefined) await suite(t, ourServerAnd(client), certificate)
  if (server !== undefined) await suite(t, ourClientAnd(server), certificate)
  for (const kind of [nginx, haproxy])
    await t.test(`through ${kind.name}`, (t) => throughProxy(t, kind, { client, server }, certificate))
}

async function throughProxy(
  t: Test,
  kind: ProxyKind,
  { client, server }: Peers,
  certificate: Certificate,
): Promise<void> {
  const proxy = await Proxy.start(t, kind)
  if (proxy === undefined) return absent(t, kind.name, `apt-get install ${kind.name}`)
  if (client !== undefined) {
    const silence = await silenceThrough(t, proxy, client, certificate)
    await suite(t, ourServerAnd(clientThrough(proxy, client)), certificate)
    await silence.judge()
  }
  if (server !== undefined) await suite(t, ourClientAnd(serverBehind(proxy, server)), certificate)
}

function clientThrough(proxy: Proxy, client: PeerClient): PeerClient {
  return {
    ...client,
    ...named(proxy, client),
    open(url, options) {
      proxy.lead(url)
      return client.open(proxy.url(), options)
    },
  }
}

function serverBehind(proxy: Proxy, server: PeerServer): PeerServer {
  return {
    ...server,
    ...named(proxy, server),
    async listen(transport, options) {
      const listening = await server.listen(transport, options)
      proxy.lead(listening.url)
      return { ...listening, url: proxy.url() }
    },
  }
}

function named(
  proxy: Proxy,
  { name, version }: PeerClient | PeerServer,
): Pick<PeerClient, 'name' | 'version' | 'transports'> {
  return { name: `${name} ${version} through ${proxy.name}`, version: proxy.version, transports: ['TCP'] }
}

/** Two connections that say nothing, where the proxy has no patience; they take their time while other tests run. */
async function silenceThrough(
  t: Test,
  proxy: Proxy,
  client: PeerClient,
  { cert }: Certificate,
): Promise<{ judge: () => Promise<void> }> {
  const enter = async (
    keepalive: false | { interval: number; timeout: number },
  ): Promise<[Connection, Peer]> => {
    const { url, server } = await serve(t, { keepalive, origins: () => true })
    const accepted = once(server, 'connection')
    proxy.lead(url)
    const theirs = await client.open(proxy.url('/impatient'), { protocols: [], deflate: false, ca: cert })
    const [ours]: Connection[] = await accepted
    if (ours === undefined) throw new Error('no connection')
    return [ours, theirs]
  }
  const [kept, theirs] = await enter({ interval: 250, timeout: 60_000 })
  const [cut] = await enter(false)
  return {
    async judge() {
      await t.test(
        `a silent ${client.name} is cut by ${proxy.name}, but not where there is keepalive`,
        async (t) => {
          t.match(await cut.closed, { code: 1006, wasClean: false, trigger: 'peer-fin' })
          kept.send('still there?')
          t.equal(await theirs.receive(), 'still there?')
          theirs.close(1000)
          t.match(await kept.closed, { code: 1000, wasClean: true })
        },
      )
    },
  }
}
