import t from 'tap'
import { Buffer } from 'node:buffer'
import {
  acceptFor,
  isKey,
  isSameOrigin,
  judgeRequest,
  judgeResponse,
  type Offer,
  pathOf,
  refusalHeaders,
  type RequestHead,
  type UpgradeRequest,
  upgradeHeaders,
  upgradeRequired,
  writeAcceptance,
  writeRefusal,
} from '../../lib/handshake.ts'
import type { Extension } from '../../lib/header-list.ts'
import { Refusal, refuse } from '../../lib/refusal.ts'
import { parseHead, type RequestParts, sampleAccept, sampleKey, upgradeRequest } from '../help/raw-http.ts'
import { vectors } from '../vectors/vectors.ts'

/** The request as Node's parser hands it on. */
function request(parts: RequestParts = {}): RequestHead {
  const { start, fields } = parseHead(upgradeRequest(parts))
  const [method, url, version = ''] = start.split(' ')
  return { method, url, httpVersion: version.slice('HTTP/'.length), rawHeaders: fields.flat() }
}

/** 200 stands for a request that may be upgraded. */
function statusOf(parts: RequestParts): number {
  const judged = judgeRequest(request(parts))
  return judged instanceof Refusal ? judged.status : 200
}

function accepted(parts: RequestParts): UpgradeRequest {
  const judged = judgeRequest(request(parts))
  if (judged instanceof Refusal) throw new Error(`refused: ${String(judged.body)}`)
  return judged
}

const deflate: Extension = { name: 'permessage-deflate', parameters: [['server_max_window_bits', '10']] }
/** What the client asks for in the tests of a response. */
const offered: Offer = { key: sampleKey, protocols: ['chat', 'b'], deflate: undefined }

/** Differs from the good request in that field alone. */
const instead = (...lines: string[]): RequestParts => ({
  without: [lines[0]?.split(':', 1)[0] ?? ''],
  lines,
})

await t.test('6455-4.2.2-accept-value, 6455-10.8-sha1: accept[]', async (t) => {
  for (const { key, accept } of vectors.accept) t.equal(acceptFor(key), accept, key)
  t.equal(acceptFor(sampleKey), sampleAccept, '6455-1.3-accept-from-raw-key')
})

await t.test('6455-4.2.1-key-16-bytes: keys[]', async (t) => {
  for (const { key, valid, why } of vectors.keys) {
    t.equal(isKey(key), valid, `${JSON.stringify(key)}: ${why}`)
    t.equal(statusOf(instead(`Sec-WebSocket-Key: ${key}`)), valid ? 200 : 400, why)
  }
  t.equal(statusOf(instead('Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==')), 200, '6455-4.2.1-key-spare-bits')
  t.equal(statusOf(instead(`Sec-WebSocket-Key: A${sampleKey}`)), 400, 'too long at its beginning')
  for (const bytes of [0, 15, 17]) {
    t.equal(statusOf(instead(`Sec-WebSocket-Key: ${Buffer.alloc(bytes).toString('base64')}`)), 400, 'H3')
  }
})

