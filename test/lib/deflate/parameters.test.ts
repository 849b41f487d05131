import t from 'tap'
import {
  accept,
  type DeflateAgreement,
  type DeflatePolicy,
  judgeAnswer,
  offer,
} from '../../../lib/deflate/parameters.ts'
import { judgeResponse } from '../../../lib/handshake.ts'
import { type Extension, formatExtensions, parseExtensions } from '../../../lib/header-list.ts'
import { sampleAccept, sampleKey } from '../../help/raw-http.ts'
import { vectors } from '../../vectors/vectors.ts'

const free: DeflatePolicy = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
}

function parse(header: string): Extension[] {
  return parseExtensions(header) ?? []
}

/** The first element of a header. */
function one(header: string): Extension {
  const [first] = parse(header)
  if (first === undefined) throw new Error(`no extension in ${header}`)
  return first
}

/** The server's answer as a header; undefined where it declines. */
function answer(header: string, policy: Partial<DeflatePolicy> = {}): string | undefined {
  const accepted = accept(parse(header), { ...free, ...policy })
  return accepted && formatExtensions([accepted.answer])
}

function judge(offered: string, answered: string): DeflateAgreement | undefined {
  return judgeAnswer(one(offered), one(answered))
}

await t.test(
  '7692-7.1-decline-unknown-param, 7692-7.1-decline-invalid-value, 7692-7.1-decline-duplicate: deflateOffers[]',
  async (t) => {
    // Among them 7692-7.1.1.1-offer-no-value, 7692-7.1.1.2-offer-no-value, 7692-7.1.2.1-value-required,
    // 7692-7.1.1.1-support-recommended, 7692-7.1.1.2-hint-only and 6455-9.1-name-case.
    for (const { offer: header, accept: acceptable, response = [], why } of vectors.deflateOffers) {
      const accepted = accept(parse(header), free)
      t.equal(accepted !== undefined, acceptable, `${header}: ${why}`)
      if (accepted === undefined) continue
      const given = accepted.answer.parameters.map(([name, value]) => [
        name,
        value === null ? null : Number(value),
      ])
      const right = response.some(
        (each) => JSON.stringify(sorted(Object.entries(each))) === JSON.stringify(sorted(given)),
      )
      t.ok(
        right,
        `${header}: the answer ${formatExtensions([accepted.answer])} is one of those that are right`,
      )
    }
  },
)

function sorted(pairs: readonly unknown[]): string[] {
  return pairs.map((pair) => JSON.stringify(pair)).toSorted()
}

await t.test(
  '7692-5.1-client-rejects-unknown-response, 7692-7.1-fail-unknown-param, 7692-7.1-fail-invalid-value, 7692-7.1-fail-duplicate: deflateResponses[]',
  async (t) => {
    // Among them 7692-7.1.1.1-offer-no-value, 7692-7.1.1.2-offer-no-value, 7692-7.1.2.1-value-required,
    // 7692-7.1.2.2-response-needs-value and 7692-7.1.1.2-support-recommended.
    for (const { offer: offered, response, ok, why } of vectors.deflateResponses) {
      const verdict = judgeResponse(
        {
          httpVersion: '1.1',
          rawHeaders: [
            'Upgrade',
            'websocket',
            'Connection',
            'Upgrade',
            'Sec-WebSocket-Accept',
            sampleAccept,
            ...(response === null ? [] : ['Sec-WebSocket-Extensions', response]),
          ],
        },
        { key: sampleKey, protocols: [], deflate: offered === null ? undefined : one(offered) },
      )
      t.equal(!('fault' in verdict), ok, `${offered} answered with ${response}: ${why}`)
      if (response === null) t.match(verdict, { deflate: undefined }, '7692-5.1-declined-no-compression')
    }
  },
)

await t.test(
  '7692-7-token, 7692-5.1-client-offers, 6455-9-client-may-request: what a client offers',
  async (t) => {
    // 6455-9.1-registered-token, 6455-9.1-params-defined, 6455-11.4-deflate-registered
    const header = (policy: Partial<DeflatePolicy>): string =>
      formatExtensions([offer({ ...free, ...policy })])
    t.equal(header({}), 'permessage-deflate; client_max_window_bits')
    t.equal(header({ clientMaxWindowBits: 9 }), 'permessage-deflate; client_max_window_bits=9')
    t.equal(
      header({ serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 8 }),
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8; client_max_window_bits',
    )
  },
)

await t.test(
  '7692-5.1-several-offers-are-fallbacks, 7692-5.1-server-picks-one, 6455-9.1-order-preference',
  async (t) => {
    t.equal(answer('permessage-deflate; foo, permessage-deflate'), 'permessage-deflate')
    t.equal(
      answer('x-other, permessage-deflate; server_max_window_bits=10, permessage-deflate'),
      'permessage-deflate; server_max_window_bits=10',
      '7692-5.1-rsv1-conflict: only the first is taken',
    )
    t.equal(answer('permessage-deflate; foo=1'), undefined, '7692-5.1-decline-is-not-failure')
    t.equal(answer('x-other'), undefined)
    t.equal(answer(''), undefined)
  },
)

