import t from 'tap'
import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import { Connection, type ConnectionInit, type DeflateAgreement } from '../../lib/index.ts'
import { unfinishedMessages } from '../../lib/budget.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns, until } from '../help/loop.ts'
import { memoryPair } from '../help/memory-pair.ts'
import {
  type DeflateParameters,
  expand,
  inputOf,
  type Vector,
  type VectorEvent,
  vectors,
} from '../vectors/vectors.ts'
import { RawPeer } from './raw-peer.ts'

function agreement(parameters: DeflateParameters): DeflateAgreement {
  return {
    serverNoContextTakeover: parameters.server_no_context_takeover ?? false,
    clientNoContextTakeover: parameters.client_no_context_takeover ?? false,
    serverMaxWindowBits: parameters.server_max_window_bits ?? 15,
    clientMaxWindowBits: parameters.client_max_window_bits ?? 15,
  }
}

/** What an endpoint makes of the bytes: events as the vectors tell them, without `also`. */
async function play(vector: Vector, chunks: readonly Buffer[]): Promise<VectorEvent[]> {
  const { role, options = {} } = vector
  const [ours, theirs] = memoryPair({ capacity: 2 ** 30 })
  const init: ConnectionInit = {
    role,
    deflate: agreement(options.deflate ?? {}),
    compression: true,
    timers: new FakeTimers(),
    ...(options.maxMessage === undefined ? {} : { maxMessageSize: options.maxMessage }),
  }
  const connection = new Connection(ours, init)
  const peer = new RawPeer(theirs, role === 'server' ? 'client' : 'server', () => theirs.reset())
  const events: VectorEvent[] = []
  connection.on('message', (data) =>
    events.push({ event: 'message', kind: typeof data === 'string' ? 'text' : 'binary', data: hexOf(data) }),
  )
  connection.on('ping', (data) => events.push({ event: 'ping', data: hexOf(data) }))
  connection.on('pong', (data) => events.push({ event: 'pong', data: hexOf(data) }))
  let read = 0
  ours.on('data', (chunk: Buffer) => (read += chunk.length))
  for (const chunk of chunks) peer.write(chunk)
  const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  // All has been read, or the connection has ended; what is inflated meanwhile holds back nothing of a vector.
  await until(() => read === size || connection.state !== 'open')
  await turns(3)
  if (connection.state !== 'open') await peer.untilClose()
  const closing = peer.frames.find(({ first }) => (first & 0x0f) === 8)
  if (connection.state !== 'open' && closing !== undefined)
    events.push({ event: 'fail', code: closing.payload.readUInt16BE(0) })
  connection.terminate()
  await connection.closed
  return events
}

function hexOf(data: string | Buffer): string {
  return Buffer.from(data).toString('hex')
}

/** With the data written out, and one of the codes that a failure may have. */
function plain(events: readonly VectorEvent[], seen: readonly VectorEvent[]): VectorEvent[] {
  return events.map((event, at) => {
    if ('data' in event) return { ...event, data: expand(event.data).toString('hex') }
    if (event.event !== 'fail') return event
    const found = seen[at]
    const code =
      found?.event === 'fail' && event.also?.includes(found.code) === true ? found.code : event.code
    return { event: 'fail', code }
  })
}

const compressed = vectors.vectors.filter((vector) => vector.options?.deflate !== undefined)
t.equal(compressed.length, 123)
t.notOk(
  compressed.some(({ eof = false }) => eof),
  'in none of them TCP ends',
)

for (const vector of compressed) {
  await t.test(`${vector.req.join(', ')}: ${vector.id}`, async (t) => {
    const given = inputOf(vector)
    const whole = Buffer.concat(given)
    const bytes = Array.from(whole, (_, at) => whole.subarray(at, at + 1))
    let first: VectorEvent[] | undefined
    for (const [name, chunks] of [
      ['as given', given],
      ['in one chunk', [whole]],
      ['byte by byte', bytes],
    ] as const) {
      const seen = await play(vector, chunks)
      const allowed = [vector.expect, ...(vector.alt ?? [])].map((events) => plain(events, seen))
      t.ok(
        allowed.some((events) => isDeepStrictEqual(events, seen)),
        `${name}: ${JSON.stringify(seen).slice(0, 300)}`,
      )
      first ??= seen
      t.strictSame(seen, first, 'however it is cut')
    }
    t.equal(unfinishedMessages.used, 0, 'nothing stays charged')
  })
}
