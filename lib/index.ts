/** `farewell`: WebSocket connections, client and server. */
export { type CloseFrame, type CloseInfo, type CloseTrigger, describeClose } from './close-info.ts'
export { connect } from './client.ts'
export { Connection, type ConnectionInit } from './connection.ts'
export type { ConnectionEvents } from './connection-events.ts'
export { ConnectionClosedError, HandshakeError, ProtocolError } from './errors.ts'
export type { Headers } from './header-list.ts'
export type { ConnectionState, Role } from './lifecycle.ts'
export type { DeflateAgreement } from './deflate/parameters.ts'
export type {
  CompressionOptions,
  ConnectionOptions,
  ConnectOptions,
  KeepaliveOptions,
  RateLimitOptions,
  ServerOptions,
} from './options.ts'
export type { Message } from './message.ts'
export { Refusal, refuse, type RefusalOptions, type RefusalReason } from './refusal.ts'
export type { Data } from './payload.ts'
export {
  type CloseCounts,
  type CloseOptions,
  type RefusedClient,
  type ServerEvents,
  WebSocketServer,
} from './server.ts'
export { CloseCode } from '../frames/close-code.ts'
