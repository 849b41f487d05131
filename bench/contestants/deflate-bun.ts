/** Bun's server with permessage-deflate; its level is zlib's default, 6. To be run by Bun. */
import { deflateThreshold } from '../deflate-workload.ts'
import { answerer } from './deflate-answer.ts'
import { host, listens } from './host.ts'

/** As much of Bun as is used here. */
declare const Bun: {
  serve(options: {
    hostname: string
    port: number
    fetch(request: unknown, server: { upgrade(request: unknown): boolean }): undefined
    websocket: {
      perMessageDeflate: { compress: string; decompress: string }
      message(socket: { send(data: string, compress: boolean): number }, message: string): void
    }
  }): { readonly port: number }
}

const { answer, takeover } = answerer(process.argv.slice(2))
// A shared compressor keeps no context.
const compressor = takeover ? 'dedicated' : 'shared'
const server = Bun.serve({
  hostname: host,
  port: 0,
  fetch(request, upgrader) {
    upgrader.upgrade(request)
    return undefined
  },
  websocket: {
    perMessageDeflate: { compress: compressor, decompress: compressor },
    message(socket, message) {
      const text = answer(message)
      socket.send(text, text.length >= deflateThreshold)
    },
  },
})
listens(server)
