/** Two network namespaces of our own with a virtual cable between them, and the faults of that network (Linux, root). */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'

const names = { server: `farewell-${process.pid}-s`, client: `farewell-${process.pid}-c` }
export type Side = keyof typeof names

/** Addresses for documentation (RFC 5737), in the namespaces alone. */
export const addresses: Readonly<Record<Side, string>> = { server: '192.0.2.1', client: '192.0.2.2' }

/** Ethernet addresses of ours, so that nobody has to ask for them: a question that got no answer is remembered for a while. */
const cards: Readonly<Record<Side, string>> = { server: '02:00:00:00:00:01', client: '02:00:00:00:00:02' }

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function inside(side: Side, program: string, ...args: string[]): void {
  run('ip', 'netns', 'exec', names[side], program, ...args)
}

const sides = ['server', 'client'] as const

/** Makes them; what it says is why it cannot. */
export function makeNamespaces(): string | undefined {
  try {
    for (const side of sides) run('ip', 'netns', 'add', names[side])
    const cable = ['link', 'add', 'cable', 'netns', names.server, 'type', 'veth']
    run('ip', ...cable, 'peer', 'name', 'cable', 'netns', names.client)
    for (const side of sides) {
      inside(side, 'ip', 'address', 'add', `${addresses[side]}/24`, 'dev', 'cable')
      inside(side, 'ip', 'link', 'set', 'lo', 'up')
      inside(side, 'ip', 'link', 'set', 'cable', 'address', cards[side], 'up')
    }
    introduce()
    allow()
    return undefined
  } catch (error) {
    removeNamespaces()
    return error instanceof Error ? error.message.trim() : String(error)
  }
}

/** Each side is told the other's Ethernet address, which it forgets when the plug is out. */
function introduce(): void {
  for (const [side, other] of [
    ['server', 'client'],
    ['client', 'server'],
  ] as const) {
    const entry = [addresses[other], 'lladdr', cards[other], 'dev', 'cable', 'nud', 'permanent']
    inside(side, 'ip', 'neighbour', 'replace', ...entry)
  }
}

export function removeNamespaces(): void {
  for (const side of sides) {
    try {
      run('ip', 'netns', 'delete', names[side])
    } catch {
      // It was not made.
    }
  }
}

/** A program of node's in there, with a channel to it. */
export function startIn(side: Side, file: string, ...args: string[]): ChildProcess {
  const command = ['netns', 'exec', names[side], process.execPath, file, ...args]
  return spawn('ip', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}

// Faults: what comes in at a side

/** All passes again. */
export function allow(): void {
  for (const side of sides) inside(side, 'iptables', '--flush', 'INPUT')
}

export function lose(side: Side, probability: number): void {
  const by = ['--match', 'statistic', '--mode', 'random', '--probability', String(probability)]
  inside(side, 'iptables', '--append', 'INPUT', ...by, '--jump', 'DROP')
}

/** What comes in is answered by a reset. */
export function reset(side: Side): void {
  const by = ['--jump', 'REJECT', '--reject-with', 'tcp-reset']
  inside(side, 'iptables', '--append', 'INPUT', '--protocol', 'tcp', ...by)
}

/** How fast it goes out; undefined for as fast as can be. */
export function limitRate(side: Side, rate: string | undefined): void {
  const device = ['dev', 'cable', 'root']
  if (rate === undefined) inside(side, 'tc', 'qdisc', 'delete', ...device)
  else inside(side, 'tc', 'qdisc', 'add', ...device, 'tbf', 'rate', rate, 'burst', '16kb', 'latency', '200ms')
}

export function plug(state: 'up' | 'down'): void {
  inside('server', 'ip', 'link', 'set', 'cable', state)
  if (state === 'up') introduce()
}
