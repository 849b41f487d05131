/** Every target with its corpus and a few thousand inputs of a fixed seed, and with bugs planted to see them found. */
import t from 'tap'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { Worker } from 'node:worker_threads'
import { decodeClosePayload, encodeClosePayload } from '../../frames/close-payload.ts'
import { accept, judgeAnswer } from '../../lib/deflate/parameters.ts'
import { Inflater } from '../../lib/deflate/inflater.ts'
import { Connection } from '../../lib/connection.ts'
import { judgeRequest, judgeResponse } from '../../lib/handshake.ts'
import { parseExtensions } from '../../lib/header-list.ts'
import { encodeFrame } from '../../frames/encoder.ts'
import { closePayloadTarget } from './close-payload.ts'
import { connectionTarget, type Make } from './connection.ts'
import { readCorpus } from './corpus.ts'
import { deflateTarget } from './deflate.ts'
import { extensionHeaderTarget } from './extension-header.ts'
import { exchange, requestHeadTarget } from './request-head.ts'
import { attempt, responseHeadTarget } from './response-head.ts'
import { makeInput, problemOf, type Target } from './target.ts'
import { targets } from './targets.ts'

// Ten seconds of work; a busy machine takes longer.
t.setTimeout(300_000)

const seed = 20_261_126

const cases: Readonly<Record<string, number>> = {
  'close-payload': 5000,
  'extension-header': 3000,
  deflate: 2000,
  'request-head': 2000,
  'response-head': 2000,
  connection: 2000,
}

// In a worker: the hooks of a test runner on every promise would take ten times as long as the targets.
for (const [name, count] of Object.entries(cases)) {
  await t.test(`${count} inputs of the target ${name}, and its corpus`, { timeout: 300_000 }, async (t) => {
    const argv = ['--seed', `${seed}`, '--cases', `${count}`, '--target', name]
    const worker = new Worker(new URL('run.js', import.meta.url), { argv, stdout: true })
    const [[status], said] = await Promise.all([once(worker, 'exit'), text(worker.stdout)])
    t.equal(status, 0, said)
    t.match(said, `passed: ${count} executions`)
  })
}

await t.test('every target has a corpus', async (t) => {
  for (const { name, corpus } of targets) t.not(readCorpus(corpus).length, 0, name)
})

/** Targets with a bug each, by what the bug is. */
const planted: Record<string, Target> = {
  'a code of the range 2000 to 2999 is taken': closePayloadTarget({
    encode: encodeClosePayload,
    decode: (payload) =>
      payload.length >= 2 && payload.readUInt16BE(0) >>> 8 === 10
        ? { code: payload.readUInt16BE(0), reason: '' }
        : decodeClosePayload(payload),
  }),
  'a long reason is cut': closePayloadTarget({
    decode: decodeClosePayload,
    encode: (code, reason) => encodeClosePayload(code, Buffer.from(reason ?? '').toString('utf8', 0, 120)),
  }),
  'a tab is no white space': extensionHeaderTarget({
    parse: (value) => parseExtensions(value.replaceAll('\t', 'x')),
    accept,
    judgeAnswer,
  }),
  'the second offer is taken': extensionHeaderTarget({
    parse: parseExtensions,
    accept: (offers, policy) => accept(offers.toReversed(), policy),
    judgeAnswer,
  }),
  'a wider window than was asked for is taken': extensionHeaderTarget({
    parse: parseExtensions,
    accept,
    judgeAnswer: (offered, answered) => {
      const bare = offered.parameters.filter(([name]) => name !== 'server_max_window_bits')
      return judgeAnswer({ ...offered, parameters: bare }, answered)
    },
  }),
  'the window of the messages before is forgotten': deflateTarget(
    (windowBits, _noContextTakeover, maxSize) => new Inflater(windowBits, true, maxSize),
  ),
  'a message may be one byte too long': deflateTarget(
    (windowBits, noContextTakeover, maxSize) => new Inflater(windowBits, noContextTakeover, maxSize + 1),
  ),
  'a message that is cut short is taken': deflateTarget((...options) => {
    const inflater = new Inflater(...options)
    return {
      inflate: async (pieces) => {
        const message = await inflater.inflate(pieces)
        return message === 'corrupt' ? Buffer.alloc(0) : message
      },
    }
  }),
  'any version is good': requestHeadTarget({
    exchange,
    judge: (request) =>
      judgeRequest({
        ...request,
        rawHeaders: request.rawHeaders.map((text) => (text === '8' ? '13' : text)),
      }),
  }),
  'a body is not minded': requestHeadTarget({
    exchange,
    judge: (request) =>
      judgeRequest({
        ...request,
        rawHeaders: request.rawHeaders.map((text) => (/^content-length$/i.test(text) ? 'X-Other' : text)),
      }),
  }),
  'the answer to a request is cut short': requestHeadTarget({
    judge: judgeRequest,
    exchange: async (chunks) => {
      const found = await exchange(chunks)
      return { ...found, answer: found.answer.subarray(0, 100) }
    },
  }),
  'the wrong Accept is taken': responseHeadTarget({
    attempt,
    judge: (response, offer) =>
      judgeResponse(
        {
          ...response,
          rawHeaders: response.rawHeaders.map((text) =>
            text.replace('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'ICX+Yqv66kxgM0FcWaLWlFLwTAI='),
          ),
        },
        offer,
      ),
  }),
  'any subprotocol is taken': responseHeadTarget({
    judge: judgeResponse,
    attempt: (offered, chunks) => attempt({ ...offered, protocols: ['chat', 'superchat', 'other'] }, chunks),
  }),
}

/** Connections with a bug each. */
const brokenConnections: Readonly<Record<string, Make>> = {
  'the Close of the peer is answered at once, whatever the option says': (socket, init) =>
    new Connection(socket, { ...init, closeReply: 'auto' }),
  'the close timeout is a second too long': (socket, init) =>
    new Connection(socket, { ...init, closeTimeout: 11_000 }),
  'nobody keeps the connection alive': (socket, init) =>
    new Connection(socket, { ...init, keepalive: false }),
  'a frame follows the Close': (socket, init) => {
    const connection = new Connection(socket, init)
    connection.on('state', (state) => {
      if (state === 'close-sent')
        process.nextTick(() => socket.write(encodeFrame({ opcode: 0xa, payload: '' })))
    })
    return connection
  },
  'a message is lost': (socket, init) => {
    const connection = new Connection(socket, init)
    void connection.receive().catch(() => {})
    return connection
  },
  'reading stops while it closes': (socket, init) => {
    const connection = new Connection(socket, init)
    connection.on('state', (state) => {
      if (state === 'close-done') socket.pause()
    })
    return connection
  },
}
for (const [bug, make] of Object.entries(brokenConnections)) planted[bug] = connectionTarget(make)

for (const [bug, target] of Object.entries(planted)) {
  await t.test(`${target.name} finds out that ${bug}`, async (t) => {
    const corpus = readCorpus(target.corpus).map((entry) => entry.bytes)
    let index = 0
    let problem: string | undefined
    while (index < 3000 && problem === undefined)
      problem = await problemOf(target, makeInput(target, seed, index++, corpus))
    t.type(problem, 'string', `at case ${index - 1}`)
    const input = makeInput(target, seed, index - 1, corpus)
    const sound = targets.find(({ name }) => name === target.name)
    t.equal(sound && (await problemOf(sound, input)), undefined, 'which passes without the bug')
  })
}
