import t from 'tap'
import { Connecting, namedHost, remoteHost } from '../../lib/connecting.ts'
import { parseTarget } from '../../lib/url.ts'
import { turns } from '../help/loop.ts'

/** Attempts that end when a test says so, and the order in which their turn came. */
function attempts() {
  const connecting = new Connecting()
  const begun: string[] = []
  const start = (name: string, ...hosts: readonly string[]) => {
    const turn = connecting.turn()
    const abort = new AbortController()
    const comes = turn.comes(hosts.length === 0 ? ['h:80'] : hosts, abort.signal)
    const begins = comes.then(() => void begun.push(name))
    begins.catch(() => {})
    return { begins, abort: (reason: Error) => abort.abort(reason), ends: () => turn.end() }
  }
  return { connecting, begun, start }
}

t.test('6455-4.1-one-connecting-per-address: one at a time, in order, each address by itself', async (t) => {
  const { begun, start } = attempts()
  const [one, two, three] = [start('1'), start('2'), start('3')]
  start('another port', 'h:81')
  await turns(1)
  t.strictSame(begun, ['1', 'another port'], 'at once where nobody connects')
  one.ends() // 6455-4.1-next-after-failure: opened or failed
  await turns(1)
  t.strictSame(begun, ['1', 'another port', '2'])
  const four = start('4')
  for (const each of [two, three, four]) {
    await each.begins
    each.ends()
  }
  t.strictSame(begun, ['1', 'another port', '2', '3', '4'])
  await start('5').begins
  t.equal(begun.at(-1), '5', 'nobody is left')
})

t.test(
  'several addresses: each attempt waits for all before it that share one, and for no other',
  async (t) => {
    const { begun, start } = attempts()
    const ab = start('ab', 'a', 'b')
    const bc = start('bc', 'b', 'c')
    const cd = start('cd', 'c', 'd')
    start('e', 'e')
    const adad = start('adad', 'a', 'd', 'a', 'd')
    start('d', 'd')
    await turns(1)
    t.strictSame(begun, ['ab', 'e'])
    ab.ends()
    await turns(1)
    t.strictSame(begun, ['ab', 'e', 'bc'], 'a is free, but d is not its turn')
    bc.ends()
    await turns(1)
    t.strictSame(begun, ['ab', 'e', 'bc', 'cd'])
    cd.ends()
    await turns(1)
    t.strictSame(begun, ['ab', 'e', 'bc', 'cd', 'adad'])
    adad.ends()
    await turns(1)
    t.strictSame(begun, ['ab', 'e', 'bc', 'cd', 'adad', 'd'])
  },
)

t.test('P6: an abort ends that wait alone, and nobody else’s turn comes sooner', async (t) => {
  const { begun, start } = attempts()
  const [one, two, three] = [start('1', 'a'), start('2', 'a', 'b'), start('3', 'a')]
  const behind = start('4', 'b')
  two.abort(new Error('changed my mind'))
  await t.rejects(two.begins, { message: 'changed my mind' })
  two.ends()
  await behind.begins
  await turns(1)
  t.strictSame(begun, ['1', '4'], 'who shares no address with those before need not wait for them')
  one.ends()
  await three.begins
  t.strictSame(begun, ['1', '4', '3'])
})

t.test('an attempt that was aborted before stands in nobody’s way', async (t) => {
  const { connecting, start } = attempts()
  const late = connecting.turn()
  late.end()
  await t.rejects(late.comes(['h:80'], AbortSignal.abort(new Error('too late'))), { message: 'too late' })
  await start('1').begins
})

t.test('6455-4.1-one-connecting-per-address: one host, however its address is written', async (t) => {
  const same: readonly (readonly [string, ...string[]])[] = [
    ['127.0.0.1', '::ffff:127.0.0.1', '::FFFF:7f00:1', '0:0:0:0:0:ffff:7f00:0001'],
    ['::1', '0:0:0:0:0:0:0:1', '::0001'],
    ['2001:db8::a', '2001:DB8:0::A'],
    ['fe80::1', 'FE80::1%eth0'],
    ['::127.0.0.1', '::7f00:1'],
  ]
  for (const [first, ...others] of same) {
    for (const other of others) t.equal(remoteHost(other, 80), remoteHost(first, 80), other)
  }
  const hosts = same.map(([first]) => remoteHost(first, 80))
  t.equal(new Set(hosts).size, same.length)
  t.not(remoteHost('::1', 80), remoteHost('::1', 81))
})

t.test('a host that is not looked up goes by its name, its address or the path of its socket', async (t) => {
  const host = (url: string): string => namedHost(parseTarget(url))
  t.equal(host('ws://Example.com/a'), host('http://example.com:80/b'))
  t.not(host('ws://example.com'), host('wss://example.com'))
  t.equal(host('ws://[::ffff:127.0.0.1]:8080'), host('ws://127.0.0.1:8080'))
  t.equal(host('ws+unix:/run/a.sock:/x'), '/run/a.sock')
})
