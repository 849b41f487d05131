/** As much of `faye-websocket`, which has no types of its own, and of its extension as is used here. */
declare module 'faye-websocket' {
  import type { EventEmitter } from 'node:events'
  import type { IncomingMessage } from 'node:http'
  import type { Duplex } from 'node:stream'

  interface FayeOptions {
    extensions?: unknown[]
    maxLength?: number
  }

  class FayeSocket extends EventEmitter {
    constructor(
      request: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      protocols: string[],
      options: FayeOptions,
    )
    readonly protocol: string
    send(data: string | Buffer): boolean
    ping(message: string, callback: () => void): boolean
    close(code?: number, reason?: string): void
  }

  export { FayeSocket as default }
}

declare module 'permessage-deflate' {
  const extension: { configure(options: object): unknown }
  export { extension as default }
}