const requests: readonly (readonly [id: string, parts: RequestParts, status: number])[] = [
  ['a good request', {}, 200],
  ['6455-4.2.1-method-get', { method: 'POST' }, 405],
  ['6455-4.2.1-method-get', { method: 'HEAD' }, 405],
  ['RFC 9110 9.3.2: as GET', { method: 'HEAD', without: ['upgrade'] }, 426],
  ['RFC 9110 9.3.2: as GET', { method: 'HEAD', without: ['upgrade', 'host'] }, 400],
  ['6455-1.6-plain-http-cannot-open', { method: 'POST' }, 405],
  ['6455-4.2.1-http-1.1', { version: 'HTTP/1.0' }, 400],
  ['9110-7.8-ignore-on-http10', { version: 'HTTP/1.0' }, 400],
  ['6455-4.2.1-target-absolute', { target: 'http://h/chat?x' }, 200],
  ['9112-3.2.2-absolute-form', { target: 'https://h/chat' }, 200],
  ['an authority is no target', { target: 'h:80' }, 400],
  ['an asterisk is no target', { target: '*' }, 400],
  ['another scheme is no target', { target: 'ftp://h/' }, 400],
  ['a broken absolute target', { target: 'http://h:99999/' }, 400],
  ['6455-4.2.1-host-required', { without: ['host'] }, 400],
  ['9112-3.2-host-400', { lines: ['Host: 127.0.0.1'] }, 400],
  ['9112-3.2-host-400', instead('Host: a/b'), 400],
  ['9112-3.2-host-400', instead('Host: a, b'), 400],
  ['9112-3.2-host-400', instead('Host: a b'), 400],
  ['9112-3.2-host-400', instead('Host: user@a'), 400],
  ['9112-3.2-host-400', instead('Host:'), 400],
  ['9112-6-request-body', { lines: ['Content-Length: 5'] }, 400],
  ['9112-6-request-body', { lines: ['Content-Length: 0'] }, 200],
  ['9112-6-request-body', { lines: ['Transfer-Encoding: chunked'] }, 400],
  ['9112-6-body-smuggling', { lines: ['Content-Length: 0', 'Transfer-Encoding: chunked'] }, 400],
  ['9112-6-body-smuggling', { lines: ['Content-Length: 0', 'Content-Length: 5'] }, 400],
  ['9110-7.8-expect-continue', { lines: ['Expect: 100-continue'] }, 417],
  ['6455-4.2.1-upgrade-required', { without: ['upgrade'] }, 426],
  ['6455-4.2.1-upgrade-required', instead('Upgrade: h2c'), 426],
  ['9110-7.8-only-offered-protocol', instead('Upgrade: h2c'), 426],
  ['6455-4.2.1-upgrade-required', instead('Upgrade: WebSocket'), 200],
  ['9110-7.8-protocol-name-case', instead('Upgrade: WEBSOCKET'), 200],
  ['6455-2-case-insensitive-ascii', instead('Upgrade: web\u017focket'), 426],
  ['6455-2-case-insensitive-ascii', instead('Upgrade: webso\u212aet'), 426],
  ['6455-4.2.1-upgrade-list', instead('Upgrade: foo, websocket'), 200],
  ['H9', instead('Upgrade: h2c', 'Upgrade: websocket'), 200],
  ['a version of websocket is another protocol', instead('Upgrade: websocket/13'), 426],
  ['6455-4.2.1-connection-upgrade', { without: ['connection'] }, 400],
  ['6455-4.2.1-connection-upgrade', instead('Connection: keep-alive'), 400],
  ['6455-4.2.1-connection-upgrade', instead('Connection: upgraded'), 400],
  ['6455-4.2.1-connection-upgrade', instead('Connection: keep-alive, UPGRADE'), 200],
  ['9110-5.3-repeat-list-fields', instead('Connection: keep-alive', 'Connection: upgrade'), 200],
  ['9110-5.6.1-empty-list-elements', instead('Connection: ,, Upgrade,'), 200],
  ['9110-5.5-ows-trimmed', instead('Upgrade: \t websocket \t'), 200],
  ['6455-4.2.1-key-required', { without: ['sec-websocket-key'] }, 400],
  ['6455-11.3.1-key-once', { lines: [`Sec-WebSocket-Key: ${sampleKey}`] }, 400],
  ['6455-4.2.1-version-13', { without: ['sec-websocket-version'] }, 400],
  ['6455-11.3.5-version-once-in-request', { lines: ['Sec-WebSocket-Version: 13'] }, 400],
  ...['0', '7', '8', '12', '14', '25', '99', '255'].map(
    (version) =>
      ['6455-4.4-server-lists-versions', instead(`Sec-WebSocket-Version: ${version}`), 426] as const,
  ),
  ...['013', '+13', '13.0', '13, 8', '256', '1e1', '', 'x'].map(
    (version) => ['6455-4.3-version-client', instead(`Sec-WebSocket-Version: ${version}`), 400] as const,
  ),
  ['6455-4.2.1-protocol-optional, 6455-4.2.1-extensions-optional', {}, 200],
  ...['', 'a b', 'a;b', 'a, a', ',', 'é', '"a"'].map(
    (list) => ['6455-4.2.1-protocol-malformed', { lines: [`Sec-WebSocket-Protocol: ${list}`] }, 400] as const,
  ),
  [
    '6455-4.2.1-protocol-malformed',
    { lines: ['Sec-WebSocket-Protocol: a', 'sec-websocket-protocol: a'] },
    400,
  ],
  ['6455-11.5-subprotocol-names', { lines: ['Sec-WebSocket-Protocol: x.example.org'] }, 200],
  ['6455-9-server-may-accept', { lines: ['Sec-WebSocket-Extensions: x-unknown; a=1'] }, 200],
  ['6455-9.1-no-prototype-keys', { lines: ['Sec-WebSocket-Extensions: __proto__; constructor'] }, 200],
  ['H8', { lines: ['Sec-WebSocket-Protocol: __proto__', '__proto__: x', 'constructor: y'] }, 200],
  ['6455-4.2.1-unknown-headers', { lines: ['X-Foo: bar', 'Sec-WebSocket-Foo: 1'] }, 200],
  ['H9: two Origins', { lines: ['Origin: http://127.0.0.1', 'Origin: http://evil'] }, 400],
  ['H13', { lines: [`Cookie: ${'c'.repeat(15_900)}`] }, 200],
  ['H13', { lines: Array.from({ length: 1000 }, () => 'Cookie: a=b') }, 200],
]

