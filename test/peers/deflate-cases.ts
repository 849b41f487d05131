/** permessage-deflate (RFC 7692) with any other implementation that has it, in every combination of its parameters. */
import { Buffer } from 'node:buffer'
import type { CompressionOptions } from '../../lib/index.ts'
import { textOf } from '../lib/deflate/samples.ts'
import type { Case, Scene } from './case.ts'

const flags = [false, true]
const windows = [undefined, 9]
/** Below and above what others leave uncompressed, and both sides of a window of 512 bytes and of one of 32 KiB. */
const sizes = [100, 1500, 70_000]

const combinations: CompressionOptions[] = flags.flatMap((serverNoContextTakeover) =>
  flags.flatMap((clientNoContextTakeover) =>
    windows.flatMap((serverMaxWindowBits) =>
      windows.map((clientMaxWindowBits) => ({
        threshold: 0,
        serverNoContextTakeover,
        clientNoContextTakeover,
        ...(serverMaxWindowBits === undefined ? {} : { serverMaxWindowBits }),
        ...(clientMaxWindowBits === undefined ? {} : { clientMaxWindowBits }),
      })),
    ),
  ),
)

export const deflateCases: readonly Case[] = [
  ...combinations.map((compression): Case => ({
    feature: 'deflate',
    title: `7692-5.1-response-is-the-agreement: ${named(compression)}`,
    wired: true,
    our: { compression },
    async run(scene) {
      agrees(scene, compression)
      await talk(scene)
      await saves(scene)
    },
  })),
  {
    feature: 'deflate',
    title: '7692-7.2.3.6-empty: the shortest messages there and back, and an empty fragment',
    our: { compression: { threshold: 0 } },
    async run({ t, ours, theirs }) {
      for (const message of ['', Buffer.alloc(0), 'a', 'text', '', '']) {
        theirs.send(message)
        t.strictSame(await ours.receive(), message)
        ours.send(message)
        t.strictSame(await theirs.receive(), message)
      }
      await ours.sendFragments(['one', '', 'two'])
      t.equal(await theirs.receive(), 'onetwo')
    },
  },
  {
    feature: 'deflate',
    title: '6455-5.4-receive-both: 1 MiB there and back, compressed',
    our: { compression: true },
    async run({ t, ours, theirs }) {
      const long = textOf(1024 * 1024)
      theirs.send(long)
      t.ok((await ours.receive()) === long)
      ours.send(Buffer.from(long))
      t.ok(Buffer.from(long).equals(Buffer.from(await theirs.receive())))
    },
  },
  {
    feature: 'deflate',
    title: '6455-5.4-fragments-joined: our compressed fragments, long and short',
    our: { compression: true },
    async run({ t, ours, theirs }) {
      const long = textOf(300_000)
      await ours.sendFragments([long, 'short', long])
      t.ok((await theirs.receive()) === `${long}short${long}`)
    },
  },
  {
    feature: 'deflate',
    title: '6455-5.4-control-interleaved: their compressed fragments, with a Ping between them',
    needs: ['fragment', 'ping'],
    our: { compression: true },
    async run({ t, ours, theirs }) {
      const text = Buffer.from(textOf(5000))
      theirs.can.fragment?.(text.subarray(0, 2000), { binary: true, fin: false })
      t.strictSame(await theirs.can.ping?.(Buffer.from('now')), Buffer.from('now'))
      theirs.can.fragment?.(text.subarray(2000), { binary: true, fin: true })
      t.strictSame(await ours.receive(), text)
    },
  },
  {
    feature: 'deflate',
    title: '6455-6.1-send-order: what we sent compressed before our Close arrives before it',
    our: { compression: true },
    async run({ t, ours, theirs }) {
      const long = textOf(300_000)
      ours.send(long)
      ours.send('last')
      void ours.close(1000)
      t.ok((await theirs.receive()) === long)
      t.equal(await theirs.receive(), 'last')
      t.match(await ours.closed, { code: 1000, wasClean: true })
    },
  },
  {
    feature: 'deflate',
    title: '6455-5.4-order-kept: what they sent compressed before their Close is there after it',
    our: { compression: true },
    async run({ t, ours, theirs }) {
      const long = textOf(300_000)
      theirs.send(long)
      theirs.send('last')
      theirs.close(1000)
      t.match(await ours.closed, { code: 1000, wasClean: true, initiator: 'remote' })
      t.ok((await ours.receive()) === long)
      t.equal(await ours.receive(), 'last')
    },
  },
]

/** What the handshake says is agreed on, beside what we asked for. */
function agrees({ t, wire, pairing }: Scene, asked: CompressionOptions): void {
  const offer = wire?.fromClient.field('sec-websocket-extensions') ?? ''
  const agreed = wire?.fromServer.field('sec-websocket-extensions') ?? ''
  t.match(agreed, /^permessage-deflate/)
  if (asked.serverNoContextTakeover) t.match(agreed, 'server_no_context_takeover')
  if (asked.serverMaxWindowBits !== undefined) t.match(agreed, 'server_max_window_bits=9')
  // A client may hear of these only what it has offered, or what it need not obey (sections 7.1.1.2 and 7.1.2.2).
  if (pairing.ourRole === 'client') return
  if (asked.clientNoContextTakeover) t.match(agreed, 'client_no_context_takeover')
  if (asked.clientMaxWindowBits !== undefined && offer.includes('client_max_window_bits'))
    t.match(agreed, 'client_max_window_bits=9')
}

/** One by one, then at once. */
async function talk({ t, ours, theirs }: Scene): Promise<void> {
  const messages = sizes.flatMap((size) => [textOf(size), Buffer.from(textOf(size, 'binary'))])
  for (const each of messages) {
    theirs.send(each)
    same(await ours.receive(), each)
    ours.send(each)
    same(await theirs.receive(), each)
  }
  for (const each of messages) ours.send(each)
  for (const each of messages) theirs.send(each)
  for (const each of messages) same(await theirs.receive(), each)
  for (const each of messages) same(await ours.receive(), each)

  function same(actual: string | Buffer, expected: string | Buffer): void {
    t.ok(
      typeof actual === typeof expected && Buffer.from(actual).equals(Buffer.from(expected)),
      `${expected.length} of ${typeof expected}`,
    )
  }
}

/** What was sent compressed has taken less than it is. */
async function saves({ t, ours, wire, pairing }: Scene): Promise<void> {
  t.match(await ours.close(1000), { wasClean: true })
  const [we, they] =
    pairing.ourRole === 'server' ? [wire?.fromServer, wire?.fromClient] : [wire?.fromClient, wire?.fromServer]
  const whole = sizes.reduce((sum, size) => sum + 4 * size, 0)
  for (const direction of pairing.deflate === 'both ways' ? [we, they] : [we])
    t.ok((direction?.bytes ?? whole) < 0.7 * whole, `${direction?.bytes} bytes for ${whole}`)
}

function named(parameters: CompressionOptions): string {
  const given = Object.entries(parameters).filter(([name, value]) => name !== 'threshold' && value !== false)
  return (
    given.map(([name, value]) => (value === true ? name : `${name} ${value}`)).join(', ') || 'no parameters'
  )
}
