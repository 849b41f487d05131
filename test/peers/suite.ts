/** What must hold between us and every other implementation, over every transport that it has. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import type { Test } from 'tap'
import { CloseCode, type CloseInfo, ConnectionClosedError, type ConnectionOptions } from '../../lib/index.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import type { Pairing } from './meeting.ts'
import type { Abilities, Certificate, Meeting, PeerRecord, Transport } from './peer.ts'

/** A test, with both ends of a connection that is its own. */
interface Scene extends Meeting {
  readonly t: Test
  readonly pairing: Pairing
  /** Ours. It stands still, so nothing here ends because we gave up waiting, unless the test moves it. */
  readonly clock: FakeTimers
}

interface Case {
  readonly title: string
  readonly run: (scene: Scene) => Promise<void>
  /** Abilities without which there is nothing to test. */
  readonly needs?: readonly (keyof Abilities)[]
  /** Only for applications that may close with any code. */
  readonly needsAnyCode?: boolean
  readonly our?: ConnectionOptions
  readonly offered?: string[]
  readonly known?: string[]
}

/** Both sides of each limit between the forms of a length (RFC 6455 section 5.2), and what comes in many chunks. */
const sizes = [0, 1, 125, 126, 65535, 65536, 1024 * 1024]
/** Characters of one, two, three and four bytes. */
const alphabet = 'aä€😀'
/** The default of our option, in ms. */
const closeTimeout = 10_000

const goodbyes: { code?: number; reason?: string; needsAnyCode?: boolean }[] = [
  {},
  { code: 1000 },
  { code: 1000, reason: 'bye' },
  { code: 1001, reason: 'going away', needsAnyCode: true },
  { code: 1014, needsAnyCode: true },
  { code: 3000 },
  { code: 4999, reason: 'grüß dich' },
  { code: 4999, reason: 'r'.repeat(123) },
]

