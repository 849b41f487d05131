/** Run by node.test.ts in a newer Node; the argument is the folder of the certificate, which that Node trusts. */
import t from 'tap'
import { readCertificate } from './listening.ts'
import { ourServerAnd } from './meeting.ts'
import { suite } from './suite.ts'
import { undici, whatwgPeer, type WhatwgSocket } from './whatwg-peer.ts'

declare const WebSocket: new (url: string, protocols: string[]) => EventTarget & WhatwgSocket

await suite(
  t,
  ourServerAnd({
    ...undici,
    name: 'Node',
    version: process.versions.node,
    abilities: [],
    open: (url, { protocols }) => whatwgPeer(new WebSocket(url, protocols)),
  }),
  readCertificate(process.argv[2] ?? '.'),
)
