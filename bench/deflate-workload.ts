/** What npm run bench:deflate sends, and how it is compressed. */
import { jsonText } from './json.ts'

/** The same for everybody; for the rest zlib's defaults. */
export const deflateLevel = 6
/** Bytes from which on a message is compressed: all but the short answers of `receive` and requests of `send`. */
export const deflateThreshold = 64

/** What the server does with a message: sends it back, answers it with a few bytes, or the few bytes with it. */
export type Direction = 'echo' | 'receive' | 'send'

export interface DeflateWorkload {
  readonly direction: Direction
  readonly size: number
  /** Contexts are taken over; else both sides are asked to compress each message by itself. */
  readonly takeover: boolean
  /** Of both sides, 8 to 15. */
  readonly windowBits: number
  readonly connections: number
}

const KiB = 1024
const sizes = [
  { size: 100, connections: 64 },
  { size: KiB, connections: 64 },
  { size: 16 * KiB, connections: 16 },
  { size: KiB * KiB, connections: 4 },
]

export const deflateWorkloads: readonly DeflateWorkload[] = (['echo', 'receive', 'send'] as const).flatMap(
  (direction) =>
    sizes.flatMap((each) => [
      { direction, takeover: true, windowBits: 15, ...each },
      { direction, takeover: false, windowBits: 15, ...each },
    ]),
)

/** Connections that fall idle when so many messages of that size have come back, which makes 50 KiB. */
const talk = { direction: 'echo', size: 2560, connections: 1000 } as const
export const messagesBeforeIdle = 20
/** In ms: farewell compresses windows after ten seconds of silence, one at a time. */
export const silence = 30_000
export const idleWorkloads: readonly DeflateWorkload[] = [
  { ...talk, takeover: true, windowBits: 15 },
  { ...talk, takeover: true, windowBits: 12 },
  { ...talk, takeover: false, windowBits: 15 },
]

/** The messages, sent one after the other over and over: more than a window holds, so that none is found again in it. */
export function messagesOf(size: number): readonly string[] {
  const count = Math.max(2, Math.ceil((96 * KiB) / size))
  return Array.from({ length: count }, (_, at) => jsonText(size, 1 + at))
}

/** What a client offers for it. */
export function offerOf({ takeover, windowBits }: DeflateWorkload): string {
  return [
    'permessage-deflate',
    ...(takeover ? [] : ['server_no_context_takeover', 'client_no_context_takeover']),
    ...(windowBits === 15
      ? []
      : [`server_max_window_bits=${windowBits}`, `client_max_window_bits=${windowBits}`]),
  ].join('; ')
}

/** The server's arguments. */
export function argumentsOf({ direction, size, takeover }: DeflateWorkload): readonly string[] {
  return [direction, `${size}`, `${takeover}`]
}

export function contextOf({ takeover, windowBits }: DeflateWorkload): string {
  return takeover ? `takeover, windows of ${2 ** windowBits / KiB} KiB` : 'no takeover'
}

export function nameOf({ direction, size, takeover }: DeflateWorkload): string {
  const unit = size < KiB ? `${size} B` : size < KiB * KiB ? `${size / KiB} KiB` : `${size / KiB / KiB} MiB`
  return `${direction} ${unit}, ${takeover ? 'takeover' : 'no takeover'}`
}