for (const [id, parts, status] of requests) {
  await t.test(`${id}: ${JSON.stringify(parts).slice(0, 80)} is ${status}`, async (t) => {
    t.equal(statusOf(parts), status)
  })
}

await t.test('D8: a refusal says why, in a sentence', async (t) => {
  const rows: readonly (readonly [parts: RequestParts, why: string])[] = [
    [{ version: 'HTTP/1.0' }, 'a WebSocket handshake needs HTTP/1.1'],
    [{ method: 'POST' }, 'a WebSocket handshake is a GET'],
    [{ without: ['host'] }, 'one Host is needed'],
    [{ target: '*' }, 'the request target is not a path'],
    [{ lines: ['Content-Length: 5'] }, 'a WebSocket handshake has no body'],
    [{ lines: ['Expect: 100-continue'] }, 'no expectation can be met'],
    [{ without: ['upgrade'] }, 'this is a WebSocket server; it speaks version 13'],
    [{ without: ['connection'] }, 'Connection lacks "upgrade"'],
    [{ without: ['sec-websocket-version'] }, 'one Sec-WebSocket-Version is needed'],
    [instead('Sec-WebSocket-Version: x'), 'Sec-WebSocket-Version is malformed'],
    [instead('Sec-WebSocket-Version: 14'), 'this is a WebSocket server; it speaks version 13'],
    [{ without: ['sec-websocket-key'] }, 'one Sec-WebSocket-Key of 16 bytes is needed'],
    [{ lines: ['Sec-WebSocket-Protocol: ,'] }, 'Sec-WebSocket-Protocol is malformed'],
    [{ lines: ['Sec-WebSocket-Extensions: ,'] }, 'Sec-WebSocket-Extensions is malformed'],
    [{ lines: ['Origin: a', 'Origin: b'] }, 'one Origin at most'],
  ]
  for (const [parts, why] of rows) {
    const judged = judgeRequest(request(parts))
    if (!(judged instanceof Refusal)) t.fail(why)
    else t.strictSame([judged.reason, judged.body], ['bad-request', `${why}\n`])
  }
})

await t.test('6455-9.1-malformed-fails: extensionHeader[] in a request', async (t) => {
  for (const { header, result } of vectors.extensionHeader) {
    const status = statusOf({ lines: [`Sec-WebSocket-Extensions: ${header}`] })
    t.equal(status, result === null ? 400 : 200, header)
  }
})

