/**
 * A conversation over TCP that ends after every single byte, with FIN and with RST, in both roles, plain and compressed,
 * with echoes on their way back. No clock moves.
 */
import t, { type Test } from 'tap'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect as connectNet, createServer, type Socket } from 'node:net'
import { constants, deflateRawSync } from 'node:zlib'
import { encodeClosePayload } from '../../frames/close-payload.ts'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { asError } from '../../lib/errors.ts'
import { type CloseInfo, connect, type Connection, HandshakeError, WebSocketServer } from '../../lib/index.ts'
import { Random } from '../fuzz/random.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { portOf } from '../help/serve.ts'
import { requestHead, responseHead } from './raw-peer.ts'
import { watchProcess } from './watch.ts'

const watch = watchProcess()
const atOnce = 32
type Cut = 'FIN' | 'RST'

/** Six frames: fragments with a Ping between them, a Pong, a binary message, a Close. */
function frames(maskKey: number | undefined, compressed: boolean): Buffer[] {
  const frame = (opcode: Opcode, payload: string | Buffer, fin = true, rsv1 = false): Buffer =>
    encodeFrame({ opcode, payload, fin, rsv1, maskKey })
  const text = payloadOf('fragmented', compressed)
  return [
    frame(Opcode.text, text.subarray(0, 4), false, compressed),
    frame(Opcode.ping, '?'),
    frame(Opcode.continuation, text.subarray(4)),
    frame(Opcode.pong, ''),
    frame(Opcode.binary, payloadOf(binary, compressed), true, compressed),
    frame(Opcode.close, encodeClosePayload(1000, 'bye')),
  ]
}

/** Without any order that could be compressed. */
const binary = Buffer.from(new Random('cuts').bytes(130))

/** RFC 7692 section 7.2.1. */
function payloadOf(message: string | Buffer, compressed: boolean): Buffer {
  if (!compressed) return Buffer.from(message)
  return deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
}

/** What came of one connection. */
interface Outcome {
  readonly closes: CloseInfo[]
  messages: number
}

function follow(connection: Connection): Outcome {
  const outcome: Outcome = { closes: [], messages: 0 }
  connection.on('close', (info) => outcome.closes.push(info))
  connection.on('message', (message) => {
    outcome.messages++
    connection.send(message)
  })
  return outcome
}

/**
 * Sends the first bytes of it and leaves; reads whatever comes until the other side has left too. An RST waits for an
 * answer, where there is to be one: else it would overtake all that was sent.
 */
async function sayAndLeave(socket: Socket, bytes: Buffer, cut: Cut, answered: boolean): Promise<void> {
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  socket.on('error', () => {})
  socket.resume()
  if (cut === 'FIN') socket.end(bytes)
  else if (answered) {
    socket.write(bytes)
    socket.once('data', () => socket.resetAndDestroy())
  } else if (bytes.length === 0) socket.resetAndDestroy()
  else socket.write(bytes, () => socket.resetAndDestroy())
  await closed
}

/** What must hold of every outcome: one close event, clean if and only if the whole Close came and TCP was not reset. */
function faultOf(
  { closes, messages }: Outcome,
  cut: Cut,
  size: number,
  whole: number,
  ends: number[],
): string[] {
  const [info] = closes
  const complete = ends.filter((end) => size >= end).length
  const name = `${cut} after ${size} of ${whole} bytes`
  if (info === undefined || closes.length !== 1) return [`${name}: ${closes.length} close events`]
  if (cut === 'RST') {
    if (messages > complete) return [`${name}: ${messages} messages`]
    return info.wasClean && size < whole ? [`${name}: clean`] : []
  }
  if (messages !== complete) return [`${name}: ${messages} messages, not ${complete}`]
  const trigger = size < whole ? 'peer-fin' : 'peer-close'
  if (info.trigger !== trigger || info.wasClean !== (size === whole))
    return [`${name}: ${info.trigger}, ${info.code}`]
  return []
}

async function inBatches(
  cuts: readonly (readonly [Cut, number])[],
  play: (cut: Cut, size: number) => Promise<string[]>,
) {
  const faults: string[] = []
  for (let at = 0; at < cuts.length; at += atOnce) {
    const batch = cuts.slice(at, at + atOnce).map(([cut, size]) => play(cut, size))
    faults.push(...(await Promise.all(batch)).flat())
  }
  return faults
}

function allCuts(bytes: number): (readonly [Cut, number])[] {
  return Array.from({ length: bytes + 1 }, (_, size) => [
    ['FIN', size] as const,
    ['RST', size] as const,
  ]).flat()
}

