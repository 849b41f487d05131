/** Messages, Pings and subprotocols with any other implementation. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { alphabet, bytesOf, type Case, textOf } from './case.ts'

/** Both sides of each limit between the forms of a length (RFC 6455 section 5.2), and what comes in many chunks. */
const sizes = [0, 1, 125, 126, 65535, 65536, 1024 * 1024]

export const messageCases: readonly Case[] = [
  ...sizes.flatMap((size): Case[] => [
    {
      feature: 'echo',
      title: `6455-5.6-text-utf8: ${size} bytes of text there and back`,
      run: echoes(textOf(size)),
    },
    {
      feature: 'echo',
      title: `6455-5.6-binary-any: ${size} bytes there and back`,
      run: echoes(bytesOf(size)),
    },
  ]),
  {
    feature: 'echo',
    title: '6455-5.4-order-kept: what is sent at once arrives one by one, both ways',
    async run({ t, ours, theirs }) {
      const sent = Array.from({ length: 100 }, (_, at) => (at % 2 === 0 ? `${at}` : bytesOf(at)))
      for (const each of sent) ours.send(each)
      for (const each of sent) theirs.send(each)
      for (const each of sent) t.strictSame(await theirs.receive(), each)
      for (const each of sent) t.strictSame(await ours.receive(), each)
    },
  },
  {
    feature: 'fragments',
    title: '6455-5.4-send-fragments: our fragments are one message, text or binary, empty ones too',
    async run({ t, ours, theirs }) {
      for (const parts of [
        ['', 'one', '', 'two', ''],
        ['\ud83d', '\ude00'],
        [bytesOf(3), bytesOf(0), bytesOf(65536)],
        [],
        [bytesOf(0)],
      ]) {
        await ours.sendFragments(parts)
        const whole = Buffer.isBuffer(parts[0])
          ? Buffer.concat(parts.map((each) => Buffer.from(each)))
          : parts.join('')
        t.strictSame(await theirs.receive(), whole)
      }
    },
  },
  {
    feature: 'fragments',
    title: '6455-5.4-control-may-be-injected: a Ping of ours between our fragments is answered',
    async run({ t, ours, theirs }) {
      async function* parts(): AsyncGenerator<string> {
        yield 'one '
        await ours.ping()
        yield 'two'
      }
      await ours.sendFragments(parts())
      t.equal(await theirs.receive(), 'one two')
    },
  },
  {
    feature: 'fragments',
    title:
      '6455-5.4-fragments-joined, 6455-5.6-partial-utf8-in-frame: a text that they cut inside a character',
    needs: ['fragment'],
    async run({ t, ours, theirs }) {
      const text = Buffer.from(alphabet)
      for (let at = 0; at <= text.length; at++) {
        theirs.can.fragment?.(text.subarray(0, at), { binary: false, fin: false })
        theirs.can.fragment?.(text.subarray(at), { binary: false, fin: true })
        t.equal(await ours.receive(), alphabet)
      }
    },
  },
  {
    feature: 'fragments',
    title: '6455-5.4-control-interleaved: their Ping between their fragments is answered',
    needs: ['fragment', 'ping'],
    async run({ t, ours, theirs }) {
      theirs.can.fragment?.(bytesOf(70_000), { binary: true, fin: false })
      t.strictSame(await theirs.can.ping?.(Buffer.from('now')), Buffer.from('now'))
      theirs.can.fragment?.(bytesOf(0), { binary: true, fin: false })
      theirs.can.fragment?.(bytesOf(10), { binary: true, fin: true })
      t.strictSame(await ours.receive(), Buffer.concat([bytesOf(70_000), bytesOf(10)]))
    },
  },
  {
    feature: 'ping',
    title: '6455-5.5.2-ping-pong, 6455-5.5.2-ping-any-bytes: our Pings are answered',
    async run({ t, ours }) {
      for (const payload of [undefined, '', bytesOf(1), bytesOf(125)]) {
        const pong = once(ours, 'pong')
        t.ok((await ours.ping(payload)) >= 0)
        if (payload !== undefined) t.strictSame(await pong, [Buffer.from(payload)])
      }
    },
  },
  {
    feature: 'ping',
    title: '6455-5.5.2-ping-pong, 6455-5.5.2-ping-any-bytes: their Pings are answered',
    needs: ['ping'],
    async run({ t, ours, theirs }) {
      for (const payload of [bytesOf(0), bytesOf(1), bytesOf(125)]) {
        const ping = once(ours, 'ping')
        t.strictSame(await theirs.can.ping?.(payload), payload)
        t.strictSame(await ping, [payload])
      }
    },
  },
  {
    feature: 'subprotocol',
    title: '6455-4.2.2-subprotocol-from-request, 6455-1.3-subprotocol-verified: the one that both know',
    offered: ['soap', 'superchat', 'chat'],
    known: ['superchat'],
    async run({ t, ours, theirs }) {
      t.equal(ours.protocol, 'superchat')
      t.equal(theirs.protocol, 'superchat')
    },
  },
  {
    feature: 'subprotocol',
    title: '6455-4.2.2-subprotocol-none: none was asked for',
    known: ['superchat'],
    async run({ t, ours, theirs }) {
      t.equal(ours.protocol, '')
      t.equal(theirs.protocol, '')
    },
  },
]

function echoes(message: string | Buffer): Case['run'] {
  return async ({ t, ours, theirs }) => {
    theirs.send(message)
    const there = await ours.receive()
    t.strictSame(there, message)
    ours.send(there)
    t.strictSame(await theirs.receive(), message)
  }
}
