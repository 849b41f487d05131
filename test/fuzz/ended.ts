/** Bytes on their way to a connection in memory, and the wait for its end without a look at the clock. */
import type { Duplex } from 'node:stream'
import type { Connection } from '../../lib/connection.ts'
import { turns } from '../help/loop.ts'
import type { Random } from './random.ts'

/** So many turns of the event loop pass while zlib does its longest work many times over. */
const patience = 1_000_000

/** Waits for the end of a connection on which nothing more will happen by itself; false where it does not come. */
export function ended(connection: Connection): Promise<boolean> {
  return comes(() => connection.state === 'closed')
}

/** The same for a socket. */
export function destroyed(socket: Duplex): Promise<boolean> {
  return comes(() => socket.destroyed)
}

/** Waits until that is so; false where it does not come. */
export async function comes(done: () => boolean): Promise<boolean> {
  for (let turn = 0; !done() && turn < patience; turn++) await turns()
  return done()
}

/** One to four pieces; they may be empty. */
export function cutRandomly(bytes: Uint8Array, cuts: Random): Uint8Array[] {
  const places = Array.from({ length: cuts.below(4) }, () => cuts.below(bytes.length + 1))
  const edges = [0, ...places.toSorted((a, b) => a - b), bytes.length]
  return edges.slice(1).map((end, index) => bytes.subarray(edges[index], end))
}
