/** What a test needs and does, with both ends of a connection that is its own; and what it sends. */
import { Buffer } from 'node:buffer'
import type { Test } from 'tap'
import type { ConnectionOptions } from '../../lib/index.ts'
import type { FakeTimers } from '../help/fake-timers.ts'
import type { Pairing } from './meeting.ts'
import type { Abilities, Meeting } from './peer.ts'

/** A column of the matrix. */
export type Feature = 'echo' | 'fragments' | 'ping' | 'subprotocol' | 'close' | 'loss' | 'deflate'

export interface Scene extends Meeting {
  readonly t: Test
  readonly pairing: Pairing
  /** Ours. It stands still, so nothing here ends because we gave up waiting, unless the test moves it. */
  readonly clock: FakeTimers
}

export interface Case {
  readonly feature: Feature
  readonly title: string
  readonly run: (scene: Scene) => Promise<void>
  /** Abilities without which there is nothing to test. */
  readonly needs?: readonly (keyof Abilities)[]
  /** Only for applications that may close with any code. */
  readonly needsAnyCode?: boolean
  /** Needs a wire between the two, so it is for TCP. */
  readonly wired?: true
  readonly our?: ConnectionOptions
  readonly offered?: string[]
  readonly known?: string[]
}

/** Characters of one, two, three and four bytes. */
export const alphabet = 'aä€😀'

/** Text of exactly so many bytes. */
export function textOf(size: number): string {
  const unit = Buffer.byteLength(alphabet)
  return alphabet.repeat(size / unit) + 'z'.repeat(size % unit)
}

export function bytesOf(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, at) => at * 31))
}
