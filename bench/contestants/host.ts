/** The contestant's side of its process: tells the benchmark where it listens and how much CPU it has used. */
export type Report = { readonly port: number } | { readonly cpu: number }

export const host = '127.0.0.1'

/** To be called once the contestant listens. The process ends with the benchmark's. */
export function listens(address: unknown): void {
  if (typeof address !== 'object' || address === null || !('port' in address))
    throw new Error('not listening')
  process.on('message', () => tell({ cpu: cpuTime() }))
  process.on('disconnect', () => process.exit())
  tell({ port: Number(address.port) })
}

function tell(report: Report): void {
  process.send?.(report)
}

/** Of all threads since the process began, in µs. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
