/** Run by node.test.ts in a newer Node; the argument is the folder of the certificate, which that Node trusts. */
import t from 'tap'
import { readCertificate } from './listening.ts'
import type { PeerClient } from './peer.ts'
import { everyWay } from './ways.ts'
import { undici, whatwgPeer, type WhatwgSocket } from './whatwg-peer.ts'

declare const WebSocket: new (url: string, protocols: string[]) => EventTarget & WhatwgSocket

const client: PeerClient = {
  ...undici,
  name: 'Node',
  version: process.versions.node,
  abilities: [],
  open: (url, { protocols }) => whatwgPeer(new WebSocket(url, protocols)),
}

await everyWay(t, { client }, readCertificate(process.argv[2] ?? '.'))
