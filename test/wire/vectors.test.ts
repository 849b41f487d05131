/** Every vector without compression against a whole connection: what it tells, what it answers, how it ends TCP. */
import t from 'tap'
import { Buffer } from 'node:buffer'
import { type CloseInfo, Connection } from '../../lib/index.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns } from '../help/loop.ts'
import { memoryPair } from '../help/memory-pair.ts'
import { expand, inputOf, type Vector, type VectorEvent, vectors } from '../vectors/vectors.ts'
import { RawPeer } from './raw-peer.ts'
import { otherRole } from './transports.ts'
import { watchProcess } from './watch.ts'

const watch = watchProcess()

/** What was seen of a connection that got the bytes of a vector. */
interface Seen {
  /** Messages and control frames as they were told; at the end how the connection ended, if it did. */
  readonly events: readonly string[]
  /** What the peer was sent: Pongs and one Close, `fin` where TCP was ended. */
  readonly wire: readonly string[]
  readonly code: number | undefined
  readonly wasClean: boolean | undefined
}

interface Input {
  readonly chunks: readonly Buffer[]
  readonly eof?: boolean | undefined
  /** The chunks come one a turn of the event loop, as a network brings them; else all in one turn. */
  readonly slowly: boolean
}

async function play(vector: Vector, { chunks, eof = false, slowly }: Input): Promise<Seen> {
  const [ours, theirs] = memoryPair()
  const timers = new FakeTimers()
  const { role, options } = vector
  const connection = new Connection(ours, {
    role,
    timers,
    ...(options?.maxMessage === undefined ? {} : { maxMessageSize: options.maxMessage }),
  })
  const peer = new RawPeer(theirs, otherRole(role), () => theirs.reset())
  const events: string[] = []
  const tell = (name: string, bytes: Buffer): void =>
    void events.push(`${name} ${bytes.toString('hex')}`.trimEnd())
  connection.on('message', (message) => {
    if (typeof message === 'string') tell('text', Buffer.from(message))
    else tell('binary', message)
  })
  connection.on('ping', (payload) => tell('ping', payload))
  connection.on('pong', (payload) => tell('pong', payload))

  if (slowly) {
    for (const chunk of chunks) peer.write(chunk)
    while (theirs.writableLength > 0) await turns(1)
    await turns(chunks.length)
  } else {
    await turns(2)
    // Each as a read of its own.
    for (const chunk of chunks) ours.push(Buffer.from(chunk))
  }
  if (eof) peer.fin()
  // The memory pair brings one write a turn.
  await turns(8 + events.length)

  const lost = eof && connection.state === 'closed'
  const over = connection.state !== 'open'
  const endedFirst = peer.end !== undefined
  if (over && !lost) {
    if (endedFirst !== (role === 'server'))
      events.push(`the ${role} ${endedFirst ? 'ended' : 'did not end'} TCP first`)
    peer.fin()
    await connection.closed
    await peer.untilEnd()
  }
  const wire = [...peer.wire, ...(peer.end === undefined ? [] : [peer.end])]
  if (!over) connection.terminate()
  const info = await connection.closed
  if (over) events.push(endOf(info))
  if (timers.armed > 0) events.push('a timer is left')
  return { events, wire, code: over ? info.code : undefined, wasClean: over ? info.wasClean : undefined }
}

function endOf(info: CloseInfo): string {
  if (info.trigger === 'peer-close') return `close ${info.code} ${JSON.stringify(info.reason)}`
  if (info.trigger === 'protocol-error' || info.trigger === 'limit') return `fail ${info.sent?.code}`
  return info.trigger === 'peer-fin' ? `lost ${info.code}` : info.trigger
}

/** What is to be seen. The reason of a Close that tells of a failure is ours to choose. */
function expected(events: readonly VectorEvent[], seen: Seen): Seen {
  const wire: string[] = []
  const told = events.map((event) => {
    if (event.event === 'ping') {
      wire.push(`pong ${expand(event.data).toString('hex')}`.trimEnd())
    }
    if (event.event === 'close' && event.code === 1005) wire.push('close')
    else if (event.event === 'close') {
      const reason = event.reason === '' ? '' : ` ${JSON.stringify(event.reason)}`
      wire.push(`close ${event.code}${reason}`)
    }
    if (event.event === 'fail') {
      const said = seen.wire.at(-2) ?? ''
      wire.push(new RegExp(`^close ${event.code} "[a-z0-9-]+"$`).test(said) ? said : `close ${event.code}`)
    }
    if (event.event === 'message') return `${event.kind} ${expand(event.data).toString('hex')}`.trimEnd()
    if (event.event === 'close') return `close ${event.code} ${JSON.stringify(event.reason)}`
    if ('code' in event) return `${event.event} ${event.code}`
    return `${event.event} ${expand(event.data).toString('hex')}`.trimEnd()
  })
  const end = events.at(-1)
  if (end === undefined || !('code' in end))
    return { events: told, wire, code: undefined, wasClean: undefined }
  const clean = end.event === 'close'
  return { events: told, wire: [...wire, 'fin'], code: clean ? end.code : 1006, wasClean: clean }
}

function byteByByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
}

const plain = vectors.vectors.filter((vector) => vector.options?.deflate === undefined)

for (const vector of plain) {
  await t.test(`${vector.req.join(', ')}: ${vector.id}`, async (t) => {
    const chunks = inputOf(vector)
    const whole = Buffer.concat(chunks)
    const { eof, failAt } = vector
    const seen: Record<string, Seen> = {
      'as given': await play(vector, { chunks, eof, slowly: true }),
      'as one chunk': await play(vector, { chunks: [whole], eof, slowly: true }),
      'byte by byte': await play(vector, { chunks: byteByByte(whole), eof, slowly: false }),
    }
    if (failAt !== undefined) {
      const early = whole.subarray(0, failAt)
      seen[`after ${failAt} bytes`] = await play(vector, { chunks: [early], slowly: true })
      seen[`after ${failAt} bytes, byte by byte`] = await play(vector, {
        chunks: byteByByte(early),
        slowly: false,
      })
      const before = await play(vector, { chunks: [whole.subarray(0, failAt - 1)], slowly: true })
      t.strictSame(before, expected(vector.expect.slice(0, -1), before), 'not before')
    }
    const wanted = Object.entries(seen).map(([how, each]) => [how, expected(vector.expect, each)])
    t.strictSame(seen, Object.fromEntries(wanted))
  })
}

await t.test(
  '6455-6.2-stream-parsing, 6455-10.7-validate-always: no vector without compression was left out',
  async (t) => {
    t.equal(plain.length, 531)
  },
)

await t.test('nothing escaped, nothing is left', (t) => watch.check(t))
