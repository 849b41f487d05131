/** What one connection sends and what it is to get back for it. */
import { Buffer } from 'node:buffer'
import { randomInt } from 'node:crypto'
import { headerSize } from '../frames/header.ts'
import { encodeFrame, Opcode } from '../frames/index.ts'
import type { Counter } from './counter.ts'
import { payloadOf } from './payload.ts'
import type { Wire } from './wire.ts'
import type { Batch, Echo } from './workload.ts'

export interface Exchange {
  /** As many requests as may be under way, one behind the other. */
  readonly requests: Buffer
  readonly requestSize: number
  readonly replySize: number
  /** How many messages the contestant has then received, or sent. */
  readonly messages: number
  /** Is it the right reply? Asked once on each connection. */
  isReply(bytes: Buffer): boolean
}

/** A message to an echo server; one that knows no frames sends back the frame as it is. */
export function echoExchange(
  workload: Pick<Echo, 'size' | 'content' | 'inFlight' | 'fragmentSize'>,
  frames: boolean,
): Exchange {
  const { size, content, inFlight, fragmentSize = size } = workload
  const opcode = content === 'binary' ? Opcode.binary : Opcode.text
  const payload = payloadOf(content, size)
  const request = Buffer.concat(fragmentsOf(opcode, payload, fragmentSize))
  const reply = frames ? encodeFrame({ opcode, payload }) : request
  return {
    requests: Buffer.concat(Array.from({ length: inFlight }, () => request)),
    requestSize: request.length,
    replySize: reply.length,
    messages: 1,
    isReply: (bytes) => bytes.equals(reply),
  }
}

/** Messages to a client, which answers the last of them by one of its own with one byte. */
function receiveExchange({ size, batch }: Batch): Exchange {
  const frame = encodeFrame({ opcode: Opcode.binary, payload: payloadOf('binary', size) })
  const requests = Buffer.concat(Array.from({ length: batch }, () => frame))
  return {
    requests,
    requestSize: requests.length,
    replySize: headerSize(1, true) + 1,
    messages: batch,
    isReply: ([first, second]) => first === 0x82 && second === 0x81,
  }
}

/** A message of one byte to a client, which answers by many of its own. */
function sendExchange({ size, batch }: Batch): Exchange {
  const requests = encodeFrame({ opcode: Opcode.binary, payload: Buffer.from([1]) })
  const frameSize = headerSize(size, true) + size
  return {
    requests,
    requestSize: requests.length,
    replySize: batch * frameSize,
    messages: batch,
    // The first byte and the mask bit of each frame; what is in it differs by the masking key.
    isReply: (bytes) => {
      for (let at = 0; at < bytes.length; at += frameSize) {
        if (bytes[at] !== 0x82 || ((bytes[at + 1] ?? 0) & 0x80) === 0) return false
      }
      return bytes.length === batch * frameSize
    },
  }
}

export function batchExchange(workload: Batch): Exchange {
  return workload.kind === 'receive' ? receiveExchange(workload) : sendExchange(workload)
}

/** Makes sure that the other side answers as it should. */
export async function tryOnce(wire: Wire, exchange: Exchange): Promise<void> {
  wire.write(exchange.requests.subarray(0, exchange.requestSize))
  if (!exchange.isReply(await wire.read(exchange.replySize))) throw new Error('a reply is wrong')
}

/** Goes on from here: each reply that has come is counted and asks for the next. */
export function keepGoing(wire: Wire, exchange: Exchange, counter: Counter): void {
  const { requests, requestSize, replySize, messages } = exchange
  /** Bytes of a reply that has not come as a whole. */
  let partial = 0
  wire.lost = () => counter.fail(new Error('a connection was lost'))
  wire.take = ({ length }) => {
    partial += length
    if (partial < replySize) return
    const whole = Math.floor(partial / replySize)
    partial -= whole * replySize
    wire.write(requests.subarray(0, whole * requestSize))
    counter.add(whole * messages)
  }
  wire.write(requests)
}

/** The frames of a message from a client, each with so many bytes of it. */
function fragmentsOf(opcode: Opcode, payload: Buffer, fragmentSize: number): readonly Buffer[] {
  const maskKey = randomInt(2 ** 32)
  const count = Math.ceil(payload.length / fragmentSize)
  return Array.from({ length: count }, (_, at) =>
    encodeFrame({
      opcode: at === 0 ? opcode : Opcode.continuation,
      fin: at === count - 1,
      payload: payload.subarray(at * fragmentSize, (at + 1) * fragmentSize),
      maskKey,
    }),
  )
}