const cases: readonly Case[] = [
  ...sizes.flatMap((size): Case[] => [
    { title: `6455-5.6-text-utf8: ${size} bytes of text there and back`, run: echoes(textOf(size)) },
    { title: `6455-5.6-binary-any: ${size} bytes there and back`, run: echoes(bytesOf(size)) },
  ]),
  {
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
    title: '6455-4.2.2-subprotocol-from-request, 6455-1.3-subprotocol-verified: the one that both know',
    offered: ['soap', 'superchat', 'chat'],
    known: ['superchat'],
    async run({ t, ours, theirs }) {
      t.equal(ours.protocol, 'superchat')
      t.equal(theirs.protocol, 'superchat')
    },
  },
  {
    title: '6455-4.2.2-subprotocol-none: none was asked for',
    known: ['superchat'],
    async run({ t, ours, theirs }) {
      t.equal(ours.protocol, '')
      t.equal(theirs.protocol, '')
    },
  },
  ...goodbyes.map(({ code, reason = '' }): Case => ({
    title: `6455-1.4-reply-to-close, 7.1.4, 7.1.5: we close with ${said(code, reason)}`,
    async run({ t, ours, theirs, pairing }) {
      void ours.close(code, reason)
      const received = { code, reason: pairing.repeatsReason ? reason : '' }
      await endsWith(t, { ours, theirs }, [
        {
          code: code ?? CloseCode.noStatus,
          reason: received.reason,
          wasClean: true,
          initiator: 'local',
          sent: { code, reason },
          received,
          trigger: 'local-close',
        },
        { code: code ?? CloseCode.noStatus, reason, wasClean: true },
      ])
    },
  })),
  ...goodbyes.map(({ code, reason = '', needsAnyCode = false }): Case => ({
    title: `6455-1.4-reply-to-close, 7.1.4, 7.1.5: they close with ${said(code, reason)}`,
    needsAnyCode,
    async run({ t, ours, theirs }) {
      theirs.close(code, reason)
      await endsWith(t, { ours, theirs }, [
        {
          code: code ?? CloseCode.noStatus,
          reason,
          wasClean: true,
          initiator: 'remote',
          sent: { code, reason },
          received: { code, reason },
          trigger: 'peer-close',
        },
        { code: code ?? CloseCode.noStatus, reason, wasClean: true },
      ])
    },
  })),
  {
    title: '6455-1.4-simultaneous-close: both close at once, and each hears the other',
    async run({ t, ours, theirs }) {
      void ours.close(3000, 'ours')
      theirs.close(4000, 'theirs')
      await endsWith(t, { ours, theirs }, [
        {
          code: 4000,
          reason: 'theirs',
          wasClean: true,
          initiator: 'local',
          sent: { code: 3000, reason: 'ours' },
          received: { code: 4000, reason: 'theirs' },
          trigger: 'local-close',
        },
        { code: 3000, reason: 'ours', wasClean: true },
      ])
    },
  },
  {
    title: '6455-6.1-send-order: what we sent before our Close arrives before it',
    async run({ t, ours, theirs }) {
      ours.send(bytesOf(1024 * 1024))
      ours.send('last')
      void ours.close(1000)
      t.strictSame(await theirs.receive(), bytesOf(1024 * 1024))
      t.equal(await theirs.receive(), 'last')
      t.match(await ours.closed, { code: 1000, wasClean: true })
    },
  },
  {
    title: '6455-5.4-order-kept: what they sent before their Close is there after it',
    async run({ t, ours, theirs }) {
      theirs.send(bytesOf(65536))
      theirs.send('last')
      theirs.close(1000)
      t.match(await ours.closed, { code: 1000, wasClean: true, initiator: 'remote' })
      t.strictSame(await ours.receive(), bytesOf(65536))
      t.equal(await ours.receive(), 'last')
      await t.rejects(ours.receive(), ConnectionClosedError)
    },
  },
  {
    title: '6455-5.5.1-close-inside-message: we close in the middle of our message',
    async run({ t, ours, theirs }) {
      async function* parts(): AsyncGenerator<string> {
        yield 'half a mess'
        void ours.close(1000)
        await ours.closed
      }
      await t.rejects(ours.sendFragments(parts()), ConnectionClosedError)
      t.match(await ours.closed, { code: 1000, wasClean: true, initiator: 'local' })
      t.match(await theirs.closed, { code: 1000, wasClean: true })
    },
  },
  {
    title: '6455-5.5.1-close-inside-message: they close in the middle of their message',
    needs: ['fragment'],
    async run({ t, ours, theirs }) {
      theirs.can.fragment?.('half a mess', { binary: false, fin: false })
      theirs.close(1000)
      t.match(await ours.closed, { code: 1000, wasClean: true, initiator: 'remote' })
      t.match(await theirs.closed, { code: 1000, wasClean: true })
      await t.rejects(ours.receive(), ConnectionClosedError)
    },
  },
  {
    title: '6455-5.5.1-close-answered: an answer of our own (`closeReply: manual`)',
    our: { closeReply: 'manual' },
    async run({ t, ours, theirs }) {
      theirs.close(4000, 'question')
      await once(ours, 'state')
      t.equal(ours.state, 'close-received')
      void ours.close(4001, 'answer')
      await endsWith(t, { ours, theirs }, [
        {
          code: 4000,
          reason: 'question',
          wasClean: true,
          initiator: 'remote',
          sent: { code: 4001, reason: 'answer' },
          received: { code: 4000, reason: 'question' },
          trigger: 'peer-close',
        },
        { code: 4001, reason: 'answer', wasClean: true },
      ])
    },
  },
  {
    title: '6455-7.1.5-lost-1006: they do not answer our Close in time',
    needs: ['pause', 'resume'],
    async run({ t, ours, theirs, clock }) {
      theirs.can.pause?.()
      await ours.closeOutput(3000, 'anybody?') // It has left.
      void ours.close()
      clock.advance(closeTimeout)
      t.strictSame(await ours.closed, {
        ...lost('close-timeout'),
        initiator: 'local',
        sent: { code: 3000, reason: 'anybody?' },
      })
      theirs.can.resume?.()
      t.match(await theirs.closed, { code: 3000, reason: 'anybody?' })
    },
  },
  {
    title: '6455-7.1.5-lost-1006: we do not answer their Close before they lose patience',
    needs: ['terminate'],
    our: { closeReply: 'manual' },
    async run({ t, ours, theirs }) {
      theirs.close(3000, 'anybody?')
      await once(ours, 'state')
      theirs.can.terminate?.()
      t.strictSame(await theirs.closed, lostThere)
      const received = { code: 3000, reason: 'anybody?' }
      t.match(await ours.closed, { ...received, initiator: 'remote', received, trigger: 'peer-close' })
    },
  },
  {
    title: '6455-7.1.5-lost-1006: we terminate',
    async run({ t, ours, theirs }) {
      ours.terminate()
      await endsWith(t, { ours, theirs }, [lost('terminate'), lostThere])
    },
  },
  {
    title: '6455-7.1.5-lost-1006: they terminate',
    needs: ['terminate'],
    async run({ t, ours, theirs }) {
      theirs.can.terminate?.()
      await endsWith(t, { ours, theirs }, [lost('peer-fin'), lostThere])
    },
  },
]

