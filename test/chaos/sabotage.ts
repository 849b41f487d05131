/** Bugs to plant in a connection, to see that each is found. */
import type { Buffer } from 'node:buffer'
import type { Message } from '../../lib/index.ts'
import type { Sabotage } from './link.ts'

/** Both ends lose or change messages on their way to `send`. */
function spoilt(spoil: (number: number, message: Message) => Message[]): Sabotage {
  return { spoil: () => spoil }
}

/** Swaps messages 4 and 5. */
function swap(): Sabotage {
  return {
    spoil: () => {
      let held: Message | undefined
      return (number, message) => {
        if (number === 4) {
          held = message
          return []
        }
        return number === 5 && held !== undefined ? [message, held] : [message]
      }
    },
  }
}

function cutShort(message: Message): Message {
  return typeof message === 'string' ? message.slice(0, -1) : message.subarray(0, -1)
}

/** Turns one byte over far behind the handshake. */
function flip(direction: 'up' | 'down', bytes: Buffer, at: number): void {
  const place = 1500 - at
  if (direction === 'down' && place >= 0 && place < bytes.length) bytes[place]! ^= 0x10
}

export const sabotages: Readonly<Record<string, Sabotage>> = {
  'a message is dropped': spoilt((number, message) => (number === 3 ? [] : [message])),
  'two messages are swapped': swap(),
  'a message is sent twice': spoilt((number, message) => (number === 3 ? [message, message] : [message])),
  'the last byte of a message is lost': spoilt((number, message) => [
    number === 3 ? cutShort(message) : message,
  ]),
  'the end of the conversation is lost': spoilt((number, message) => (number < 3 ? [message] : [])),
  'a byte is changed on the wire': { tamper: flip },
}
