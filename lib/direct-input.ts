/**
 * The way in that leaves out the stream: by Node's option `onread` a socket is read to a place of ours, and emits no
 * 'data'. That is one block for all connections, of which is copied what has come, or, for the rest of a long message,
 * its place in the message, where it stays.
 */
import { Buffer } from 'node:buffer'
import type { OnReadOpts, Socket } from 'node:net'

export interface InputSink {
  /** Takes a chunk, which becomes its own. */
  read(chunk: Buffer): void
  /** Where the next bytes belong, if anywhere yet. */
  roomAhead(): Buffer | undefined
  /** So many have come there. Nothing has been read since. */
  filled(room: Buffer, size: number): void
}

/** Nothing stays in it. */
const block: Buffer = Buffer.allocUnsafeSlow(64 * 1024)

/** After a long message so much of the next one is read: enough to know its length and to make room for the rest. */
const beginning: Buffer = block.subarray(0, 8 * 1024)

/** Belongs to one socket, and is its option `onread`. */
export class DirectInput implements OnReadOpts {
  #socket: Socket | undefined
  #sink: InputSink | undefined
  /** Where the next bytes come, if they have no room. */
  #block = block
  #room: Buffer | undefined

  /** The socket, before it is read. Its bytes come by the stream, as others' do, until there is a sink for them. */
  attach(socket: Socket): void {
    this.#socket = socket
  }

  /** To this sink all goes that comes from now on, unless the socket is paused. What the stream holds then is still to be read by it. */
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
    if (room === undefined && size === this.#block.length) this.#block = block
    if (sink === undefined) return this.#socket!.push(chunk)
    sink.read(chunk)
    return true
  }

  /** The sink, where nothing in the stream comes first. TLS may bring something although the socket is paused. */
  get #open(): InputSink | undefined {
    const socket = this.#socket!
    return this.#sink !== undefined && !socket.isPaused() && socket.readableLength === 0
      ? this.#sink
      : undefined
  }
}
