/** What a seed decides of one connection: what both ends say, when they close, and what the network does to them. */
import { Random } from '../fuzz/random.ts'

/** One end's part. */
export interface EndPlan {
  /** Seeds what it sends. */
  readonly seed: number
  /** How many messages it means to send; fewer when the connection ends first. */
  readonly messages: number
  /** How many it sends in one turn of the event loop. */
  readonly burst: number
  /** Its largest message, in bytes, but for a rare one. */
  readonly largest: number
  readonly receives: 'listener' | 'loop' | 'stop-and-go'
  /** When it closes of its own accord: when it has sent all, when it has got all, or never. */
  readonly closes: 'sent' | 'received' | 'never'
  readonly how: 'close' | 'close-output' | 'terminate'
  /** Answers the peer's Close when it has sent all that it means to. */
  readonly manualReply: boolean
}

/** What the network does to the pieces of a direction. */
export type Rhythm = 'pass' | 'split' | 'coalesce' | 'delay' | 'stall' | 'mixed'

/** Where a direction is cut: when so many bytes have passed. */
export interface Cut {
  readonly kind: CutKind
  readonly at: number
}

/**
 * `fin`: this direction ends, the other goes on. `rst`: the receiver is reset, `rst-both`: both ends are. `swallow`:
 * what follows is read and lost, its end too. `freeze`: neither direction is read any more.
 */
export const cutKinds = ['fin', 'rst', 'rst-both', 'swallow', 'freeze'] as const
export type CutKind = (typeof cutKinds)[number]

/** One direction of the network. */
export interface FlowPlan {
  /** Seeds the sizes of the pieces. */
  readonly seed: number
  readonly rhythm: Rhythm
  readonly cut: Cut | undefined
}

export interface Plan {
  readonly number: number
  /** Messages are compressed from so many bytes on. */
  readonly compression: number | undefined
  readonly client: EndPlan
  readonly server: EndPlan
  /** From the client to the server. */
  readonly up: FlowPlan
  readonly down: FlowPlan
}

/** The two heads of the handshake, about so many bytes each. */
const headSize = 200

/** Connection `number` of a seed; the same every time, whatever the others do. */
export function planOf(seed: number, number: number): Plan {
  const random = new Random(seed, 'plan', number)
  const compression = random.once(2) ? random.pick([64, 256, 256, 256]) : undefined
  const client = endPlan(random)
  const server = endPlan(random)
  // Somebody has to begin; both may.
  const closer = random.pick(['client', 'server', 'both'])
  const cut = random.below(10) < 4 ? random.pick(['up', 'down']) : undefined
  return {
    number,
    compression,
    client: closer === 'server' ? { ...client, closes: 'never' } : client,
    server: closer === 'client' ? { ...server, closes: 'never' } : server,
    up: flowPlan(random, client, cut === 'up'),
    down: flowPlan(random, server, cut === 'down'),
  }
}

function endPlan(random: Random): EndPlan {
  return {
    seed: random.next(),
    messages: random.pick([0, 1, 20, 100, 1000, 3000]),
    burst: random.pick([1, 10, 100]),
    largest: random.pick([20, 20, 20, 200, 200, 200, 200, 3000]),
    receives: random.pick(['listener', 'listener', 'loop', 'stop-and-go']),
    closes: random.pick(['sent', 'received', 'received']),
    how: random.pick(['close', 'close', 'close', 'close-output', 'close-output', 'terminate']),
    manualReply: random.once(5),
  }
}

function flowPlan(random: Random, sender: EndPlan, isCut: boolean): FlowPlan {
  const rhythm: Rhythm = random.pick(['pass', 'pass', 'split', 'coalesce', 'delay', 'stall', 'mixed'])
  const seed = random.next()
  const size = 2 * headSize + (sender.messages * sender.largest) / 2
  // One in three cuts falls into the handshake or just behind it.
  const at = random.below(random.once(3) ? 2 * headSize : size)
  const kind = random.pick(cutKinds)
  return { seed, rhythm, cut: isCut ? { kind, at } : undefined }
}
