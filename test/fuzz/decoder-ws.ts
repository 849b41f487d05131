/**
 * The same bytes to our decoder and to that of `ws`. They are to find the same messages, control frames and faults; where
 * they differ on purpose it is one of the classes below. `ws` is a dependency of test/peers alone: where it is not
 * installed this target is skipped. Inputs are those of `frames.ts`; RSV1 is never allowed.
 */
import { Buffer } from 'node:buffer'
import { createRequire } from 'node:module'
import type { Writable } from 'node:stream'
import { Endpoint } from '../frames/endpoint.ts'
import { root } from './corpus.ts'
import { decoderTarget } from './decoder.ts'
import { frameTargets } from './frames.ts'
import type { Target } from './target.ts'

/** What is used of `ws.Receiver`. */
export type Receiver = new (options: {
  readonly isServer: boolean
  readonly maxPayload: number
  readonly allowSynchronousEvents: boolean
}) => Writable

/** That of the `ws` in test/peers; undefined where it is not installed. */
export function installedReceiver(): Receiver | undefined {
  try {
    const require = createRequire(new URL('test/peers/package.json', root))
    const { Receiver }: { Receiver: Receiver } = require('ws')
    return Receiver
  } catch {
    return undefined
  }
}

/** Compares with that receiver; `explained` counts what differs, by class. */
export function decoderWsTarget(
  receiver: Receiver | undefined = installedReceiver(),
  explained: Map<string, number> = new Map(),
): Target {
  const mutated = frameTargets().find(({ name }) => name === 'mutated')
  return {
    name: 'decoder-ws',
    corpus: 'frames',
    ...(receiver === undefined ? { missing: 'ws is not installed; npm ci --prefix test/peers does it' } : {}),
    remarks: () => [...explained].map(([reason, times]) => `differs ${times} times, explained: ${reason}`),
    generate: (random, corpus) =>
      (random.once(8) ? (mutated ?? decoderTarget) : decoderTarget).generate(random, corpus),
    check(input) {
      if (receiver === undefined || input.length < 2) return undefined
      const [settings = 0] = input
      const isServer = (settings & 1) === 0
      const limit = limits[(settings >> 2) & 3]!
      const wire = input.subarray(2)
      const ours = ourStory(wire, isServer, limit)
      const theirs = theirStory(wire, isServer, limit, receiver)
      if (ours.events.map(withoutName).join(' | ') === theirs.join(' | ')) return undefined
      const reason = Object.entries(classes).find(([, explains]) => explains(ours, theirs))?.[0]
      if (reason === undefined) return `ours   ${ours.events.join(' | ')}\n  theirs ${theirs.join(' | ')}`
      explained.set(reason, (explained.get(reason) ?? 0) + 1)
      return undefined
    },
  }
}

const limits = [Number.MAX_SAFE_INTEGER, 4096, 125, 5] as const

interface Story {
  readonly events: readonly string[]
  readonly over: boolean
  readonly unfinished: boolean
}

type Explains = (ours: Story, theirs: readonly string[]) => boolean

/** Ours has failed with that violation; up to there both have seen the same. */
function failsWith(violation: string, next: (theirs: readonly string[]) => boolean): Explains {
  return ({ events }, theirs) => {
    const before = events.length - 1
    return events.at(-1) === violation && isPrefix(events.slice(0, -1), theirs) && next(theirs.slice(before))
  }
}

/** Each disagreement that is known: what we do, what `ws` does, and why ours is right. */
const classes: Readonly<Record<string, Explains>> = {
  // RFC 6455 5.2: "the minimal number of bytes MUST be used". ws takes any form.
  'a length in a longer form than it needs': failsWith('fail 1002 length-not-minimal', () => true),
  // 5.2: "the most significant bit MUST be 0". ws finds such a length too long before it looks at the bit.
  'a 64-bit length with the top bit set': failsWith(
    'fail 1002 length-top-bit',
    ([next]) => next === 'fail 1009',
  ),
  // 8.1: we fail at the first wrong byte; ws joins the message first, and meanwhile other frames come, or nothing.
  'text that goes wrong before it ends': failsWith(
    'fail 1007 bad-utf8',
    (theirs) => !theirs.some((event) => /^(?:text|binary)/.test(event)),
  ),
  // 5.5.1: half a close code. ws sees it in the header; we, as for all of a Close, when the payload is there.
  'a Close that announces one byte': ({ events, over, unfinished }, theirs) =>
    !over &&
    unfinished &&
    isPrefix(events, theirs) &&
    theirs.length === events.length + 1 &&
    theirs.at(-1) === 'fail 1002',
}

function isPrefix(events: readonly string[], others: readonly string[]): boolean {
  return events.every((event, index) => event === others[index])
}

/** Names of violations are ours alone. */
function withoutName(event: string): string {
  return event.replace(/^(fail \d+) .*$/, '$1')
}

function ourStory(wire: Uint8Array, isServer: boolean, maxMessageSize: number): Story {
  const endpoint = new Endpoint({ from: isServer ? 'client' : 'server', maxMessageSize })
  const { events, over, decoder } = endpoint.feed([wire])
  return { events, over, unfinished: decoder.unfinished }
}

/** In the lines of `test/frames/endpoint.ts`. */
function theirStory(wire: Uint8Array, isServer: boolean, limit: number, receiver: Receiver): string[] {
  const events: string[] = []
  const hex = (name: string, payload: Buffer): void =>
    void events.push(`${name} ${payload.toString('hex')}`.trimEnd())
  const receiving = new receiver({
    isServer,
    maxPayload: limit > 0xffff ? 0 : limit,
    allowSynchronousEvents: true,
  })
  receiving.on('message', (data: Buffer, binary: boolean) => hex(binary ? 'binary' : 'text', data))
  receiving.on('ping', (payload: Buffer) => hex('ping', payload))
  receiving.on('pong', (payload: Buffer) => hex('pong', payload))
  receiving.on('conclude', (code: number, reason: Buffer) => {
    events.push(`close ${code} ${JSON.stringify(reason.toString())}`)
  })
  receiving.on('error', () => {}) // It is told of later than it is known.
  receiving.write(Buffer.from(wire))
  const error: unknown = receiving.errored
  if (error instanceof Error) events.push(`fail ${statusOf(error)}`)
  return events
}

/** Under a symbol of its own `ws` keeps the close code that answers an error. */
function statusOf(error: Error): string {
  const key = Object.getOwnPropertySymbols(error).find(({ description }) => description === 'status-code')
  return String(key === undefined ? error : Reflect.get(error, key))
}