await t.test('what the server asks for of its own accord, and what it must not ask for', async (t) => {
  const bare = 'permessage-deflate'
  t.equal(
    answer(bare, { serverNoContextTakeover: true }),
    `${bare}; server_no_context_takeover`,
    '7692-7.1.1.1-server-volunteers',
  )
  t.equal(
    answer(bare, { clientNoContextTakeover: true }),
    `${bare}; client_no_context_takeover`,
    '7692-7.1.1.2-server-may-demand',
  )
  t.equal(
    answer(bare, { serverMaxWindowBits: 12 }),
    `${bare}; server_max_window_bits=12`,
    '7692-7.1.2.1-server-volunteers',
  )
  t.equal(answer(bare, { clientMaxWindowBits: 12 }), bare, '7692-7.1.2.2-only-if-offered')
  const hint = `${bare}; client_max_window_bits`
  t.equal(answer(hint, { clientMaxWindowBits: 12 }), `${hint}=12`, '7692-7.1.2.2-offer-value-optional')
  t.equal(answer(`${hint}=10`, { clientMaxWindowBits: 12 }), `${hint}=10`, '7692-7.1.2.2-not-larger')
  t.equal(answer(`${hint}=14`, { clientMaxWindowBits: 12 }), `${hint}=12`)
  const limit = `${bare}; server_max_window_bits`
  t.equal(answer(`${limit}=10`, { serverMaxWindowBits: 12 }), `${limit}=10`, '7692-7.1.2.1-accept-echoes')
  t.equal(answer(`${limit}=14`, { serverMaxWindowBits: 12 }), `${limit}=12`)
  t.equal(answer(`${limit}=15`), `${limit}=15`)
  t.equal(
    answer(`${bare}; server_no_context_takeover`),
    `${bare}; server_no_context_takeover`,
    '7692-7.1.1.1-accept-echoes',
  )
})

await t.test(
  '7692-7.1.2-value-grammar: a window is 8 to 15 in plain decimal, in offers and answers',
  async (t) => {
    for (const value of ['7', '16', '08', '010', '+9', '-9', '1e1', '0xA', '9.0', '""', '"9 "', '150']) {
      for (const name of ['server_max_window_bits', 'client_max_window_bits']) {
        const header = `permessage-deflate; ${name}=${value}`
        // What is not even a token or a quoted string makes the whole header malformed.
        t.equal(parseExtensions(header) === undefined ? undefined : answer(header), undefined, header)
        if (parseExtensions(header) !== undefined)
          t.equal(judge('permessage-deflate; client_max_window_bits', header), undefined, header)
      }
    }
    for (let bits = 8; bits <= 15; bits++) {
      t.equal(
        answer(`permessage-deflate; server_max_window_bits="${bits}"`),
        `permessage-deflate; server_max_window_bits=${bits}`,
        '7692-7.1.2-quoted-value',
      )
    }
  },
)

await t.test('7692-5.1-response-is-the-agreement', async (t) => {
  t.strictSame(judge('permessage-deflate; client_max_window_bits', 'permessage-deflate'), free)
  t.strictSame(accept(parse('permessage-deflate'), free)?.agreement, free, '7692-7.1.2.2-absent-means-15')
  t.strictSame(
    judge(
      'permessage-deflate; client_max_window_bits',
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=10',
    ),
    {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 9,
      clientMaxWindowBits: 10,
    },
  )
  t.strictSame(
    judge('permessage-deflate; client_no_context_takeover; client_max_window_bits=10', 'permessage-deflate'),
    { ...free, clientNoContextTakeover: true, clientMaxWindowBits: 10 },
    'what we announced for ourselves holds though it was not repeated',
  )
  t.equal(
    judge('permessage-deflate; server_no_context_takeover', 'permessage-deflate'),
    undefined,
    '7692-7.1.1.1-client-checks-echo',
  )
  t.equal(
    judge('permessage-deflate; server_max_window_bits=10', 'permessage-deflate; server_max_window_bits=11'),
    undefined,
    '7692-7.1.2.1-client-checks',
  )
  t.equal(
    judge('permessage-deflate', 'permessage-deflate; client_max_window_bits=10'),
    undefined,
    '7692-7.1.2.2-only-if-offered',
  )
  t.equal(judge('permessage-deflate', 'x-other'), undefined, '7692-7-token')
  t.equal(judge('permessage-deflate; foo', 'permessage-deflate'), undefined)
})

await t.test('both sides agree on the same, whatever each of them asks for', async (t) => {
  const flags = [false, true]
  const windows = [8, 9, 12, 15]
  const policies = flags.flatMap((serverNoContextTakeover) =>
    flags.flatMap((clientNoContextTakeover) =>
      windows.flatMap((serverMaxWindowBits) =>
        windows.map((clientMaxWindowBits) => ({
          serverNoContextTakeover,
          clientNoContextTakeover,
          serverMaxWindowBits,
          clientMaxWindowBits,
        })),
      ),
    ),
  )
  const wrong: unknown[] = []
  for (const client of policies) {
    for (const server of policies) {
      const offered = offer(client)
      const accepted = accept(parse(formatExtensions([offered])), server)
      const answered = accepted && one(formatExtensions([accepted.answer]))
      const agreed = answered && judgeAnswer(offered, answered)
      if (JSON.stringify(agreed) !== JSON.stringify(accepted?.agreement) || agreed === undefined)
        wrong.push({ client, server, agreed })
    }
  }
  t.strictSame(wrong, [])
})

await t.test('Z6: of a thousand offers each is looked at twice at most', async (t) => {
  const header = Array.from(
    { length: 1000 },
    (_, at) => `permessage-deflate; server_max_window_bits=${at + 16}`,
  )
  const extensions = parse(`${header.join(', ')}, permessage-deflate`)
  let looks = 0
  const counted = extensions.map((extension) => ({
    ...extension,
    get parameters() {
      looks++
      return extension.parameters
    },
  }))
  t.ok(accept(counted, free))
  t.ok(looks <= 2 * 1001, `${looks} looks at parameters`)
})
