import t from 'tap'
import { makeCertificate } from './listening.ts'
import { ourClientAnd, ourServerAnd } from './meeting.ts'
import { suite } from './suite.ts'
import { wsClient, wsServer } from './ws-peer.ts'

const certificate = makeCertificate(t.testdir())
await suite(t, ourServerAnd(wsClient), certificate)
await suite(t, ourClientAnd(wsServer), certificate)
