import t from 'tap'
import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { Agent } from 'node:http'
import { type LookupFunction, Socket } from 'node:net'
import { hostLookup, lookupInTurn } from '../../lib/host-lookup.ts'
import type { ConnectOptions } from '../../lib/options.ts'
import { parseTarget } from '../../lib/url.ts'
import { deferred } from '../help/deferred.ts'
import { turns } from '../help/loop.ts'

t.test('names are looked up, unless that is for somebody else to do', async (t) => {
  const own: LookupFunction = () => {}
  const rows: readonly (readonly [string, ConnectOptions, LookupFunction | undefined])[] = [
    ['ws://example.com', {}, dnsLookup],
    ['wss://example.com', {}, dnsLookup],
    ['wss://example.com', { tls: { lookup: own } }, own],
    ['ws://example.com', { tls: { lookup: own } }, dnsLookup],
    ['wss://example.com', { tls: { lookup: own, socket: new Socket() } }, undefined],
    ['ws://example.com', { agent: new Agent() }, undefined],
    ['ws://127.0.0.1', {}, undefined],
    ['wss://[::1]', { tls: { lookup: own } }, undefined],
    ['ws+unix:/run/a.sock', {}, undefined],
  ]
  for (const [url, options, lookup] of rows) t.equal(hostLookup(parseTarget(url), options), lookup, url)
})

/** What a look-up in turn answers with; `found` is what the look-up finds. */
async function answered(lookup: LookupFunction, inTurn: (hosts: readonly string[]) => Promise<void>) {
  const answer = deferred<readonly unknown[]>()
  lookupInTurn(lookup, 80, inTurn)('a.example', { family: 6 }, (...given) => answer.resolve(given))
  return answer.promise
}

t.test('the answer is that of the look-up, when the turn of all its addresses has come', async (t) => {
  const two: LookupAddress[] = [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ]
  const rows: readonly (readonly [Parameters<Parameters<LookupFunction>[2]>, readonly string[]])[] = [
    [
      [null, two, undefined],
      ['::1:80', '127.0.0.1:80'],
    ],
    [[null, '127.0.0.1', 4], ['127.0.0.1:80']],
  ]
  for (const [found, hosts] of rows) {
    const asked: unknown[] = []
    const turn = deferred<void>()
    let done = false
    const answer = answered(
      (name, options, tell) => {
        t.strictSame([name, options], ['a.example', { family: 6 }])
        tell(...found)
        tell(...found)
      },
      (given) => {
        asked.push(given)
        return turn.promise
      },
    ).finally(() => (done = true))
    await turns(2)
    t.strictSame(asked, [hosts], 'once, even if it is told twice')
    t.notOk(done)
    turn.resolve()
    t.strictSame(await answer, found)
  }
})

t.test('a look-up that fails, one that throws, and a wait that is given up', async (t) => {
  const failure = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
  const never = (): Promise<void> => Promise.reject(new Error('nobody has a turn'))
  t.strictSame(await answered((_name, _options, tell) => tell(failure, []), never), [failure, []])
  const thrown = await answered(() => {
    throw failure
  }, never)
  t.strictSame(thrown, [failure, []])
  const given = await answered(
    (_name, _options, tell) => tell(null, '127.0.0.1', 4),
    () => Promise.reject(failure),
  )
  t.strictSame(given, [failure, []])
})
