/** What is sent. Every message comes back, and then the next one goes. */
export interface Workload {
  readonly name: string
  /** Of a message, in bytes. */
  readonly size: number
  readonly connections: number
  /** Messages under way on one connection at a time. */
  readonly inFlight: number
}

const KiB = 1024

export const workloads: readonly Workload[] = [
  { name: '64 B × 64', size: 64, connections: 64, inFlight: 1 },
  { name: '64 B × 64, 32 in flight', size: 64, connections: 64, inFlight: 32 },
  { name: '1 KiB × 64', size: KiB, connections: 64, inFlight: 1 },
  { name: '64 KiB × 8', size: 64 * KiB, connections: 8, inFlight: 1 },
  { name: '1 MiB × 4', size: KiB * KiB, connections: 4, inFlight: 1 },
]
