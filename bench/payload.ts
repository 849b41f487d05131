/** The content of messages. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'

/** Random bytes; text that is all ASCII; text with characters of one to four bytes. */
export type Content = 'binary' | 'ascii' | 'mixed'

/** Two bytes a character in some scripts, three in others, four in the last of them. */
const scripts = 'Grüße, мир! こんにちは, 世界. Καλημέρα 👋 '

const payloads: Readonly<Record<Content, (size: number) => Buffer>> = {
  binary: randomBytes,
  ascii: (size) =>
    Buffer.from(
      randomBytes(Math.ceil(size / 2))
        .toString('hex')
        .slice(0, size),
    ),
  mixed: (size) => {
    const payload = Buffer.alloc(size, ' ')
    // Only whole characters are written.
    new TextEncoder().encodeInto(scripts.repeat(Math.ceil(size / scripts.length)), payload)
    return payload
  },
}

/** A payload of exactly so many bytes. */
export function payloadOf(content: Content, size: number): Buffer {
  return payloads[content](size)
}
