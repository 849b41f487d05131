/** WebSocket URLs: RFC 6455 section 3, with the `http:` forms of WHATWG and a form for Unix sockets. */

/** Where a URL leads. */
export interface Target {
  /** As the connection shows it: scheme `ws` or `wss`, or as given for a Unix socket. */
  readonly url: string
  readonly secure: boolean
  /** Host name or address, IPv6 without brackets; of no meaning with `socketPath`. */
  readonly host: string
  readonly port: number
  readonly socketPath: string | undefined
  /** The Host header: the port stands there unless it is the scheme's own (section 4.1). */
  readonly authority: string
  /** Path and query of the request line. */
  readonly path: string
  /** Scheme, host and port: credentials do not leave it. */
  readonly origin: string
  /** `user:password` of the URL, decoded; undefined for none. */
  readonly credentials: string | undefined
}

const schemes: ReadonlyMap<string, string> = new Map([
  ['ws:', 'ws:'],
  ['wss:', 'wss:'],
  ['http:', 'ws:'],
  ['https:', 'wss:'],
  ['ws+unix:', 'ws+unix:'],
  ['wss+unix:', 'wss+unix:'],
])

/** What `new URL` makes of the text, or undefined. */
export function parseUrl(text: string, base?: string): URL | undefined {
  // Not `URL.canParse`: called often, that of Node 20 reads Latin-1 as UTF-8 and allows what `new URL` then throws for.
  try {
    return new URL(text, base)
  } catch {
    return undefined
  }
}

/**
 * Reads `ws:`, `wss:`, `http:`, `https:`, and `ws+unix:/path/to/socket:/request/path` (the part behind the colon may
 * be left out).
 *
 * @throws SyntaxError that says what is wrong
 */
export function parseTarget(url: string | URL, base?: string): Target {
  const text = String(url)
  const parsed = parseUrl(text, base)
  if (parsed === undefined) throw new SyntaxError(`${JSON.stringify(text)} is no URL (RFC 6455 3)`)
  const scheme = schemes.get(parsed.protocol)
  if (scheme === undefined) {
    throw new SyntaxError(
      `the scheme "${parsed.protocol}" is none of ws:, wss:, http:, https:, ws+unix:, wss+unix: (RFC 6455 3)`,
    )
  }
  // A fragment that is empty leaves no trace but the mark.
  if (parsed.href.includes('#')) throw new SyntaxError('a WebSocket URL has no fragment (RFC 6455 3)')
  if (scheme.endsWith('+unix:')) return unixTarget(parsed, scheme)

  // "ws" is a special scheme of the URL standard: host, port and escapes are as for http.
  parsed.protocol = scheme
  const secure = scheme === 'wss:'
  return {
    url: withoutCredentials(parsed),
    secure,
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: parsed.port === '' ? (secure ? 443 : 80) : Number(parsed.port),
    socketPath: undefined,
    authority: parsed.host,
    path: parsed.pathname + parsed.search,
    origin: `${scheme}//${parsed.host}`,
    credentials: credentialsOf(parsed),
  }
}

function unixTarget(parsed: URL, scheme: string): Target {
  // Behind two slashes the beginning of the path would pass for a host, and be lost.
  if (parsed.host !== '') throw new SyntaxError('a Unix socket has no host: ws+unix:/run/app.sock:/path')
  const [socketPath = '', ...parts] = parsed.pathname.split(':')
  if (socketPath === '' || socketPath === '/')
    throw new SyntaxError('the URL names no Unix socket, as ws+unix:/run/app.sock:/path does')
  const path = parts.length === 0 ? '/' : parts.join(':')
  if (!path.startsWith('/'))
    throw new SyntaxError('the request path behind the Unix socket must start with a slash')
  // Escapes and dots are as for ws.
  const { pathname, search } = new URL(`ws://localhost${path}${parsed.search}`)
  return {
    url: parsed.href,
    secure: scheme === 'wss+unix:',
    host: 'localhost',
    port: 0,
    socketPath: decode(socketPath),
    authority: 'localhost',
    path: pathname + search,
    origin: `${scheme}${socketPath}`,
    credentials: undefined,
  }
}

function credentialsOf(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined
  return `${decode(url.username)}:${decode(url.password)}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new SyntaxError(`${JSON.stringify(text)} holds a broken percent escape (RFC 3986 2.1)`)
  }
}

function withoutCredentials(url: URL): string {
  const bare = new URL(url)
  bare.username = ''
  bare.password = ''
  return bare.href
}
