/**
 * The load: connections that send frames made beforehand and only count the bytes that come back, so that it costs
 * less than any contestant.
 */
import { randomInt } from 'node:crypto'
import { encodeFrame, Opcode } from '../frames/index.ts'
import type { ContestantProcess } from './contestant.ts'
import { Counter } from './counter.ts'
import { batchExchange, echoExchange, type Exchange, keepGoing, tryOnce } from './exchange.ts'
import { payloadOf } from './payload.ts'
import type { Wire } from './wire.ts'
import { acceptWires, closeWires, openWires } from './wires.ts'
import type { Room, Traffic } from './workload.ts'

export interface Load {
  /** Messages that the contestant has dealt with. */
  readonly counter: Counter
  start(): void
  close(): Promise<void>
}

/** Opens the connections and sees to it that each gets the right answer to one message. */
export async function openLoad(process: ContestantProcess, workload: Traffic): Promise<Load> {
  if (workload.kind === 'room') return roomLoad(process, workload)
  if (workload.kind === 'echo') {
    const exchange = echoExchange(workload, process.contestant.frames)
    const wires = await openWires(process, workload.connections, (wire) => tryOnce(wire, exchange))
    return exchangeLoad(wires, exchange)
  }
  const exchange = batchExchange(workload)
  const wires = await acceptWires(process, workload.connections)
  await Promise.all(wires.map((wire) => tryOnce(wire, exchange)))
  return exchangeLoad(wires, exchange)
}

/** Each connection goes on by itself, one exchange after the other. */
function exchangeLoad(wires: readonly Wire[], exchange: Exchange): Load {
  const counter = new Counter()
  return {
    counter,
    start() {
      for (const wire of wires) keepGoing(wire, exchange, counter)
    },
    close: () => closeWires(wires),
  }
}

/** A message counts once for each connection that it came to. */
async function roomLoad(process: ContestantProcess, workload: Room): Promise<Load> {
  const { content, size, senders } = workload
  const opcode = content === 'binary' ? Opcode.binary : Opcode.text
  const payload = payloadOf(content, size)
  const request = encodeFrame({ opcode, payload, maskKey: randomInt(2 ** 32) })
  const reply = process.contestant.frames ? encodeFrame({ opcode, payload }) : request
  const wires = await openWires(process, workload.connections)
  const counter = new Counter()

  wires[0]?.write(request)
  const replies = await Promise.all(wires.map((wire) => wire.read(reply.length)))
  if (!replies.every((each) => each.equals(reply))) throw new Error('a message that came to all is wrong')

  const roundSize = wires.length * senders * reply.length
  let read = 0
  function send(): void {
    for (const wire of wires.slice(0, senders)) wire.write(request)
  }
  for (const wire of wires) {
    wire.lost = () => counter.fail(new Error('a connection was lost'))
    wire.take = ({ length }) => {
      read += length
      if (read < roundSize) return
      read -= roundSize
      send()
      counter.add(wires.length * senders)
    }
  }
  return { counter, start: send, close: () => closeWires(wires) }
}
