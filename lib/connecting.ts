/** Who connects where: one at a time to a remote host, the others wait in the order in which they came. */
import { isIPv6, SocketAddress } from 'node:net'
import type { Target } from './url.ts'
import { Waits } from './waits.ts'

/** Of each remote host, the attempt that connects to it and, behind that, those that wait. */
type Lines = Map<string, Set<Turn>>

export class Connecting {
  readonly #lines: Lines = new Map()

  /** For one attempt; whoever asks for it calls its `end`. */
  turn(): Turn {
    return new Turn(this.#lines)
  }
}

/** The place of one attempt among all. */
export class Turn {
  readonly #lines: Lines
  readonly #comes = new Waits<void>()
  #hosts: readonly string[] = []

  constructor(lines: Lines) {
    this.#lines = lines
  }

  /**
   * Waits until all that came before to any of those hosts have opened or failed (RFC 6455 section 4.1 item 2). Since
   * nobody waits for those behind, two never wait for each other. Rejects with the signal's reason when that aborts.
   */
  async comes(hosts: readonly string[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#hosts = hosts
    for (const host of hosts) {
      const line = this.#lines.get(host)
      if (line === undefined) this.#lines.set(host, new Set([this]))
      else line.add(this)
    }
    const turn = this.#comes.add(signal)
    this.#look()
    await turn
  }

  /** The attempt has opened, failed or been given up. */
  end(): void {
    for (const host of this.#hosts) {
      const line = this.#lines.get(host)
      line?.delete(this)
      const next = firstOf(line)
      if (next === undefined) this.#lines.delete(host)
      else next.#look()
    }
  }

  #look(): void {
    if (this.#hosts.every((host) => firstOf(this.#lines.get(host)) === this)) this.#comes.resolveAll()
  }
}

function firstOf(line: ReadonlySet<Turn> = new Set()): Turn | undefined {
  for (const turn of line) return turn
  return undefined
}

/** A remote host as its address tells it; IPv6 may be written in many ways, IPv4 as IPv6. */
export function remoteHost(address: string, port: number): string {
  if (!isIPv6(address)) return `${address}:${port}`
  const { address: shortest } = new SocketAddress({ address, family: 'ipv6' })
  return `${shortest.replace(/^::ffff:(?=\d+\.)/, '')}:${port}`
}

/** A remote host whose address is not looked up, or not by us: each name counts as a host of its own (section 4.1). */
export function namedHost({ host, port, socketPath }: Target): string {
  return socketPath ?? remoteHost(host, port)
}

/** All of this process. */
export const connecting: Connecting = new Connecting()
