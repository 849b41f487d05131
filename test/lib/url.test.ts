import t from 'tap'
import { parseTarget, parseUrl, type Target } from '../../lib/url.ts'

/** What of the target a row tells. */
const rows: readonly (readonly [id: string, url: string, expected: Partial<Target>])[] = [
  ['6455-3-ws-default-port', 'ws://h/', { host: 'h', port: 80, authority: 'h', secure: false }],
  ['6455-3-ws-default-port', 'ws://h:80/', { port: 80, authority: 'h' }],
  ['6455-3-wss-default-port', 'wss://h/', { host: 'h', port: 443, authority: 'h', secure: true }],
  ['6455-3-wss-default-port', 'wss://h:443/', { port: 443, authority: 'h' }],
  ['6455-3-explicit-port', 'ws://127.0.0.1:9001/', { port: 9001, authority: '127.0.0.1:9001' }],
  ['6455-3-explicit-port', 'wss://h:80/', { port: 80, authority: 'h:80' }],
  ['6455-3-secure-flag-case', 'WSS://h/', { secure: true, url: 'wss://h/' }],
  ['6455-3-resource-empty-path', 'ws://h', { path: '/' }],
  ['6455-3-resource-path-query', 'ws://h/a/b?x=1&y', { path: '/a/b?x=1&y' }],
  ['6455-3-resource-query-only', 'ws://h?x=1', { path: '/?x=1' }],
  ['6455-3-resource-empty-query', 'ws://h/a?', { path: '/a' }],
  ['6455-3-hash-escaped', 'ws://h/%23a', { path: '/%23a' }],
  ['6455-3-percent-encoding-kept', 'ws://h/a%2Fb%20c', { path: '/a%2Fb%20c' }],
  ['6455-3-non-ascii-encoded', 'ws://h/é?ü', { path: '/%C3%A9?%C3%BC' }],
  ['6455-3-ipv6-host', 'ws://[::1]:5/', { host: '::1', port: 5, authority: '[::1]:5' }],
  ['6455-3-idn-host', 'ws://bücher.example/', { host: 'xn--bcher-kva.example' }],
  ['6455-11.1-schemes', 'wss://BÜCHER.example/', { authority: 'xn--bcher-kva.example' }],
  ['http is ws', 'http://h:8080/a', { url: 'ws://h:8080/a', secure: false, port: 8080 }],
  ['https is wss', 'https://h/', { url: 'wss://h/', secure: true, port: 443, origin: 'wss://h' }],
  ['an origin', 'ws://h:81/a?b', { origin: 'ws://h:81' }],
  ['no credentials', 'ws://h/', { credentials: undefined, socketPath: undefined }],
  ['credentials', 'ws://us%65r:p%40ss@h/', { credentials: 'user:p@ss', url: 'ws://h/', authority: 'h' }],
  ['a user alone', 'ws://user@h/', { credentials: 'user:' }],
  ['a password alone', 'ws://:p@h/', { credentials: ':p' }],
  ['C7: a line break is no part of a URL', 'ws://h/a\r\nb', { path: '/ab' }],
  ['C7: NUL is escaped', 'ws://h/a\0b', { path: '/a%00b' }],
  [
    'a Unix socket',
    'ws+unix:/run/app.sock',
    { socketPath: '/run/app.sock', path: '/', host: 'localhost', authority: 'localhost', secure: false },
  ],
  [
    'a Unix socket and a path',
    'ws+unix:/run/a%20b:/x:y/z?q=1',
    { socketPath: '/run/a b', path: '/x:y/z?q=1', origin: 'ws+unix:/run/a%20b', credentials: undefined },
  ],
  ['TLS over a Unix socket', 'wss+unix:///s:/', { secure: true, socketPath: '/s', path: '/' }],
  ['a relative Unix socket', 'ws+unix:./r.sock:/x y', { socketPath: './r.sock', path: '/x%20y' }],
]

for (const [id, url, expected] of rows) {
  await t.test(`${id}: ${JSON.stringify(url)}`, async (t) => {
    for (const target of [parseTarget(url), parseTarget(new URL(url))])
      t.strictSame({ ...target, ...expected }, target)
  })
}

const refused: readonly (readonly [id: string, url: string, why: RegExp])[] = [
  ['6455-3-no-fragment', 'ws://h/#x', /no fragment/],
  ['6455-3-no-fragment', 'ws://h/#', /no fragment/],
  ['6455-3-no-fragment', 'ws+unix:/s:/#', /no fragment/],
  ['6455-3-unknown-scheme', 'ftp://h/', /the scheme "ftp:" is none of/],
  ['6455-3-unknown-scheme', 'javascript:0', /the scheme "javascript:"/],
  ['6455-3-invalid-uri-fails', 'ws://', /"ws:\/\/" is no URL/],
  ['6455-3-invalid-uri-fails', 'ws://h:99999/', /is no URL/],
  ['6455-3-invalid-uri-fails', 'ws://a b/', /is no URL/],
  ['6455-3-invalid-uri-fails', '/relative', /is no URL/],
  ['6455-3-invalid-uri-fails', '', /is no URL/],
  ['C7: NUL in the host', 'ws://a\0b/', /is no URL/],
  ['broken credentials', 'ws://u%zz@h/', /"u%zz" holds a broken percent escape/],
  ['no socket', 'ws+unix:', /names no Unix socket/],
  ['no socket', 'ws+unix:/', /names no Unix socket/],
  ['no socket', 'ws+unix:/:/path', /names no Unix socket/],
  ['a broken socket', 'ws+unix:/%zz', /broken percent escape/],
  ['a socket with a host', 'ws+unix://run/app.sock', /has no host/],
  ['a socket and a relative path', 'ws+unix:/s:path', /must start with a slash/],
]

for (const [id, url, message] of refused) {
  await t.test(`${id}: ${JSON.stringify(url)} is a SyntaxError`, async (t) => {
    t.throws(() => parseTarget(url), { name: 'SyntaxError', message })
  })
}

await t.test('a URL relative to another', async (t) => {
  t.equal(parseTarget('../c?d', 'ws://h:1/a/b').url, 'ws://h:1/c?d')
  t.equal(parseTarget('https://x/', 'ws://h:1/a').url, 'wss://x/')
  t.equal(parseUrl('//x', 'ws://h')?.href, 'ws://x/')
  t.equal(parseUrl('//'), undefined)
})

await t.test(
  'D2: an address is read alike the first time and when V8 has compiled the reading',
  async (t) => {
    // As UTF-8 these bytes would be a letter; as what they are, they hold a control character.
    const read = Array.from({ length: 20_000 }, () => parseUrl('http:\xe1\x97\x81'))
    t.ok(read.every((url) => url === undefined))
  },
)
