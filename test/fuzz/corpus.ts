/** Inputs worth keeping: `corpus/*.hex`. The README there says what the bytes mean. */
import { Buffer } from 'node:buffer'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

// This file runs from .build/test/fuzz/.
const folder = new URL('../../../test/fuzz/corpus/', import.meta.url)

export interface Entry {
  readonly name: string
  readonly bytes: Uint8Array
}

export function readCorpus(): Entry[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.hex'))
  return files.toSorted().map((file) => ({
    name: file.slice(0, -'.hex'.length),
    bytes: parseHex(readFileSync(new URL(file, folder), 'utf8')),
  }))
}

/** Writes a new entry and returns its path. */
export function addToCorpus(name: string, note: string, bytes: Uint8Array): URL {
  if (!/^[a-z0-9-]+$/.test(name))
    throw new TypeError(`not a name of lower case letters, digits and dashes: ${name}`)
  const file = new URL(`${name}.hex`, folder)
  const lines = (
    Buffer.from(bytes)
      .toString('hex')
      .match(/.{1,96}/g) ?? []
  ).map((line) => line.replaceAll(/..\B/g, '$& '))
  writeFileSync(file, `# ${note}\n${lines.join('\n')}\n`, { flag: 'wx' })
  return file
}

/** Hex in which white space means nothing and `#` begins a comment. */
export function parseHex(text: string): Uint8Array {
  const hex = text.replaceAll(/#.*|\s/g, '')
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) throw new TypeError(`not hex: ${text}`)
  return Buffer.from(hex, 'hex')
}
