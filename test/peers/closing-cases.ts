/** The ends that a connection with any other implementation may have, and what both sides tell of it. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { CloseCode, type CloseFrame, type CloseInfo, ConnectionClosedError } from '../../lib/index.ts'
import { bytesOf, type Case, type Scene } from './case.ts'
import type { End, PeerRecord } from './peer.ts'

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

export const closingCases: readonly Case[] = [
  ...goodbyes.map(({ code, reason = '' }): Case => ({
    feature: 'close',
    title: `6455-1.4-reply-to-close, 7.1.4, 7.1.5: we close with ${said(code, reason)}`,
    async run(scene) {
      void scene.ours.close(code, reason)
      const sent = { code, reason }
      await endsWith(scene, 'ours', clean('local', sent, scene.pairing.answer(sent)))
    },
  })),
  ...goodbyes.map(({ code, reason = '', needsAnyCode = false }): Case => ({
    feature: 'close',
    title: `6455-1.4-reply-to-close, 7.1.4, 7.1.5: they close with ${said(code, reason)}`,
    needsAnyCode,
    async run(scene) {
      scene.theirs.close(code, reason)
      await endsWith(scene, 'theirs', clean('remote', { code, reason }, { code, reason }))
    },
  })),
  {
    feature: 'close',
    title: '6455-1.4-simultaneous-close: both close at once, and each hears the other',
    wired: true,
    async run(scene) {
      const bothHaveSent = scene.wire?.hold()
      void scene.ours.close(3000, 'ours')
      scene.theirs.close(4000, 'theirs')
      await bothHaveSent
      scene.wire?.release()
      const [sent, received] = [
        { code: 3000, reason: 'ours' },
        { code: 4000, reason: 'theirs' },
      ]
      await endsWith(scene, 'both', clean('local', sent, received))
    },
  },
  {
    feature: 'close',
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
    feature: 'close',
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
    feature: 'close',
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
    feature: 'close',
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
    feature: 'close',
    title: '6455-5.5.1-close-answered: an answer of our own (`closeReply: manual`)',
    our: { closeReply: 'manual' },
    async run(scene) {
      const { t, ours, theirs } = scene
      theirs.close(4000, 'question')
      await once(ours, 'state')
      t.equal(ours.state, 'close-received')
      void ours.close(4001, 'answer')
      const [sent, received] = [
        { code: 4001, reason: 'answer' },
        { code: 4000, reason: 'question' },
      ]
      await endsWith(scene, 'theirs', clean('remote', sent, received))
    },
  },
  {
    feature: 'loss',
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
    feature: 'loss',
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
    feature: 'loss',
    title: '6455-7.1.5-lost-1006: we terminate',
    async run(scene) {
      scene.ours.terminate()
      await endsWith(scene, 'lost', [lost('terminate'), lostThere])
    },
  },
  {
    feature: 'loss',
    title: '6455-7.1.5-lost-1006: they terminate',
    needs: ['terminate'],
    async run(scene) {
      scene.theirs.can.terminate?.()
      await endsWith(scene, 'lost', [lost('peer-fin'), lostThere])
    },
  },
]

async function endsWith(
  { t, pairing, ours, theirs }: Scene,
  end: End,
  [ourStory, theirStory]: [CloseInfo, PeerRecord],
): Promise<void> {
  t.strictSame(await ours.closed, ourStory, 'our story')
  t.strictSame(await theirs.closed, pairing.tells?.(theirStory, end) ?? theirStory, 'their story')
}

/** Our story and theirs where each has received the other's Close. */
function clean(
  initiator: 'local' | 'remote',
  sent: CloseFrame,
  received: CloseFrame,
): [CloseInfo, PeerRecord] {
  const trigger = initiator === 'local' ? 'local-close' : 'peer-close'
  return [{ ...heard(received), initiator, sent, received, trigger }, heard(sent)]
}

function heard({ code = CloseCode.noStatus, reason }: CloseFrame): PeerRecord {
  return { code, reason, wasClean: true }
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
