/**
 * A second decoder to compare with: the RFC read out aloud. It wants all bytes at once, copies everything, counts in
 * BigInt and shares no code with `frames/`. Where it differs from the real one, one of the two is wrong.
 *
 * It tells its events in the lines of `test/frames/endpoint.ts`.
 */
import { Buffer } from 'node:buffer'

export interface ReferenceOptions {
  readonly from: 'client' | 'server'
  readonly maxMessageSize: number
  readonly rsv1Allowed: boolean
}

export interface Result {
  readonly events: string[]
  /** A Close or a failure came: nothing after it counts. */
  readonly over: boolean
  /** Frames that ended, and what is there of a frame or a message that did not. */
  readonly frames: number
  readonly unfinished: boolean
  readonly partial: string
}

interface Message {
  readonly kind: 'text' | 'binary'
  readonly rsv1: boolean
  payload: Buffer
}

export function reference(bytes: Uint8Array, options: ReferenceOptions): Result {
  const events: string[] = []
  let message: Message | undefined
  let frames = 0
  let at = 0

  const over = (event: string): Result => {
    events.push(event)
    return { events, over: true, frames, unfinished: false, partial: '' }
  }
  const wait = (unfinished: boolean): Result => {
    const partial = message?.payload.toString('hex') ?? ''
    return { events, over: false, frames, unfinished: unfinished || message !== undefined, partial }
  }

  for (;;) {
    const [first, second] = bytes.slice(at, at + 2)
    if (first === undefined) return wait(false)
    if (second === undefined) return wait(true)
    const fin = first >= 128
    const rsv = Math.floor(first / 16) % 8
    const opcode = first % 16
    const masked = second >= 128
    const field = second % 128
    const control = opcode >= 8

    // 5.2, 5.5, 5.4, 5.1: what two bytes show.
    if (![0, 1, 2, 8, 9, 10].includes(opcode)) return over('fail 1002 reserved-opcode')
    const compressed = rsv === 4 && options.rsv1Allowed && (opcode === 1 || opcode === 2)
    if (rsv !== 0 && !compressed) return over('fail 1002 reserved-bit')
    if (control && !fin) return over('fail 1002 fragmented-control')
    if (control && field > 125) return over('fail 1002 long-control')
    if (!control && opcode !== 0 && message !== undefined) return over('fail 1002 nested-message')
    if (!control && opcode === 0 && message === undefined) return over('fail 1002 orphan-continuation')
    if (options.from === 'client' && !masked) return over('fail 1002 missing-mask')
    if (options.from === 'server' && masked) return over('fail 1002 unexpected-mask')
    at += 2

    // 5.2: the length.
    const extended = field === 126 ? 2 : field === 127 ? 8 : 0
    const lengthBytes = bytes.slice(at, at + extended)
    if (lengthBytes.length < extended) return wait(true)
    let length = extended === 0 ? BigInt(field) : 0n
    for (const byte of lengthBytes) length = length * 256n + BigInt(byte)
    if (length >= 1n << 63n) return over('fail 1002 length-top-bit')
    if ((extended === 2 && length < 126n) || (extended === 8 && length < 65536n)) {
      return over('fail 1002 length-not-minimal')
    }
    // RFC 7692 7.2.3.3: what does not compress comes in stored blocks, a little longer than it is.
    const max = BigInt(options.maxMessageSize)
    const limit = compressed || message?.rsv1 === true ? max + max / 1024n + 64n : max
    if (!control && BigInt(message?.payload.length ?? 0) + length > limit) {
      return over('fail 1009 message-too-big')
    }
    at += extended

    // 5.3: the key.
    const key = masked ? bytes.slice(at, at + 4) : Uint8Array.of(0, 0, 0, 0)
    if (key.length < 4) return wait(true)
    if (masked) at += 4

    // 5.3, 5.4, 5.5: the payload, or the part of it that is there.
    const wanted = Number(length)
    const payload = Buffer.from(bytes.slice(at, at + wanted).map((byte, index) => byte ^ key[index % 4]!))
    const whole = payload.length === wanted
    at += wanted
    if (whole) frames++

    if (control) {
      if (!whole) return wait(true)
      if (opcode === 8) return over(judgeClose(payload))
      events.push(`${opcode === 9 ? 'ping' : 'pong'} ${payload.toString('hex')}`.trimEnd())
      continue
    }
    message ??= { kind: opcode === 1 ? 'text' : 'binary', rsv1: compressed, payload: Buffer.alloc(0) }
    message.payload = Buffer.concat([message.payload, payload])
    if (message.kind === 'text' && !message.rsv1) {
      const judged = judgeUtf8(message.payload)
      if (judged === 'bad' || (judged === 'cut' && whole && fin)) return over('fail 1007 bad-utf8')
    }
    if (!whole) return wait(true)
    if (!fin) continue
    const data = message.payload.toString('hex')
    events.push(`${message.rsv1 ? 'rsv1 ' : ''}${message.kind} ${data}`.trimEnd())
    message = undefined
  }
}

/** RFC 6455 sections 5.5.1 and 7.4. */
export function judgeClose(payload: Buffer): string {
  if (payload.length === 0) return 'close 1005 ""'
  if (payload.length === 1) return 'fail 1002 short-close'
  const code = payload[0]! * 256 + payload[1]!
  const known = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].includes(code)
  if (!known && (code < 3000 || code > 4999)) return 'fail 1002 bad-close-code'
  const reason = payload.subarray(2)
  if (judgeUtf8(reason) !== 'good') return 'fail 1007 bad-close-reason'
  return `close ${code} ${JSON.stringify(reason.toString())}`
}

/** RFC 3629 section 3 by arithmetic: decode each character and look at its number. */
function judgeUtf8(bytes: Uint8Array): 'good' | 'cut' | 'bad' {
  for (let at = 0; at < bytes.length;) {
    const lead = bytes[at]!
    if (lead < 0x80) {
      at++
      continue
    }
    if (lead < 0xc0 || lead > 0xf7) return 'bad'
    const size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    // The smallest and the largest character that begins like this: where all of them are illegal, this is too.
    let lowest = lead % (size === 2 ? 32 : size === 3 ? 16 : 8)
    let highest = lowest
    for (let index = 1; index < size; index++) {
      const byte = bytes[at + index]
      if (byte !== undefined && (byte < 0x80 || byte > 0xbf)) return 'bad'
      lowest = lowest * 64 + (byte === undefined ? 0 : byte - 0x80)
      highest = highest * 64 + (byte === undefined ? 63 : byte - 0x80)
      const rest = 64 ** (size - 1 - index)
      if (noneLegal(lowest * rest, highest * rest + rest - 1, size)) return 'bad'
    }
    if (at + size > bytes.length) return 'cut'
    at += size
  }
  return 'good'
}

/** True when no character from `lowest` to `highest` may be written in `size` bytes. */
function noneLegal(lowest: number, highest: number, size: number): boolean {
  const shortest = size === 2 ? 0x80 : size === 3 ? 0x800 : 0x10000
  if (highest < shortest || lowest > 0x10ffff) return true
  return lowest >= 0xd800 && highest <= 0xdfff
}
