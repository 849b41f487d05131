/** How much may happen in one exploration: what the application wants, what the network holds, what goes wrong. */

/** What may still go wrong, each so many times. */
export interface Faults {
  /** The cable is cut: all in flight is lost, nothing arrives any more. Nobody is told. */
  readonly cut: number
  /** Nothing is read any more: what is in flight stays there, and the kernel takes output until it is full. */
  readonly stall: number
  /** The socket reports an error, or just closes. */
  readonly socket: number
  readonly terminate: number
  readonly badFrame: number
  /** A limit or a handler fails the connection from our side. */
  readonly failure: number
  readonly keepalive: number
  /** The server goes on after its own Close, with a message or with another Close. */
  readonly byzantine: number
}

export interface Configuration {
  /** Per side. */
  readonly messages: number
  readonly closes: number
  /** What fits into each direction of the wire. */
  readonly capacity: number
  /** Timers that are armed may fire, at any time. */
  readonly timers: boolean
  readonly faults: Faults
  readonly manualReply: boolean
  /** The application may half close, without a deadline. Keepalive then runs. */
  readonly halfClose: boolean
  /** Each message is answered at once. */
  readonly echo: boolean
}

const noFaults: Faults = {
  cut: 0,
  stall: 0,
  socket: 0,
  terminate: 0,
  badFrame: 0,
  failure: 0,
  keepalive: 0,
  byzantine: 0,
}

type Options = Omit<Partial<Configuration>, 'faults'> & { readonly faults?: Partial<Faults> }

function configure({ faults, ...options }: Options): Configuration {
  return {
    messages: 1,
    closes: 1,
    capacity: 3,
    timers: true,
    faults: { ...noFaults, ...faults },
    manualReply: false,
    halfClose: false,
    echo: false,
    ...options,
  }
}

/** Where timers do not fire, nobody may depend on them. */
export const configurations = {
  'A no faults, no timers': configure({ timers: false, closes: 2, messages: 2 }),
  'A messages are answered, no timers': configure({ timers: false, closes: 2, echo: true }),
  'A byzantine server, no timers': configure({ timers: false, closes: 2, faults: { byzantine: 1 } }),
  'A byzantine server, socket errors, no timers': configure({
    timers: false,
    faults: { byzantine: 1, socket: 1 },
  }),
  'B timers': configure({ closes: 2 }),
  'C cut': configure({ faults: { cut: 1 } }),
  'C stall, small buffers': configure({ capacity: 1, faults: { stall: 1 } }),
  'D socket errors': configure({ faults: { socket: 1 } }),
  'E terminate()': configure({ faults: { terminate: 1 } }),
  'F bad frames': configure({ faults: { badFrame: 1 } }),
  'F limits, failing handlers': configure({ faults: { failure: 1 } }),
  'G manual reply': configure({ manualReply: true }),
  'G manual reply, limits, failing handlers': configure({ manualReply: true, faults: { failure: 1 } }),
  'G manual reply, socket errors, terminate()': configure({
    manualReply: true,
    faults: { socket: 1, terminate: 1 },
  }),
  'G manual reply, half close, byzantine server, keepalive, no messages': configure({
    manualReply: true,
    halfClose: true,
    messages: 0,
    faults: { byzantine: 1, keepalive: 1 },
  }),
  'K keepalive': configure({ faults: { keepalive: 1 } }),
  'K keepalive, cut, no messages': configure({ messages: 0, faults: { keepalive: 1, cut: 1 } }),
  'L half close, cut': configure({ halfClose: true, closes: 2, faults: { cut: 1 } }),
  'X cut, socket errors, terminate(), no messages': configure({
    messages: 0,
    faults: { cut: 1, socket: 1, terminate: 1 },
  }),
  'H cut, socket errors, terminate(), bad frames': configure({
    faults: { cut: 1, socket: 1, terminate: 1, badFrame: 1 },
  }),
} as const satisfies Readonly<Record<string, Configuration>>
