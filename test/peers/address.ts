/** Where a `ws:` or a `ws+unix:` address leads, for `net.connect`. */
export function addressOf(url: string): { path: string } | { host: string; port: number } {
  const [, path] = /^ws\+unix:([^:]+)/.exec(url) ?? []
  if (path !== undefined) return { path }
  const { hostname: host, port } = new URL(url)
  return { host, port: Number(port) }
}
