/** Debian's packages. */
import { spawnSync } from 'node:child_process'

/** The upstream version of an installed package. */
export function packageVersion(name: string): string {
  const { stdout } = spawnSync('dpkg-query', ['--show', '--showformat=${Version}', name], {
    encoding: 'utf8',
  })
  return (stdout ?? '').replace(/^\d+:/, '').replace(/[-+~].*$/, '') || 'unknown'
}
