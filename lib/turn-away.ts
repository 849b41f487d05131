/**
 * How a client is turned away: with an answer and the end of our side of TCP. Until the client ends its own, what it
 * still sends is read and thrown away, or a reset would overtake the answer.
 */
import { Buffer } from 'node:buffer'
import type { Duplex } from 'node:stream'
import type { Cancel, Timers } from './timers.ts'

/** What comes in smaller pieces, in bytes, is left to the kernel for a while: each by itself would cost as much as all. */
const crumb = 1024
/** How long, in ms. */
const pileTime = 100
/** With this much waiting in it a socket stops reading; pausing it alone does not stop it. */
const ballast = Buffer.alloc(64 * 1024)

/** Answers and ends; destroys the socket when the client has not ended in time. */
export function turnAway(
  socket: Duplex,
  answer: Buffer | string,
  lingerTimeout: number,
  timers: Timers,
  onAnswered: () => void,
): void {
  // Node's parser, where it is still there, has nothing to look for any more.
  socket.removeAllListeners('data')
  socket.end(answer, onAnswered)
  let cancelPile: Cancel = () => {}
  socket.on('data', (chunk: Buffer) => {
    if (chunk.length >= crumb) return
    socket.pause()
    socket.unshift(ballast)
    cancelPile = timers.after(pileTime, () => socket.resume())
  })
  socket.resume() // Who brought it may have paused it.
  const cancelLinger = timers.after(lingerTimeout, () => socket.destroy())
  socket.once('close', () => {
    cancelPile()
    cancelLinger()
  })
}
