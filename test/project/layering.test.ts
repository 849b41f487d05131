/**
 * A file imports only from files below it, and frames/ knows no socket, timer or event emitter.
 * These two lists are the layout of the code, from the ground up. A name that ends in a slash is a folder, whose
 * files may import each other. A new file gets its line here, above everything that it imports.
 */
const frames = [
  'opcode',
  'close-code',
  'simd',
  'mask',
  'utf8',
  'violation',
  'rules',
  'header',
  'close-payload',
  'encoder',
  'decoder',
  'index',
]
const lib = [
  'timers',
  'time-limit',
  'abort-watch',
  'waits',
  'mask-keys',
  'url',
  'header-list',
  'message',
  'payload',
  'budget',
  'deflate/',
  'close-info',
  'lifecycle',
  'errors',
  'refusal',
  'options',
  'handshake',
  'heartbeat',
  'pings',
  'awaited',
  'peer-watch',
  'unfinished-message',
  'receiver',
  'message-queue',
  'direct-input',
  'rate-limit',
  'reader',
  'prepared-message',
  'turns',
  'output',
  'sender',
  'fragment-stream',
  'closing',
  'connection-events',
  'core',
  'connection',
  'connecting',
  'host-lookup',
  'client',
  'admission',
  'turn-away',
  'upgrade-router',
  'server',
  'index',
]
/** All that frames/ may have from outside: neither does I/O. */
const pure = new Set(['node:buffer', 'node:crypto'])

import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const layers = [...frames.map((name) => `frames/${name}`), ...lib.map((name) => `lib/${name}`)]

/** The height of a file, or -1 where the lists do not know it. */
function layerOf(file: string): number {
  const name = file.replace(/\.ts$/, '')
  return layers.findIndex((layer) => (layer.endsWith('/') ? name.startsWith(layer) : name === layer))
}

function filesOf(folder: string): string[] {
  return readdirSync(posix.join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => posix.join(folder, file.replaceAll('\\', '/')))
    .filter((file) => file.endsWith('.ts'))
    .toSorted()
}

interface Import {
  readonly file: string
  readonly line: number
  /** The path of a file of ours, or the name of a package. */
  readonly target: string
  readonly isOurs: boolean
}

/** Every import and re-export of a file, of types too, which are gone from the compiled file. */
function importsOf(file: string): Import[] {
  const source = readFileSync(posix.join(root, file), 'utf8')
  // A statement begins its line; import() and the type import('…') may be anywhere but in a comment.
  const statement = /^(?:import|export)\b(?:[^'"`;=(]*?\bfrom)?\s*(['"])(.+?)\1/gm
  const call = /^(?!\s*(?:\/\/|\/?\*)).*?\bimport\(\s*(['"])(.+?)\1/gm
  return [...source.matchAll(statement), ...source.matchAll(call)].map((match) => {
    const specifier = match[2] ?? ''
    const isOurs = specifier.startsWith('.')
    return {
      file,
      line: source.slice(0, match.index).split('\n').length,
      target: isOurs ? posix.join(posix.dirname(file), specifier) : specifier,
      isOurs,
    }
  })
}

const files = [...filesOf('frames'), ...filesOf('lib')]
const imports = new Map(files.map((file) => [file, importsOf(file)]))

t.test('every file has its place in the lists of this test, and every place its file', async (t) => {
  t.strictSame(
    files.filter((file) => layerOf(file) === -1),
    [],
    'files that are in neither list',
  )
  t.strictSame(
    layers.filter((_, layer) => !files.some((file) => layerOf(file) === layer)),
    [],
    'entries without a file',
  )
})

t.test('a file imports only from files below it', async (t) => {
  const ours = [...imports.values()].flat().filter(({ isOurs }) => isOurs)
  t.not(ours.length, 0, 'imports were found')
  const upwards = ours.filter(({ file, target }) => {
    const [from, to] = [layerOf(file), layerOf(target)]
    const inOneFolder = from === to && layers[from]?.endsWith('/')
    return from !== -1 && to >= from && !inOneFolder
  })
  t.strictSame(
    upwards.map(({ file, line, target }) => `${file}:${line} imports ${target}`),
    [],
    'imports that run upwards',
  )
})

t.test('no import runs in a circle', async (t) => {
  const circles: string[] = []
  const done = new Set<string>()
  function follow(file: string, path: readonly string[]): void {
    const start = path.indexOf(file)
    if (start !== -1) circles.push([...path.slice(start), file].join(' -> '))
    else if (!done.has(file)) {
      for (const { target, isOurs } of imports.get(file) ?? []) if (isOurs) follow(target, [...path, file])
      done.add(file)
    }
  }
  for (const file of files) follow(file, [])
  t.strictSame(circles, [], 'circles')
})

t.test('frames/ imports only itself and what does no I/O, lib/ only itself, frames/ and Node', async (t) => {
  const outside = [...imports.values()].flat().filter(({ file, target, isOurs }) => {
    const inFrames = file.startsWith('frames/')
    if (isOurs) return !imports.has(target) || (inFrames && !target.startsWith('frames/'))
    return inFrames ? !pure.has(target) : !target.startsWith('node:') || !isBuiltin(target)
  })
  t.strictSame(
    outside.map(({ file, line, target }) => `${file}:${line} imports ${target}`),
    [],
    'imports from elsewhere',
  )
})
