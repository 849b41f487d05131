/**
 * The network between the two ends of one connection: two TCP sockets and a flow in each direction that cuts, joins,
 * delays and stalls what passes, and ends or breaks off where its plan says. All of that goes by the count of bytes;
 * delays are those of the connection's own clock.
 */
import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import type { Cancel, Timers } from '../../lib/timers.ts'
import { Random } from '../fuzz/random.ts'
import type { Cut, FlowPlan, Plan, Rhythm } from './plan.ts'

/** From so many bytes on that have come and not gone on, the source is not read. */
const most = 64 * 1024
/** How long what is to be joined waits for more, in ms. */
const joinTime = 50

interface Piece {
  readonly kind: Exclude<Rhythm, 'mixed'>
  left: number
}

export interface NetworkEvents {
  /** Something has happened. */
  readonly moved: () => void
  /** Bytes that pass; for planting bugs. */
  readonly tamper: ((direction: 'up' | 'down', bytes: Buffer, at: number) => void) | undefined
}

export class Network {
  readonly #up: Flow
  readonly #down: Flow
  readonly #sockets: readonly Socket[]
  /** The cuts that came to pass. */
  readonly cuts: Cut[] = []
  #open = 2

  /** `head`: what the client has said so far. */
  constructor(
    plan: Plan,
    timers: Timers,
    client: Socket,
    server: Socket,
    head: Buffer,
    events: NetworkEvents,
  ) {
    const { moved, tamper } = events
    this.#sockets = [client, server]
    this.#up = new Flow(plan.up, timers, client, server, {
      moved,
      tamper: tamper && ((bytes, at) => tamper('up', bytes, at)),
      cut: (cut) => this.#cut(cut, this.#up, client, server),
    })
    this.#down = new Flow(plan.down, timers, server, client, {
      moved,
      tamper: tamper && ((bytes, at) => tamper('down', bytes, at)),
      cut: (cut) => this.#cut(cut, this.#down, server, client),
    })
    for (const socket of this.#sockets) {
      socket.on('close', () => {
        this.#open--
        moved()
      })
    }
    this.#up.take(head)
  }

  /** Both sockets have closed. */
  get closed(): boolean {
    return this.#open === 0
  }

  destroy(): void {
    this.#up.stop('deaf')
    this.#down.stop('deaf')
    for (const socket of this.#sockets) socket.destroy()
  }

  #cut(cut: Cut, flow: Flow, source: Socket, target: Socket): void {
    this.cuts.push(cut)
    const { kind } = cut
    if (kind === 'fin') {
      flow.stop('reads')
      target.end()
      return
    }
    flow.stop('deaf')
    if (kind === 'rst') target.resetAndDestroy()
    if (kind === 'rst-both') for (const socket of this.#sockets) socket.resetAndDestroy()
    if (kind !== 'freeze') {
      source.resume()
      return
    }
    this.#up.stop('deaf')
    this.#down.stop('deaf')
    for (const socket of this.#sockets) socket.pause()
  }
}

interface FlowEvents {
  readonly moved: () => void
  readonly cut: (cut: Cut) => void
  readonly tamper: ((bytes: Buffer, at: number) => void) | undefined
}

class Flow {
  readonly #plan: FlowPlan
  readonly #random: Random
  readonly #timers: Timers
  readonly #source: Socket
  readonly #target: Socket
  readonly #events: FlowEvents
  #held: Buffer[] = []
  #heldBytes = 0
  #passed = 0
  #piece: Piece | undefined
  /** Short pieces still to come in a row. */
  #shortPieces = 0
  #waiting = false
  #cancelTimer: Cancel = () => {}
  #ended = false
  /** Nothing passes any more; when deaf, a reset does not either. */
  #stopped: 'reads' | 'deaf' | undefined

  constructor(plan: FlowPlan, timers: Timers, source: Socket, target: Socket, events: FlowEvents) {
    this.#plan = plan
    this.#random = new Random(plan.seed, 'pieces')
    this.#timers = timers
    this.#source = source
    this.#target = target
    this.#events = events
    source.on('data', (chunk) => this.take(chunk))
    source.on('end', () => {
      this.#ended = true
      this.#events.moved()
      this.#pump()
    })
    source.on('error', () => {})
    // A socket that closes before its end was read has been reset, and nothing that is held here arrives.
    source.on('close', () => {
      if (!this.#ended && this.#stopped !== 'deaf') target.resetAndDestroy()
    })
    target.on('drain', () => this.#pump())
  }

  take(chunk: Buffer): void {
    this.#events.moved()
    if (this.#stopped !== undefined) return
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    this.#pump()
    if (this.#heldBytes >= most) this.#source.pause()
  }

  stop(how: 'reads' | 'deaf'): void {
    this.#stopped = how
    this.#held = []
    this.#cancelTimer()
  }

  /** Passes on what may go now. */
  #pump(): void {
    const { cut } = this.#plan
    while (!this.#waiting && this.#stopped === undefined && !this.#target.writableNeedDrain) {
      if (cut !== undefined && this.#passed >= cut.at) {
        this.#events.cut(cut)
        return
      }
      if (this.#heldBytes === 0) {
        if (this.#ended) this.#target.end()
        break
      }
      if (this.#piece === undefined) this.#beginPiece()
      else if (this.#mayJoin(this.#piece)) break
      else this.#pass(this.#piece)
    }
    if (this.#heldBytes < most && this.#piece?.kind !== 'stall' && this.#stopped === undefined)
      this.#source.resume()
  }

  #beginPiece(): void {
    const random = this.#random
    const kind: Piece['kind'] =
      this.#shortPieces > 0
        ? 'split'
        : this.#plan.rhythm === 'mixed'
          ? random.pick(['pass', 'split', 'coalesce', 'delay', 'stall'])
          : this.#plan.rhythm
    this.#piece = { kind, left: this.#sizeOf(kind) }
    if (kind === 'delay') this.#wait(random.below(200))
    if (kind === 'stall') {
      this.#source.pause()
      this.#wait(random.below(5000))
    }
  }

  #sizeOf(kind: Piece['kind']): number {
    const random = this.#random
    if (kind === 'coalesce') return 1 + random.below(most)
    if (kind !== 'split') return 1 + random.below(20_000)
    if (this.#shortPieces === 0) {
      this.#shortPieces = 1 + random.below(40)
      return 1 + random.below(3000)
    }
    this.#shortPieces--
    return 1 + random.below(7)
  }

  /** Whether the piece is held back because more may come. */
  #mayJoin(piece: Piece): boolean {
    if (piece.kind !== 'coalesce') return false
    this.#cancelTimer()
    if (this.#heldBytes >= piece.left || this.#ended) return false
    this.#cancelTimer = this.#timers.after(joinTime, () => {
      this.#piece = { kind: 'pass', left: this.#heldBytes }
      this.#pump()
    })
    return true
  }

  #pass(piece: Piece): void {
    const untilCut = (this.#plan.cut?.at ?? Infinity) - this.#passed
    const bytes = this.#takeHeld(Math.min(piece.left, this.#heldBytes, untilCut))
    this.#events.tamper?.(bytes, this.#passed)
    this.#passed += bytes.length
    piece.left -= bytes.length
    this.#target.write(bytes)
    this.#events.moved()
    if (piece.left > 0) return
    this.#piece = undefined
    if (piece.kind !== 'split') return
    // One piece a turn, or the receiver would read several at once.
    this.#waiting = true
    setImmediate(() => this.#goOn())
  }

  #takeHeld(size: number): Buffer {
    const held = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held)
    this.#held = size < held.length ? [held.subarray(size)] : []
    this.#heldBytes -= size
    return held.subarray(0, size)
  }

  #wait(ms: number): void {
    this.#waiting = true
    this.#cancelTimer = this.#timers.after(ms, () => this.#goOn())
  }

  #goOn(): void {
    this.#waiting = false
    if (this.#stopped !== undefined) return
    if (this.#piece?.kind === 'stall') this.#piece = { kind: 'pass', left: this.#piece.left }
    this.#events.moved()
    this.#pump()
  }
}