/** Where the two messages of the conversation end, behind a handshake of that length. */
function messageEnds(frames: readonly Buffer[], handshake: number): number[] {
  const endOf = (frame: number): number =>
    frames.slice(0, frame + 1).reduce((sum, { length }) => sum + length, handshake)
  return [endOf(2), endOf(4)]
}

/** With permessage-deflate offered or accepted. */
function withDeflate(head: string): string {
  return head.replace(/\r\n$/, 'Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n')
}

async function server(t: Test, compression: boolean): Promise<void> {
  const timers = new FakeTimers()
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    timers,
    compression: compression && { threshold: 0 },
  })
  await once(server, 'listening')
  const port = portOf(server)
  const outcomes = new Map<number | undefined, Outcome>()
  server.on('connection', (connection, request) =>
    outcomes.set(request.socket.remotePort, follow(connection)),
  )

  const request = Buffer.from(compression ? withDeflate(requestHead) : requestHead)
  const conversation = frames(0x0badcafe, compression)
  const script = Buffer.concat([request, ...conversation])
  const ends = messageEnds(conversation, request.length)
  let opened = 0
  const faults = await inBatches(allCuts(script.length), async (cut, size) => {
    const socket = connectNet({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    await once(socket, 'connect')
    const from = socket.localPort
    await sayAndLeave(socket, script.subarray(0, size), cut, size >= request.length)
    const outcome = outcomes.get(from)
    outcomes.delete(from)
    // After an RST the server may not even have seen the request, or may not have heard of the end yet.
    while (outcome !== undefined && outcome.closes.length === 0) await new Promise(setImmediate)
    if (outcome === undefined)
      return cut === 'FIN' && size >= request.length ? [`FIN after ${size}: not opened`] : []
    opened++
    return faultOf(outcome, cut, size, script.length, ends)
  })
  t.strictSame(faults, [])
  t.ok(opened > script.length - request.length, `${opened} connections were opened`)
  const counts = await server.close()
  t.strictSame(counts, { clean: 0, unclean: 0, terminated: 0 }, 'none is left')
  t.equal(timers.armed, 0, 'no timer is left')
}

async function client(t: Test, compression: boolean): Promise<void> {
  const timers = new FakeTimers()
  const raw = createServer({ allowHalfOpen: true, noDelay: true })
  raw.listen(0, '127.0.0.1')
  await once(raw, 'listening')
  const port = portOf(raw)
  const heads = new Map<string, (socket: Socket, head: string) => void>()
  raw.on('connection', (socket) => {
    let head = ''
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      if (head.endsWith('\r\n\r\n')) return
      head += chunk.toString('latin1')
      if (!head.endsWith('\r\n\r\n')) return
      const path = /^GET (\S+)/.exec(head)?.[1] ?? ''
      heads.get(path)?.(socket, head)
    })
  })

  const response = (request: string): Buffer =>
    Buffer.from(compression ? withDeflate(responseHead(request)) : responseHead(request))
  const answer = response(requestHead).length
  const conversation = frames(undefined, compression)
  const script = (request: string): Buffer => Buffer.concat([response(request), ...conversation])
  const whole = script(requestHead).length
  const ends = messageEnds(conversation, answer)
  let opened = 0
  const faults = await inBatches(allCuts(whole), async (cut, size) => {
    const path = `/${cut}/${size}`
    const left = new Promise<void>((resolve) => {
      heads.set(
        path,
        (socket, head) => void sayAndLeave(socket, script(head).subarray(0, size), cut, false).then(resolve),
      )
    })
    const url = `ws://127.0.0.1:${port}${path}`
    const made = await connect(url, { timers, compression: compression && { threshold: 0 } }).then(
      follow,
      asError,
    )
    await left
    if (made instanceof HandshakeError)
      return cut === 'FIN' && size >= answer ? [`FIN after ${size}: ${made.message}`] : []
    if (made instanceof Error) return [`${cut} after ${size}: ${made.message}`]
    while (made.closes.length === 0) await new Promise(setImmediate)
    opened++
    return faultOf(made, cut, size, whole, ends)
  })
  t.strictSame(faults, [])
  t.ok(opened > whole - answer, `${opened} connections were opened`)
  t.equal(timers.armed, 0, 'no timer is left')
  raw.close()
  await once(raw, 'close')
}

for (const compression of [false, true]) {
  const how = compression ? 'with permessage-deflate' : 'plain'
  await t.test(`R1: a client leaves the server after every byte, ${how}`, (t) => server(t, compression))
  await t.test(`R1: a server leaves the client after every byte, ${how}`, (t) => client(t, compression))
}
await t.test('nothing escaped, nothing is left', (t) => watch.check(t))
