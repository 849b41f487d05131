/**
 * Input that leaves out the stream: by Node's option `onread` a socket is read to a place of ours, and emits no 'data'.
 * That is one block for all connections, of which is copied what has come; or, for the rest of a long message, its place
 * in the message, where it stays.
 */
import { Buffer } from 'node:buffer'
import type { OnReadOpts, Socket } from 'node:net'

export interface InputSink {
  /** Takes a chunk, which becomes its own. */
  read(chunk: Buffer): void
  /** Where it wants the next bytes, if that is known. */
  roomAhead(): Buffer | undefined
  /** `size` bytes have come there, and nothing else meanwhile. */
  filled(room: Buffer, size: number): void
}

/** Of all connections: nothing stays in it. */
const block: Buffer = Buffer.allocUnsafeSlow(64 * 1024)

/** After a long message only this much is read: the next one's length, and enough of it to make room for the rest. */
const beginning: Buffer = block.subarray(0, 8 * 1024)

/** The option `onread` of one socket. */
export class DirectInput implements OnReadOpts {
  #socket: Socket | undefined
  #sink: InputSink | undefined
  /** Where the next bytes come: to their room, else here. */
  #room: Buffer | undefined
  #block = block

  /** The socket, before it is read. Until it feeds somebody its bytes come by the stream, as those of others do. */
  attach(socket: Socket): void {
    this.#socket = socket
  }

  /**
   * From now on the sink gets what comes. The stream still brings what it holds, before that, and what comes in spite of
   * a pause, as with TLS.
   */
  feed(sink: InputSink): void {
    this.#sink = sink
  }

  /** Node asks for it before anything has come, and after each `callback`. */
  readonly buffer = (): Buffer => {
    this.#room = this.#open?.roomAhead()
    if (this.#room === undefined) return this.#block
    this.#block = beginning
    return this.#room
  }

  readonly callback = (size: number): boolean => {
    const room = this.#room
    const sink = this.#open
    if (room !== undefined && sink !== undefined) {
      sink.filled(room, size)
      return true
    }
    const chunk = Buffer.from((room ?? this.#block).subarray(0, size))
    if (size === this.#block.length) this.#block = block
    if (sink === undefined) return this.#socket!.push(chunk)
    sink.read(chunk)
    return true
  }

  /** The sink, unless the stream comes first. */
  get #open(): InputSink | undefined {
    const socket = this.#socket!
    return this.#sink !== undefined && !socket.isPaused() && socket.readableLength === 0
      ? this.#sink
      : undefined
  }
}
