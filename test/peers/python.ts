/** Debian's Python and its packages. */
import { spawnSync } from 'node:child_process'
import { sourceOf } from './packages.ts'
import type { Command } from './process-peer.ts'

const python = '/usr/bin/python3'

/** Runs the program of ours that is for the module, or tells how to get the module. */
export function pythonCommand(module: string): Command | string {
  const { status } = spawnSync(python, ['-c', `import ${module}`], { stdio: 'ignore' })
  if (status !== 0) return `apt-get install python3-${module}`
  return {
    program: python,
    args: [sourceOf(`python_${module}.py`)],
    env: { PYTHONDONTWRITEBYTECODE: '1' },
  }
}
