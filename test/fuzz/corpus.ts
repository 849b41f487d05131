/** Inputs worth keeping: `corpus/FOLDER/*.hex`. The README there says what the bytes mean. */
import { Buffer } from 'node:buffer'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'

// This file runs from .build/test/fuzz/, or from test/peers/.build/test/fuzz/.
export const root: URL = new URL(import.meta.url.replace(/(?:test\/peers\/)?\.build\/.*$/, ''))

export interface Entry {
  readonly name: string
  readonly bytes: Uint8Array
}

/** The entries of a folder of the corpus. */
export function readCorpus(folder: string): Entry[] {
  const path = folderOf(folder)
  const files = existsSync(path) ? readdirSync(path).filter((file) => file.endsWith('.hex')) : []
  return files.toSorted().map((file) => ({
    name: file.slice(0, -'.hex'.length),
    bytes: parseHex(readFileSync(new URL(file, path), 'utf8')),
  }))
}

/** Writes a new entry and returns its path. */
export function addToCorpus(folder: string, name: string, note: string, bytes: Uint8Array): URL {
  if (!/^[a-z0-9-]+$/.test(name))
    throw new TypeError(`not a name of lower case letters, digits and dashes: ${name}`)
  const path = folderOf(folder)
  mkdirSync(path, { recursive: true })
  const file = new URL(`${name}.hex`, path)
  writeFileSync(file, formatHex(bytes, note), { flag: 'wx' })
  return file
}

/** Bytes as a file of the corpus has them. */
export function formatHex(bytes: Uint8Array, note: string): string {
  const lines = (
    Buffer.from(bytes)
      .toString('hex')
      .match(/.{1,96}/g) ?? []
  ).map((line) => line.replaceAll(/..\B/g, '$& '))
  return `${note.replaceAll(/^/gm, '# ')}\n${lines.join('\n')}\n`
}

/** Hex in which white space means nothing and `#` begins a comment. */
export function parseHex(text: string): Uint8Array {
  const hex = text.replaceAll(/#.*|\s/g, '')
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) throw new TypeError(`not hex: ${text}`)
  return Buffer.from(hex, 'hex')
}

function folderOf(folder: string): URL {
  return new URL(`test/fuzz/corpus/${folder}/`, root)
}
