/**
 * What the first two bytes of a frame decide: RFC 6455 sections 5.1 to 5.5 as one function, and the same baked into
 * a table so that the decoder pays one look-up a frame.
 */
import { isControl, Opcode } from './opcode.ts'
import type { ViolationName } from './violation.ts'

/** The facts of a frame that the rules ask for. */
export interface FrameFacts {
  readonly opcode: number
  readonly fin: boolean
  /** The three RSV bits; RSV1 is 4. */
  readonly rsv: number
  readonly masked: boolean
  /** The length field says more than 125. */
  readonly long: boolean
  readonly fromClient: boolean
  /** A message has begun and not ended. */
  readonly insideMessage: boolean
  /** An extension gave RSV1 a meaning on the first frame of a message (RFC 7692 section 6). */
  readonly rsv1Allowed: boolean
}

/** The first rule that a frame breaks, undefined for a legal frame. */
export function judgeFrame(frame: FrameFacts): ViolationName | undefined {
  const { opcode, fin, rsv, masked, long, fromClient, insideMessage, rsv1Allowed } = frame
  if (isControl(opcode)) {
    if (opcode > Opcode.pong) return 'reserved-opcode' // 5.2
    if (rsv !== 0) return 'reserved-bit' // 5.2; RFC 7692 6.1: control frames are never compressed
    if (!fin) return 'fragmented-control' // 5.5
    if (long) return 'long-control' // 5.5
  } else {
    if (opcode > Opcode.binary) return 'reserved-opcode' // 5.2
    const first = opcode !== Opcode.continuation
    if (rsv !== 0 && !(rsv === 4 && first && rsv1Allowed)) return 'reserved-bit' // 5.2; RFC 7692 6.1
    if (first && insideMessage) return 'nested-message' // 5.4
    if (!first && !insideMessage) return 'orphan-continuation' // 5.4
  }
  if (fromClient && !masked) return 'missing-mask' // 5.1
  if (!fromClient && masked) return 'unexpected-mask' // 5.1
  return undefined
}

/** The bits of an index into `verdicts`, above the frame's first byte. */
export const Fact = {
  long: 0x100,
  masked: 0x200,
  fromClient: 0x400,
  insideMessage: 0x800,
  rsv1Allowed: 0x1000,
} as const

const names: ViolationName[] = []

/** Indexed by the frame's first byte and its facts: 0 for a legal frame, else what `verdictName` explains. */
export const verdicts: Uint8Array = bake()

/** The violation behind an entry of `verdicts` that is not 0. */
export function verdictName(verdict: number): ViolationName {
  return names[verdict - 1]!
}

function bake(): Uint8Array {
  const table = new Uint8Array(0x2000)
  for (let index = 0; index < table.length; index++) {
    const name = judgeFrame({
      opcode: index & 0x0f,
      fin: (index & 0x80) !== 0,
      rsv: (index >> 4) & 7,
      masked: (index & Fact.masked) !== 0,
      long: (index & Fact.long) !== 0,
      fromClient: (index & Fact.fromClient) !== 0,
      insideMessage: (index & Fact.insideMessage) !== 0,
      rsv1Allowed: (index & Fact.rsv1Allowed) !== 0,
    })
    if (name === undefined) continue
    if (!names.includes(name)) names.push(name)
    table[index] = names.indexOf(name) + 1
  }
  return table
}
