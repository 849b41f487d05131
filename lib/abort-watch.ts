/** Who waits for the abort of a signal. Each signal has one listener of ours, since Node takes more than ten for a leak. */

interface Watch {
  readonly callbacks: Set<() => void>
  readonly listener: () => void
}

const watches = new WeakMap<AbortSignal, Watch>()

/** Calls back when the signal aborts, unless the function that is returned has been called. */
export function watchAbort(signal: AbortSignal, onAbort: () => void): () => void {
  const { callbacks, listener } = watches.get(signal) ?? begin(signal)
  const callback = (): void => onAbort() // Whoever watches twice is called twice.
  callbacks.add(callback)
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0) return
    signal.removeEventListener('abort', listener)
    watches.delete(signal)
  }
}

function begin(signal: AbortSignal): Watch {
  const callbacks = new Set<() => void>()
  const listener = (): void => {
    for (const callback of callbacks) callback()
  }
  const watch = { callbacks, listener }
  watches.set(signal, watch)
  signal.addEventListener('abort', listener)
  return watch
}