await t.test('what a good request asks for', async (t) => {
  t.strictSame(accepted({ target: '/chat?x' }), {
    key: sampleKey,
    path: '/chat',
    host: '127.0.0.1',
    origin: undefined, // 6455-4.2.1-no-origin-not-browser
    protocols: [],
    extensions: [],
  })
  t.strictSame(accepted({ lines: ['Origin: '] }).origin, '')
  t.strictSame(accepted({ lines: ['Origin: null'] }).origin, 'null')
  const many = accepted({
    lines: [
      'Sec-WebSocket-Protocol: a,b , c',
      'Sec-WebSocket-Protocol: D',
      'Sec-WebSocket-Extensions: x',
      'SEC-WEBSOCKET-EXTENSIONS: y; z',
    ],
  })
  t.strictSame(many.protocols, ['a', 'b', 'c', 'D'], '6455-11.3.4-protocol-many-in-request')
  t.strictSame(
    many.extensions.map(({ name }) => name),
    ['x', 'y'],
    '6455-9.1-multiple-headers and 6455-11.3.2-extensions-many-in-request',
  )
})

await t.test('9110-5.1-field-names-case and 6455-1.3-header-order-free', async (t) => {
  const { rawHeaders, ...rest } = request()
  const shouted = rawHeaders.map((text, at) => (at % 2 === 0 ? text.toUpperCase() : text))
  t.match(judgeRequest({ ...rest, rawHeaders: shouted }), { key: sampleKey })
  const pairs = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? '']] : []))
  t.match(judgeRequest({ ...rest, rawHeaders: pairs.toReversed().flat() }), { key: sampleKey })
  t.match(
    judgeRequest({ httpVersion: '1.1', method: 'GET', rawHeaders }),
    { status: 400 },
    'no target at all',
  )
})

await t.test('6455-10.2-origin-check: the same origin has the host of Host', async (t) => {
  const same: readonly (readonly [origin: string | undefined, host: string])[] = [
    [undefined, 'a'],
    ['http://a', 'a'],
    ['https://a', 'a'],
    ['http://A.example', 'a.EXAMPLE'],
    ['http://a:80', 'a'],
    ['http://a', 'a:80'],
    ['https://a', 'a:443'],
    ['http://a:8080', 'a:8080'],
    ['http://[::1]:1', '[::1]:1'],
    ['https://xn--bcher-kva.example', 'bücher.example'],
  ]
  const other: readonly (readonly [origin: string, host: string])[] = [
    ['', 'a'],
    ['null', 'a'],
    ['null', 'null'],
    ['file://', 'a'],
    ['data:,x', 'a'],
    ['http://evil', 'a'],
    ['https://a.evil', 'a'],
    ['https://evil.a', 'a'],
    ['https://a@evil', 'a'],
    ['http://a', 'a:8080'],
    ['http://a:8080', 'a'],
    ['https://a', 'a:80'],
    ['http://a', 'a:99999'],
    ['a', 'a'],
  ]
  for (const [origin, host] of same) t.ok(isSameOrigin(origin, host), `${origin} and ${host}`)
  for (const [origin, host] of other) t.notOk(isSameOrigin(origin, host), `${origin} and ${host}`)
  t.notOk(isSameOrigin('file:///', ''), 'no host is like no other')
})

await t.test('the 101', async (t) => {
  const text = writeAcceptance({ key: sampleKey, protocol: '', extensions: [] })
  t.ok(text.endsWith('\r\n\r\n'))
  const head = parseHead(text)
  t.equal(head.start, 'HTTP/1.1 101 Switching Protocols', '6455-4.2.2-status-line-101')
  t.strictSame(head.fields, [
    ['Upgrade', 'websocket'], // 6455-4.2.2-upgrade-websocket, 6455-11.2-upgrade-token, 9110-15.2.2-101-has-upgrade
    ['Connection', 'Upgrade'], // 6455-4.2.2-connection-upgrade, 9110-7.8-upgrade-needs-connection
    ['Sec-WebSocket-Accept', sampleAccept],
    // 9110-8.6-no-length-on-101, 6455-11.3.1-key-not-in-response, 6455-4.2.2-extension-from-request
  ])
  t.strictSame(
    parseHead(writeAcceptance({ key: sampleKey, protocol: 'a', extensions: [] })).all(
      'sec-websocket-protocol',
    ),
    ['a'],
  )
})

