/** The test vectors of `vectors.json`, typed. The README beside it says what each field means. */
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'

/** Bytes in the notation of the README, for `expand`. */
export type Bytes = string

export interface DeflateParameters {
  readonly server_no_context_takeover?: boolean
  readonly client_no_context_takeover?: boolean
  readonly server_max_window_bits?: number
  readonly client_max_window_bits?: number
}

export type VectorEvent =
  | { readonly event: 'message'; readonly kind: 'text' | 'binary'; readonly data: Bytes }
  | { readonly event: 'ping'; readonly data: Bytes }
  | { readonly event: 'pong'; readonly data: Bytes }
  | { readonly event: 'close'; readonly code: number; readonly reason: string }
  | { readonly event: 'fail'; readonly code: number; readonly also?: readonly number[] }
  | { readonly event: 'lost'; readonly code: 1006 }

export interface Vector {
  readonly id: string
  readonly role: 'server' | 'client'
  readonly req: readonly string[]
  readonly level?: 'should' | 'may' | 'policy'
  readonly options?: { readonly maxMessage?: number; readonly deflate?: DeflateParameters }
  readonly chunks: readonly Bytes[]
  readonly split?: number
  readonly eof?: boolean
  readonly expect: readonly VectorEvent[]
  readonly failAt?: number
  readonly alt?: readonly (readonly VectorEvent[])[]
  readonly note?: string
}

export interface EncodeVector {
  readonly id: string
  readonly req: readonly string[]
  readonly opcode: 0 | 1 | 2 | 8 | 9 | 10
  readonly fin: boolean
  readonly rsv1: boolean
  readonly mask: string | null
  readonly data: Bytes
  readonly bytes: Bytes
}

/** A set of extension parameters as a header shows them; null is a parameter without a value. */
export type HeaderParameters = Readonly<Record<string, number | null>>

export interface Vectors {
  readonly format: 1
  readonly vectors: readonly Vector[]
  readonly encode: readonly EncodeVector[]
  readonly accept: readonly { readonly key: string; readonly accept: string }[]
  readonly keys: readonly { readonly key: string; readonly valid: boolean; readonly why: string }[]
  readonly extensionHeader: readonly {
    readonly header: string
    readonly result:
      readonly (readonly [name: string, parameters: readonly (readonly [string, string | null])[]])[] | null
  }[]
  readonly deflateOffers: readonly {
    readonly offer: string
    readonly accept: boolean
    readonly why: string
    readonly response?: readonly HeaderParameters[]
    readonly level?: string
  }[]
  readonly deflateResponses: readonly {
    readonly offer: string
    readonly response: string | null
    readonly ok: boolean
    readonly why: string
    readonly level?: string
  }[]
  readonly closeCodes: readonly {
    readonly code: number
    readonly receive: 0 | 1
    readonly send: 0 | 1
    readonly api: 0 | 1
  }[]
}

/** All of `vectors.json`. Its shape is checked by vectors.test.ts. */
export const vectors: Vectors = JSON.parse(
  // This file runs from .build/test/vectors/, which holds no JSON.
  readFileSync(new URL('../../../test/vectors/vectors.json', import.meta.url), 'utf8'),
)

/** Bytes from their notation: hex tokens, each maybe repeated, `61*3 0d0a` for `6161610d0a`. */
export function expand(bytes: Bytes): Buffer {
  const tokens = bytes.split(' ').filter((token) => token !== '')
  return Buffer.concat(
    tokens.map((token) => {
      const [hex = '', times = '1'] = token.split('*')
      return Buffer.from(hex.repeat(Number(times)), 'hex')
    }),
  )
}

/** The input of a vector as it is to be read from the network: its chunks, cut anew where it says `split`. */
export function inputOf(vector: Vector): Buffer[] {
  const chunks = vector.chunks.map(expand)
  if (vector.split === undefined) return chunks
  const whole = Buffer.concat(chunks)
  const pieces: Buffer[] = []
  for (let at = 0; at < whole.length; at += vector.split) pieces.push(whole.subarray(at, at + vector.split))
  return pieces
}
