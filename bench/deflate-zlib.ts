/** What bare zlib costs for the same messages, in this process and without any network: the limit for everybody. */
import { Buffer } from 'node:buffer'
import { constants, deflateRawSync, inflateRawSync, type ZlibOptions } from 'node:zlib'
import { deflateLevel, type DeflateWorkload, messagesOf } from './deflate-workload.ts'

/** CPU time per message in µs. */
export interface ZlibCost {
  /** Node's functions with their defaults, a call for each message by itself. */
  readonly calls: number
  /** All messages in one call and in one block after the other: only what zlib itself does, and no flush. */
  readonly once: number
}

const options: ZlibOptions = { level: deflateLevel, finishFlush: constants.Z_SYNC_FLUSH }

/** Takes so many ms of CPU time for each figure. */
export function zlibCost({ direction, size }: DeflateWorkload, duration: number): ZlibCost {
  const messages = messagesOf(size).map((text) => Buffer.from(text))
  const compressed = messages.map((message) => deflateRawSync(message, options))
  const all = Buffer.concat(messages)
  const allCompressed = deflateRawSync(all, options)
  const receives = direction !== 'send'
  const sends = direction !== 'receive'
  return {
    calls: costOf(messages.length, duration, () => {
      if (receives) for (const payload of compressed) inflateRawSync(payload, options)
      if (sends) for (const message of messages) deflateRawSync(message, options)
    }),
    once: costOf(messages.length, duration, () => {
      const { length } = all
      if (receives) inflateRawSync(allCompressed, { ...options, chunkSize: length })
      if (sends) deflateRawSync(all, { ...options, chunkSize: length })
    }),
  }
}

function costOf(messages: number, duration: number, run: () => void): number {
  run()
  const start = process.cpuUsage()
  for (let runs = 1; ; runs++) {
    run()
    const { user, system } = process.cpuUsage(start)
    if (user + system >= duration * 1000) return (user + system) / (runs * messages)
  }
}