/** Runs all of it but what the peer cannot do. */
export async function suite(t: Test, pairing: Pairing, certificate: Certificate): Promise<void> {
  for (const transport of pairing.transports) {
    await t.test(`${pairing.name} over ${transport}`, async (t) => {
      for (const each of cases.filter((each) => suits(each, pairing))) {
        await t.test(each.title, (t) => play(t, each, pairing, transport, certificate))
      }
    })
  }
}

function suits({ needs = [], needsAnyCode = false }: Case, pairing: Pairing): boolean {
  return (
    needs.every((each) => pairing.abilities.includes(each)) && (!needsAnyCode || pairing.closesWithAnyCode)
  )
}

async function play(
  t: Test,
  { run, our, offered = [], known = [] }: Case,
  pairing: Pairing,
  transport: Transport,
  certificate: Certificate,
): Promise<void> {
  const clock = new FakeTimers()
  const teardown = (close: () => Promise<unknown>): void => t.teardown(close)
  const options = { transport, certificate, offered, known, our: { ...our, timers: clock }, teardown }
  const { ours, theirs } = await pairing.meet(options)
  await run({ t, pairing, clock, ours, theirs })
}

function echoes(message: string | Buffer): Case['run'] {
  return async ({ t, ours, theirs }) => {
    theirs.send(message)
    const there = await ours.receive()
    t.strictSame(there, message)
    ours.send(there)
    t.strictSame(await theirs.receive(), message)
  }
}

async function endsWith(
  t: Test,
  { ours, theirs }: Meeting,
  [ourStory, theirStory]: [CloseInfo, PeerRecord],
): Promise<void> {
  t.strictSame(await ours.closed, ourStory, 'our story')
  t.strictSame(await theirs.closed, theirStory, 'their story')
}

/** Our story where no Close was received. */
function lost(trigger: CloseInfo['trigger']): CloseInfo {
  return { code: 1006, reason: '', wasClean: false, initiator: 'none', sent: null, received: null, trigger }
}

const lostThere: PeerRecord = { code: 1006, reason: '', wasClean: false }

function said(code: number | undefined, reason: string): string {
  if (code === undefined) return 'an empty Close'
  return `${code}${reason === '' ? '' : ` and ${Buffer.byteLength(reason)} bytes of reason`}`
}

/** Text of exactly so many bytes. */
function textOf(size: number): string {
  const unit = Buffer.byteLength(alphabet)
  return alphabet.repeat(size / unit) + 'z'.repeat(size % unit)
}

function bytesOf(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, at) => at * 31))
}