await t.test(
  '7692-7-token, 7692-5.1-client-offers, 6455-4.2.2-one-extensions-header: compression in request and response',
  async (t) => {
    const value = 'permessage-deflate; server_max_window_bits=10'
    const head = parseHead(writeAcceptance({ key: sampleKey, protocol: '', extensions: [deflate] }))
    t.strictSame(head.all('sec-websocket-extensions'), [value])
    t.equal(upgradeHeaders({ ...offered, deflate }, undefined)['Sec-WebSocket-Extensions'], value)
  },
)

await t.test(
  '9112-9.6-close-on-refusal: a refusal says how long it is, and that it is the last',
  async (t) => {
    const [head = '', body] = writeRefusal(refuse(403, { body: 'nö' }), 'GET')
      .toString()
      .split('\r\n\r\n')
    t.equal(body, 'nö')
    t.strictSame(head.split('\r\n'), [
      'HTTP/1.1 403 Forbidden',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Length: 3',
      'Connection: close',
    ])
    const custom = refuse(302, {
      headers: { Location: '/x', 'content-type': 'a/b', 'Set-Cookie': ['a=b', 'c=d'] },
    })
    t.strictSame(parseHead(writeRefusal(custom, 'HEAD').toString()).fields, [
      ['Location', '/x'],
      ['content-type', 'a/b'],
      ['Set-Cookie', 'a=b'],
      ['Set-Cookie', 'c=d'],
      ['Content-Length', '6'],
      ['Connection', 'close'],
    ])
    t.match(
      writeRefusal(refuse(499), undefined).toString(),
      /^HTTP\/1\.1 499 Refused\r\n.*\r\n\r\nRefused\n$/s,
    )
    t.match(
      writeRefusal(refuse(404), 'HEAD').toString(),
      /Content-Length: 10\r\n.*\r\n\r\n$/s,
      'HEAD has no body',
    )
    const bytes = writeRefusal(refuse(400, { headers: { 'X-E': 'é' }, body: Uint8Array.of(0xff) }), 'GET')
    t.ok(bytes.includes(Buffer.of(0x20, 0xe9, 0x0d, 0x0a)), 'header values are Latin-1')
    t.equal(bytes.at(-1), 0xff)
  },
)

await t.test('9110-15.5.22-426-upgrade: the 426 names protocol and version', async (t) => {
  t.match(refusalHeaders(upgradeRequired()), {
    Upgrade: 'websocket',
    Connection: 'Upgrade, close',
    'Sec-WebSocket-Version': '13',
  })
  t.match(judgeRequest(request({ method: 'PUT' })), { headers: { Allow: 'GET' } }, '9110-15.5.6-405-allow')
})

await t.test('the headers of a client', async (t) => {
  t.strictSame(upgradeHeaders({ ...offered, protocols: [] }, undefined), {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': sampleKey,
    'Sec-WebSocket-Version': '13',
  })
  const more = upgradeHeaders({ ...offered, protocols: ['b', 'a'] }, 'null')
  t.equal(more['Sec-WebSocket-Protocol'], 'b, a')
  t.equal(more['Origin'], 'null')
})

/** The fields of a good response, those of a row in place of them; undefined leaves one out. */
function response(changes: Record<string, string | readonly string[] | undefined>, httpVersion = '1.1') {
  const fields = {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Accept': sampleAccept,
    ...changes,
  }
  const rawHeaders = Object.entries(fields).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : (value ?? [])).flatMap((each) => [name, each]),
  )
  return { httpVersion, rawHeaders }
}

const swapCase = (text: string): string => text.replace(/[A-Z]/, (letter) => letter.toLowerCase())

