/** Counts the work that zlib does in the thread pool, of which the event loop shows nothing: no time may pass for it. */
import { syncBuiltinESMExports } from 'node:module'
import zlib from 'node:zlib'

let running = 0

export function threadPoolBusy(): boolean {
  return running > 0
}

type Work = (input: zlib.InputType, options: zlib.ZlibOptions, callback: zlib.CompressCallback) => void

/** As the library calls it: with options and a callback. */
function counted(work: Work): Work {
  return (input, options, callback) => {
    running++
    work(input, options, (...result) => {
      running--
      callback(...result)
    })
  }
}

// The library has imported them by name; with the last line its names mean the new ones.
Object.assign(zlib, { deflateRaw: counted(zlib.deflateRaw), inflateRaw: counted(zlib.inflateRaw) })
syncBuiltinESMExports()
