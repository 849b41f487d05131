/** Where the figures come from. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'
import { benchFolder, versions } from './packages.ts'

export interface Machine {
  readonly processor: string
  readonly processors: number
  readonly memory: string
  readonly system: string
  readonly node: string
  readonly v8: string
  readonly flags: string
  readonly versions: Readonly<Record<string, string>>
  /** How many processes wanted a processor in the minute before: more than none disturbs. */
  readonly load: number
  readonly date: string
}

export function describeMachine(nodeFlags: readonly string[]): Machine {
  const { version }: { version: string } = JSON.parse(readFileSync(`${benchFolder}../package.json`, 'utf8'))
  const flags = [process.env['NODE_OPTIONS'] ?? '', ...process.execArgv, ...nodeFlags]
    .filter(Boolean)
    .join(' ')
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    processors: availableParallelism(),
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    system: `${type()} ${release()} ${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
    flags: flags === '' ? 'none' : flags,
    versions: { farewell: version, ...versions() },
    load: loadavg()[0] ?? NaN,
    date: new Date().toISOString(),
  }
}

/** As a list in Markdown. */
export function machineText(machine: Machine): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`)
  return [
    `- ${machine.processors} × ${machine.processor}, ${machine.memory}, ${machine.system}`,
    `- Node ${machine.node} (V8 ${machine.v8}), flags: ${machine.flags}`,
    `- ${versions.join(', ')}`,
    `- ${machine.date}, load average before: ${machine.load.toFixed(2)}`,
  ].join('\n')
}