const faults: readonly (readonly [
  id: string,
  changes: Record<string, string | readonly string[] | undefined>,
  fault: RegExp,
])[] = [
  ['6455-4.1-upgrade-missing', { Upgrade: undefined }, /Upgrade/],
  ['6455-4.1-upgrade-value', { Upgrade: 'websockets' }, /Upgrade/],
  ['6455-4.1-upgrade-value', { Upgrade: 'h2c' }, /Upgrade/],
  ['6455-4.1-upgrade-value', { Upgrade: 'foo, websocket' }, /Upgrade/],
  ['C1', { Upgrade: ['websocket', 'websocket'] }, /Upgrade/],
  ['6455-2-case-insensitive-ascii', { Upgrade: 'web\u017focket' }, /Upgrade/],
  ['6455-4.1-connection-missing', { Connection: undefined }, /Connection/],
  ['6455-4.1-connection-token', { Connection: 'close' }, /Connection/],
  ['6455-4.1-connection-token', { Connection: 'upgraded' }, /Connection/],
  ['6455-4.1-accept-missing', { 'Sec-WebSocket-Accept': undefined }, /Accept/],
  ['6455-4.1-accept-wrong', { 'Sec-WebSocket-Accept': acceptFor('AAAAAAAAAAAAAAAAAAAAAA==') }, /Accept/],
  ['6455-4.1-accept-wrong', { 'Sec-WebSocket-Accept': sampleAccept.toLowerCase() }, /Accept/],
  ['6455-4.1-accept-case-sensitive', { 'Sec-WebSocket-Accept': swapCase(sampleAccept) }, /Accept/],
  ['6455-4.3-accept-grammar', { 'Sec-WebSocket-Accept': '' }, /Accept/],
  ['6455-11.3.3-accept-once', { 'Sec-WebSocket-Accept': [sampleAccept, sampleAccept] }, /Accept/],
  ['6455-4.1-extension-not-requested', { 'Sec-WebSocket-Extensions': 'x-foo' }, /extension/],
  ['6455-4.1-extension-not-requested', { 'Sec-WebSocket-Extensions': 'permessage-deflate' }, /extension/],
  ['6455-4.1-extension-malformed', { 'Sec-WebSocket-Extensions': ';' }, /malformed/],
  ['6455-11.3.2-extensions-once-in-response', { 'Sec-WebSocket-Extensions': ['a', 'a'] }, /extension/],
  ['6455-4.1-protocol-not-requested', { 'Sec-WebSocket-Protocol': 'other' }, /"other" was not offered/],
  ['6455-4.1-protocol-case-sensitive', { 'Sec-WebSocket-Protocol': 'Chat' }, /"Chat" was not offered/],
  ['6455-4.1-protocol-several', { 'Sec-WebSocket-Protocol': 'chat, b' }, /"chat, b" was not offered/],
  ['6455-4.1-protocol-several', { 'Sec-WebSocket-Protocol': ['chat', 'b'] }, /more than one/],
  ['6455-11.3.4-protocol-once-in-response', { 'Sec-WebSocket-Protocol': ['chat', 'chat'] }, /more than one/],
  ['6455-4.1-protocol-empty', { 'Sec-WebSocket-Protocol': '' }, /"" was not offered/],
  ['6455-4.3-protocol-server-token', { 'Sec-WebSocket-Protocol': 'chat b' }, /was not offered/],
  ['C1: a body', { 'Content-Length': '5' }, /a body/],
  ['C1: a body', { 'Transfer-Encoding': 'chunked' }, /a body/],
]

for (const [id, changes, fault] of faults) {
  await t.test(`${id}: ${JSON.stringify(changes)} is refused`, async (t) => {
    t.match(judgeResponse(response(changes), offered), { fault })
  })
}

await t.test('what is answered to an offer of compression', async (t) => {
  const offer: Offer = { ...offered, deflate }
  const judge = (extensions: string | readonly string[]) =>
    judgeResponse(response({ 'Sec-WebSocket-Extensions': extensions }), offer)
  const good = 'permessage-deflate; server_max_window_bits=10'
  t.match(judge(good), { protocol: '', deflate: { serverMaxWindowBits: 10, clientMaxWindowBits: 15 } })
  t.match(
    judge(good.replace('10', '"9"')),
    { deflate: { serverMaxWindowBits: 9 } },
    '7692-7.1.2-quoted-value',
  )
  const faults: readonly (readonly [id: string, extensions: string | readonly string[], fault: RegExp])[] = [
    ['7692-7.1.2.1-client-checks', 'permessage-deflate', /7692 7\.1/],
    ['7692-7.1.2.1-client-checks', good.replace('10', '11'), /7692 7\.1/],
    ['7692-5.1-client-rejects-unknown-response', `${good}; x`, /7692 7\.1/],
    ['7692-5.1-one-accept-at-client', `${good}, ${good}`, /not offered/],
    ['7692-5.1-one-accept-at-client', [good, good], /not offered/],
    ['6455-4.1-extension-not-requested', 'x-foo', /not offered/],
    ['6455-4.1-extension-not-requested', `${good}, x-foo`, /not offered/],
    ['6455-4.1-extension-malformed', `${good};`, /malformed/],
  ]
  for (const [id, extensions, fault] of faults) t.match(judge(extensions), { fault }, id)
})

