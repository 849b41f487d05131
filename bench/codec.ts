/** npm run bench:codec: decoding and masking alone, without a socket; see README.md. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { Decoder, encodeFrame, mask, Opcode } from '../frames/index.ts'
import { Budget } from '../lib/budget.ts'
import { Receiver } from '../lib/receiver.ts'
import { format, markdownTable } from './format.ts'
import { describeMachine, machineText } from './machine.ts'
import { installPackages, loadBufferutil, loadWs } from './packages.ts'
import { medianOf } from './sample.ts'

const wireSize = 64 * 1024
const payloadSize = 20
const rounds = 15
/** CPU time of one round, in ms; as short as it may be, so that some rounds are not disturbed. */
const roundTime = 30

interface Candidate {
  readonly name: string
  /** Does the work once. */
  readonly run: () => void
}

/** The CPU time of one run in ns: candidates take turns, the median of the rounds counts. */
function compare(candidates: readonly Candidate[]): readonly { name: string; time: number }[] {
  const counts = candidates.map(({ run }) => runsWithin(run, roundTime))
  const times: number[][] = candidates.map(() => [])
  for (let round = 0; round < rounds; round++) {
    candidates.forEach(({ run }, at) => {
      const count = counts[at] ?? 1
      const start = process.cpuUsage()
      for (let left = count; left > 0; left--) run()
      const { user, system } = process.cpuUsage(start)
      times[at]?.push(((user + system) * 1000) / count)
    })
  }
  return candidates.map(({ name }, at) => ({ name, time: medianOf(times[at] ?? []) }))
}

/** How many runs take so many ms of CPU time, once the code has been compiled. */
function runsWithin(run: () => void, time: number): number {
  for (let count = 1; ; count *= 2) {
    const start = process.cpuUsage()
    for (let left = count; left > 0; left--) run()
    const { user, system } = process.cpuUsage(start)
    const used = (user + system) / 1000
    if (used >= 3 * time) return Math.ceil((count * time) / used)
  }
}

function decoding(): string {
  const frames = Math.floor(wireSize / (payloadSize + 6))
  const wire = Buffer.concat(
    Array.from({ length: frames }, () => {
      const maskKey = randomBytes(4).readInt32BE()
      return encodeFrame({ opcode: Opcode.binary, payload: randomBytes(payloadSize), maskKey })
    }),
  )
  // A chunk is decoded in place, so each run gets a copy, which costs all of them the same.
  const chunk = Buffer.alloc(wire.length)
  const fresh = (): Buffer => {
    chunk.set(wire)
    return chunk
  }
  let messages = 0
  const count = (): void => void messages++
  const options = { from: 'client', maxMessageSize: 1024 } as const

  const bare = new Decoder({ data: count, control() {}, violation() {} }, options)
  const receiver = new Receiver(
    { message: count, compressed() {}, control() {}, violation() {} },
    new Budget(wireSize),
  )
  const whole = new Decoder(receiver, options)
  const ws = new (loadWs(true).Receiver)({ isServer: true })
  ws.on('message', count)

  const results = compare([
    { name: 'Decoder of farewell/frames', run: () => bare.push(fresh()) },
    { name: 'the same with the messages as Buffers', run: () => whole.push(fresh()) },
    { name: 'Receiver of ws', run: () => void ws.write(fresh()) },
  ])
  if (messages === 0 || messages % frames !== 0) throw new Error('frames were lost')
  const receiverTime = results.at(-1)?.time ?? NaN
  const rows = results.map(({ name, time }) => [
    name,
    `${(time / frames).toFixed(0)} ns`,
    format(time / receiverTime, 'ratio'),
  ])
  const heads = [`masked frames of ${payloadSize} B, ${frames} a chunk`, 'a frame', '÷ ws']
  return markdownTable(heads, rows, 1)
}

function masking(): string {
  const bufferutil = loadBufferutil()
  const rows = [20, 64, 125, 1024, 64 * 1024].map((size) => {
    const bytes = randomBytes(size)
    const maskKey = randomBytes(4)
    const key = maskKey.readInt32BE() | 1
    const candidates: Candidate[] = [{ name: 'farewell', run: () => void mask(bytes, 0, size, key) }]
    if (bufferutil !== undefined) {
      candidates.push({ name: 'bufferutil', run: () => bufferutil.unmask(bytes, maskKey) })
    }
    const cells = compare(candidates).map(
      ({ time }) => `${time.toFixed(0)} ns, ${(size / time).toFixed(1)} GB/s`,
    )
    return [`${size} B`, ...cells]
  })
  const heads = ['farewell', ...(bufferutil === undefined ? [] : ['bufferutil'])]
  return markdownTable(['mask', ...heads], rows, 0)
}

installPackages()
console.log(`${machineText(describeMachine([]))}\n\n${decoding()}\n\n${masking()}`)
