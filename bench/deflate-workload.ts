/** What npm run bench:deflate sends, and how it is compressed. */
import { jsonText } from './json.ts'

/** The same for everybody; for the rest zlib's defaults: level 6, memLevel 8, windows of 32 KiB. */
export const deflateLevel = 6
/** Bytes from which on a message is compressed: all but the short answers of `receive` and requests of `send`. */
export const deflateThreshold = 64

/** What the server does with a message: sends it back, answers it with a few bytes, or the few bytes with it. */
export type Direction = 'echo' | 'receive' | 'send'

export interface DeflateWorkload {
  readonly direction: Direction
  readonly size: number
  readonly takeover: boolean
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
      { direction, takeover: true, ...each },
      { direction, takeover: false, ...each },
    ]),
)

/** The messages, sent one after the other over and over: more than a window holds, so that none is found again in it. */
export function messagesOf(size: number): readonly string[] {
  const count = Math.max(2, Math.ceil((96 * KiB) / size))
  return Array.from({ length: count }, (_, at) => jsonText(size, 1 + at))
}

export function nameOf({ direction, size, takeover }: DeflateWorkload): string {
  const unit = size < KiB ? `${size} B` : size < KiB * KiB ? `${size / KiB} KiB` : `${size / KiB / KiB} MiB`
  return `${direction} ${unit}, ${takeover ? 'takeover' : 'no takeover'}`
}
