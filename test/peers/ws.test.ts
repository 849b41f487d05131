import t from 'tap'
import { makeCertificate } from './listening.ts'
import { everyWay } from './ways.ts'
import { wsClient, wsServer } from './ws-peer.ts'

await everyWay(t, { client: wsClient, server: wsServer }, makeCertificate(t.testdir()))
