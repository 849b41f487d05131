/** What holds in every world, whatever step led there. */
import type { Configuration } from './configurations.ts'
import {
  awaitsFrames,
  closeFrame,
  closeLetter,
  closing,
  failures,
  type Invariant,
  type Machine,
  type Network,
  type Side,
} from './model.ts'

/** What holds for every side by itself. */
export function judgeSide(
  side: Side,
  { step, closeInfo }: Machine,
  configuration: Configuration,
): Invariant[] {
  const broken: Invariant[] = []
  const hold = (invariant: Invariant, holds: boolean): void => {
    if (!holds) broken.push(invariant)
  }
  const { life } = side
  const over = side.destroyed || side.gone || (side.finOut && side.finIn)
  const halfClosed = side.patient && life.state === 'close-sent' // Keepalive is its timer.

  hold('S3', (life.state === 'closed') === side.finished && side.finished === side.gone)
  if (side.finished || side.destroyed) {
    // Nothing that still happens has an effect.
    const nothing = [
      step(life, 'local-close', closeFrame('n'), false),
      step(life, 'close-received', closeFrame('x')),
      step(life, 'violation', failures.limit),
      step(life, 'socket-error', failures.limit.error),
      ...(['close-flushed', 'peer-fin', 'keepalive-timeout', 'deadline', 'linger', 'terminate'] as const).map(
        (event) => step(life, event),
      ),
      ...(side.finished ? [step(life, 'socket-closed')] : []),
    ]
    hold(
      'S3',
      nothing.every((next) => next.effects.length === 0 && next.life.state === life.state),
    )
  }

  hold('S6', closeLetter(life.received) === side.got && closeLetter(life.sent) === side.close)
  if (side.answered && !configuration.manualReply) hold('S6', side.close === side.got)
  if (side.finished) {
    const info = closeInfo(life)
    hold('S6', info.code === (side.got === '' ? 1006 : (closeFrame(side.got).code ?? 1005)))
    hold('S6', info.wasClean === (side.got !== '' && side.flushed))
    hold('S6', closeLetter(info.received) === side.got && closeLetter(info.sent) === side.close)
  }

  const began = side.close !== '' && !side.answered
  // An unanswered keepalive sends a Close, yet it is not the Close that began the end.
  const unanswered = life.trigger === 'keepalive-timeout' && side.close === 'k'
  if (life.initiator === 'local') hold('S7', began && !unanswered)
  if (life.trigger === 'local-close') hold('S7', life.initiator === 'local')
  if (life.trigger === 'peer-close') hold('S7', life.initiator === 'remote')
  if (life.initiator === 'remote') hold('S7', side.got !== '' && !began)
  if (life.initiator === 'none') hold('S7', side.got === '' && (!began || unanswered))

  const waits = awaitsFrames.has(life.state)
  if (side.finIn) hold('S11', !waits && (side.ended || over))
  if (side.destroyed) hold('S11', !waits)
  if (life.role === 'server' && !waits) hold('S14', side.ended || over)

  if (waits) hold('S13', (side.close === '') === (life.state !== 'close-sent'))
  if (waits) hold('S13', (side.got === '') === (life.state !== 'close-received'))
  if (life.state === 'close-done') hold('S13', side.close !== '' && side.got !== '')
  hold('S13', life.sentFlushed === side.flushed && life.destroyed === side.destroyed)
  hold('S13', life.finSent === side.ended && life.finReceived === side.finIn)
  hold('S13', life.deadline === side.deadline && life.linger === side.linger)

  if (closing.has(life.state) && !over) {
    hold('L1', side.deadline || side.linger || halfClosed)
    if (!waits && (side.flushed || side.close === '')) hold('L5', side.linger)
  }
  return broken
}

/** What holds for both sides together. `due`: a rule that is due applies to one of them. */
export function judgeWorld(
  client: Side,
  server: Side,
  network: Network,
  configuration: Configuration,
  due: boolean,
): Invariant[] {
  const broken: Invariant[] = []
  const heartbeat = configuration.faults.keepalive > 0
  for (const [side, peer] of [
    [client, server],
    [server, client],
  ] as const) {
    if (side.got !== '') {
      if (side.delivered !== peer.written) broken.push('S5')
      if (side.got !== peer.close) broken.push('S6')
    }
    if (side.delivered > peer.written) broken.push('S5')
    if (side.life.initiator === 'remote' && (peer.close === '' || peer.answered)) broken.push('S7')
    if (!due && closing.has(side.life.state)) broken.push('L2')
    if (!due && heartbeat && network.state !== 'up' && !side.finished) broken.push('L2')
  }
  const clean = client.got !== '' && client.flushed && server.got !== '' && server.flushed
  if (!network.faulty && client.finished && server.finished && !clean) broken.push('S8')
  return broken
}
