/** Messages that tell when they are lost, repeated, out of order, cut or changed: each holds its number and a checksum. */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import type { Message } from '../../lib/index.ts'
import { Random } from '../fuzz/random.ts'

const headerSize = 12
const longest = 300_000

/** What messages are cut from: half of it can be compressed. */
const material = makeMaterial()
const text = material.toString('latin1').replaceAll(/[^a-z ]/g, 'é')

function makeMaterial(): Buffer {
  const random = new Random('material')
  const noise = Buffer.from(random.bytes(longest))
  const words = Array.from({ length: 200 }, () =>
    Buffer.from(random.bytes(1 + random.below(9)).map((byte) => 97 + (byte % 26))).toString(),
  )
  let prose = ''
  while (prose.length < longest) prose += `${random.pick(['the', ...words])} `
  return Buffer.concat([Buffer.from(prose), noise])
}

/** The messages of one end of one connection, the same for the same seed. */
export class NumberedMessages {
  readonly #random: Random
  readonly #largest: number
  readonly #stream: number
  #next = 0

  constructor(seed: number, largest: number) {
    this.#stream = seed >>> 0
    this.#random = new Random(seed, 'messages')
    this.#largest = largest
  }

  next(): Message {
    const random = this.#random
    const rare = random.below(2000) === 0
    const size = random.below(1 + (rare ? longest : this.#largest))
    const from = random.below(material.length - size)
    const number = this.#next++
    if (!random.once(2)) return binaryMessage(this.#stream, number, material.subarray(from, from + size))
    const start = from % (text.length - size)
    return textMessage(this.#stream, number, text.slice(start, start + size))
  }
}

function binaryMessage(stream: number, number: number, body: Buffer): Buffer {
  const message = Buffer.allocUnsafe(headerSize + body.length)
  message.writeUInt32BE(stream, 0)
  message.writeUInt32BE(number, 4)
  message.writeUInt32BE(crc32(body), 8)
  message.set(body, headerSize)
  return message
}

function textMessage(stream: number, number: number, body: string): string {
  return `${stream} ${number} ${crc32(body)} ${body}`
}

/** Checks that what comes is message 0, 1, 2 … of a stream. */
export class PrefixCheck {
  readonly #stream: number
  #next = 0

  constructor(seed: number) {
    this.#stream = seed >>> 0
  }

  /** How many have come, all in order. */
  get received(): number {
    return this.#next
  }

  /** What is wrong with the next message. */
  faultOf(message: Message): string | undefined {
    const { stream, number, checksum, body } = partsOf(message)
    const place = `message ${number} in the place of ${this.#next}`
    if (stream !== this.#stream) return `${place} is from another stream or no message of ours`
    if (crc32(body) !== checksum) return `${place} does not have the content that was sent`
    if (number !== this.#next)
      return `${place}: ${number < this.#next ? 'repeated or out of order' : 'a gap'}`
    this.#next++
    return undefined
  }
}

interface Parts {
  readonly stream: number
  readonly number: number
  readonly checksum: number
  readonly body: Buffer | string
}

function partsOf(message: Message): Parts {
  if (typeof message === 'string') {
    const [, stream, number, checksum, body = ''] = /^(\d+) (\d+) (\d+) (.*)$/s.exec(message) ?? []
    return { stream: Number(stream), number: Number(number), checksum: Number(checksum), body }
  }
  if (message.length < headerSize) return { stream: NaN, number: NaN, checksum: NaN, body: message }
  return {
    stream: message.readUInt32BE(0),
    number: message.readUInt32BE(4),
    checksum: message.readUInt32BE(8),
    body: message.subarray(headerSize),
  }
}
