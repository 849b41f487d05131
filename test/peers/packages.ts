/** The packages of this folder's package.json. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

/** Where this folder's files are that are not compiled, seen from where this one is compiled to. */
export const folder: URL = new URL('../../../', import.meta.url)
const require = createRequire(folder)

export function versionOf(name: string): string {
  const text = readFileSync(new URL(`node_modules/${name}/package.json`, folder), 'utf8')
  const manifest: { version: string } = JSON.parse(text)
  return manifest.version
}

/** The path of a program in a package; undefined where the package is not for this machine. */
export function programOf(file: string): string | undefined {
  try {
    return require.resolve(file)
  } catch {
    return undefined
  }
}

/** A program of this folder, in a language that is not compiled to JavaScript. */
export function sourceOf(file: string): string {
  return fileURLToPath(new URL(`programs/${file}`, folder))
}

/** This machine, as the packages of Node and Bun name it. */
export const machine = `${process.platform}-${process.arch}`
