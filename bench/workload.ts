/** What is measured, and which contestants take part. */
import type { Content } from './payload.ts'

interface Common {
  readonly name: string
  /** What `--workload` may name it by, together with others of its kind. */
  readonly group: string
  /** What the contestant is: the load is the other. */
  readonly role: 'server' | 'client'
  /** What the contestant does with a message, see contestants/service.ts; with its arguments. */
  readonly service: readonly [name: string, ...args: number[]]
  /** The contestants that do no more than they must; the others are compared with the first. */
  readonly limits: readonly string[]
  /** These contestants only, beside the limits. */
  readonly only?: readonly string[]
  /** Part of a quick run. */
  readonly quick: boolean
  /** Measured once, since a process does not give back all the memory that it has had. */
  readonly once?: boolean
}

/** Every message comes back, and then the next one goes. */
export interface Echo extends Common {
  readonly kind: 'echo'
  /** Of a message, in bytes. */
  readonly size: number
  readonly content: Content
  /** Each message comes in frames with so many bytes of it. */
  readonly fragmentSize?: number
  readonly connections: number
  /** Messages under way on one connection at a time. */
  readonly inFlight: number
}

/** Some send a message each; when all of these have come to all connections, they send the next ones. */
export interface Room extends Common {
  readonly kind: 'room'
  readonly size: number
  readonly content: Content
  readonly connections: number
  readonly senders: number
}

/** A client gets so many messages and acknowledges the last one, or is asked for so many. */
export interface Batch extends Common {
  readonly kind: 'receive' | 'send'
  readonly size: number
  readonly batch: number
  readonly connections: number
}

/** Connections are opened. */
export interface Handshake extends Common {
  readonly kind: 'handshake'
}

/** Connections that have echoed one message, and then say nothing. */
export interface Idle extends Common {
  readonly kind: 'idle'
  readonly connections: number
}

/** Echo at a steady rate, while one connection more sends all it may and reads nothing. */
export interface Latency extends Common {
  readonly kind: 'latency'
  readonly size: number
  readonly connections: number
  readonly messagesPerSecond: number
  readonly stalledSize: number
}

/** Connections that the contestant closes. */
export interface Closing extends Common {
  readonly kind: 'closing'
}

export type Traffic = Echo | Room | Batch
export type Workload = Traffic | Handshake | Idle | Latency | Closing

const KiB = 1024
const MiB = KiB * KiB

/** As people write it. */
export function sizeText(size: number): string {
  if (size < KiB) return `${size} B`
  return size < MiB ? `${size / KiB} KiB` : `${size / MiB} MiB`
}

function echo(size: number, connections: number, details: Partial<Echo> = {}): Echo {
  return {
    name: `${sizeText(size)} × ${connections.toLocaleString('en')}`,
    group: 'echo',
    kind: 'echo',
    role: 'server',
    service: ['echo'],
    limits: ['node:net'],
    quick: false,
    size,
    content: 'binary',
    connections,
    inFlight: 1,
    ...details,
  }
}

function room(name: string, details: Pick<Room, 'size' | 'connections' | 'senders' | 'quick'>): Room {
  return {
    name,
    group: 'room',
    kind: 'room',
    role: 'server',
    service: ['broadcast'],
    // A server that has answered the handshake knows of the connection; one without may not yet.
    limits: ['http upgrade'],
    content: 'ascii',
    ...details,
  }
}

function batch(kind: 'receive' | 'send', size: number, count: number, quick: boolean): Batch {
  return {
    name: `client, ${kind} ${sizeText(size)}`,
    group: 'client',
    kind,
    role: 'client',
    service: [kind, size, count],
    limits: ['node:net'],
    quick,
    size,
    batch: count,
    connections: size < MiB ? 16 : 4,
  }
}

/** How many connections carry messages of a size. */
const echoSizes = [
  { size: 64, connections: 64 },
  { size: KiB, connections: 64 },
  { size: 64 * KiB, connections: 8 },
  { size: MiB, connections: 4 },
  { size: 64 * MiB, connections: 1 },
]

/** Enough to see how cost grows, without those that are slow at any size. */
const scalers = ['farewell', 'ws with bufferutil', 'Bun']

export const workloads: readonly Workload[] = [
  ...echoSizes.map(({ size, connections }) =>
    echo(size, connections, { quick: size !== KiB && size !== 64 * MiB }),
  ),
  echo(64, 64, { name: '64 B × 64, 32 in flight', inFlight: 32, quick: true }),
  echo(MiB, 1, { name: '1 MiB in fragments of 64 B × 1', fragmentSize: 64 }),
  // 64 connections are above, 4 × 1 MiB and 1 × 64 MiB too.
  ...[1, 1000, 10_000].map((connections) =>
    echo(64, connections, { group: 'connections', ...(connections > 1000 ? { only: scalers } : {}) }),
  ),
  ...[1, 4, 16].map((size) => echo(size * MiB, 1, { group: 'sizes', only: scalers })),
  ...(['ascii', 'mixed'] as const).flatMap((content) =>
    echoSizes.map(({ size, connections }) =>
      echo(size, connections, {
        name: `text, ${content}, ${sizeText(size)} × ${connections}`,
        group: 'text',
        content,
      }),
    ),
  ),
  room('broadcast 64 B to 1,000', { size: 64, connections: 1000, senders: 1, quick: true }),
  room('broadcast 4 KiB to 1,000', { size: 4 * KiB, connections: 1000, senders: 1, quick: false }),
  room('chat room of 32', { size: 64, connections: 32, senders: 32, quick: false }),
  ...(['receive', 'send'] as const).flatMap((kind) => [
    batch(kind, 64, 64, true),
    batch(kind, 64 * KiB, 4, false),
    batch(kind, MiB, 1, true),
  ]),
  {
    name: 'handshake',
    group: 'handshake',
    kind: 'handshake',
    role: 'server',
    service: ['echo'],
    limits: ['http upgrade'],
    quick: true,
  },
  {
    name: 'idle connection',
    group: 'memory',
    kind: 'idle',
    role: 'server',
    service: ['echo'],
    limits: ['http upgrade', 'node:net'],
    quick: true,
    once: true,
    connections: 10_000,
  },
  {
    name: '1,000 connections and one that does not read',
    group: 'latency',
    kind: 'latency',
    role: 'server',
    service: ['echo'],
    limits: ['node:net'],
    quick: false,
    size: 64,
    connections: 1000,
    messagesPerSecond: 10_000,
    stalledSize: 64 * KiB,
  },
  ...(['server', 'client'] as const).map((role): Closing => ({
    name: `close() of a ${role}`,
    group: 'closing',
    kind: 'closing',
    role,
    service: ['close'],
    limits: [],
    quick: false,
  })),
]
