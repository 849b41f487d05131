/** One message sent in fragments as its parts come: RFC 6455 section 5.4. */
import { type MessageOpcode, Opcode } from '../frames/opcode.ts'
import { type Data, opcodeOf, payloadOf } from './payload.ts'

/** Parts, one after the other, now or later. */
export type Parts = Iterable<Data> | AsyncIterable<Data>

export interface FragmentSink {
  /** Queues a fragment and waits while there is too much; rejects when nothing more can be sent. */
  fragment(
    opcode: MessageOpcode | typeof Opcode.continuation,
    payload: Uint8Array | string,
    fin: boolean,
  ): Promise<void>
  /** Settles as `part` does, but rejects when the connection closes first. */
  unlessClosed<T>(part: Promise<T>): Promise<T>
}

/**
 * Sends what the iterator yields as one message. Rejects with what it throws, a TypeError for a part of another type than the
 * first, or what the sink rejects with.
 */
export async function streamFragments(
  iterator: Iterator<Data> | AsyncIterator<Data>,
  sink: FragmentSink,
): Promise<void> {
  let opcode: MessageOpcode | undefined
  let half = ''
  try {
    for (;;) {
      // The callback turns a throw of `next` into a rejection.
      const next = await sink.unlessClosed(Promise.resolve().then(() => iterator.next()))
      if (next.done === true) break
      let payload = payloadOf(next.value)
      const first = opcode === undefined
      opcode ??= opcodeOf(payload)
      if (opcodeOf(payload) !== opcode)
        throw new TypeError('the parts of one message must be all strings or all bytes')
      if (typeof payload === 'string') [payload, half] = splitSurrogate(half + payload)
      await sink.fragment(first ? opcode : Opcode.continuation, payload, false)
    }
    await sink.fragment(opcode === undefined ? Opcode.text : Opcode.continuation, half, true)
  } catch (error) {
    // The iterator may be in the middle of a part that never comes; nobody waits for it.
    Promise.resolve()
      .then(() => iterator.return?.())
      .catch(() => {})
    throw error
  }
}

/** Cuts off the first half of a surrogate pair whose second half the next part may bring. */
function splitSurrogate(text: string): [text: string, half: string] {
  return /[\ud800-\udbff]$/.test(text) ? [text.slice(0, -1), text.slice(-1)] : [text, '']
}

/** @throws TypeError for what has no parts; a string or a typed array is one part, not many */
export function iteratorOf(parts: Parts): Iterator<Data> | AsyncIterator<Data> {
  if (
    typeof parts !== 'object' ||
    parts === null ||
    ArrayBuffer.isView(parts) ||
    !(Symbol.asyncIterator in parts || Symbol.iterator in parts)
  ) {
    throw new TypeError('the parts of a message must be an iterable or an async iterable')
  }
  return Symbol.asyncIterator in parts ? parts[Symbol.asyncIterator]() : parts[Symbol.iterator]()
}