await t.test('good responses', async (t) => {
  const rows: readonly (readonly [
    id: string,
    changes: Record<string, string | readonly string[]>,
    string,
  ])[] = [
    ['as written', {}, ''],
    ['6455-4.1-upgrade-value', { Upgrade: 'WebSocket' }, ''],
    ['6455-4.1-connection-token', { Connection: 'keep-alive, UPGRADE' }, ''],
    ['9110-5.3-repeat-list-fields', { Connection: ['keep-alive', 'upgrade'] }, ''],
    ['6455-1.3-set-cookie-visible', { 'Set-Cookie': ['a=b', 'c=d'], Server: 'x' }, ''],
    ['6455-4.1-protocol-absent-ok', {}, ''],
    ['6455-1.3-subprotocol-verified', { 'Sec-WebSocket-Protocol': 'b' }, 'b'],
    ['Content-Length: 0', { 'Content-Length': '0' }, ''],
  ]
  for (const [id, changes, protocol] of rows) {
    t.strictSame(judgeResponse(response(changes), offered), { protocol, deflate: undefined }, id)
  }
  const shouted = response({}).rawHeaders.map((text, at) => (at % 2 === 0 ? text.toUpperCase() : text))
  const verdict = judgeResponse({ httpVersion: '1.1', rawHeaders: shouted }, offered)
  t.strictSame(verdict, { protocol: '', deflate: undefined }, '6455-4.1-field-names-case')
  t.match(
    judgeResponse(response({}, '1.0'), offered),
    { fault: /not HTTP\/1\.1/ },
    '6455-4.1-nonconforming-response',
  )
})

await t.test('the path of a request target', async (t) => {
  t.equal(pathOf('/a/b?c?d'), '/a/b')
  t.equal(pathOf('//a'), '//a')
  t.equal(pathOf('HTTP://h/a?b'), '/a')
  t.equal(pathOf('ws://h/a'), '/a')
  t.equal(pathOf('wss://h'), '/')
  for (const none of ['', '*', 'h:80', 'a/b', 'ftp://h/', 'http://', 'xhttp://h/'])
    t.equal(pathOf(none), undefined, none)
})

await t.test(
  '9110-15.5.6-405-allow: only HEAD is answered as GET would be, and only where it upgrades nothing',
  async (t) => {
    t.equal(statusOf({ method: 'POST', without: ['Upgrade'] }), 405)
    t.equal(statusOf({ method: 'HEAD' }), 405)
    t.not(statusOf({ method: 'HEAD', without: ['Upgrade'] }), 405)
  },
)

await t.test('RFC 6455 4.1: a fault of the response says what is wrong and names its section', async (t) => {
  const faultOf = (changes: Parameters<typeof response>[0], offer: Offer = offered): unknown =>
    judgeResponse(response(changes), offer)
  t.strictSame(faultOf({ Upgrade: 'h2c' }), { fault: 'Upgrade is not "websocket" (RFC 6455 4.1)' })
  t.strictSame(faultOf({ 'Content-Length': '1' }), { fault: 'a 101 response has a body (RFC 9110 8.6)' })
  t.strictSame(
    faultOf({ 'Sec-WebSocket-Extensions': 'permessage-deflate; no_such' }, { ...offered, deflate }),
    { fault: 'the answer to permessage-deflate is not acceptable (RFC 7692 7.1)' },
  )
})
