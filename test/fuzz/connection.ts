/**
 * A whole connection under any sequence of calls, frames, ends of TCP, stalls and passing time. It is held against the
 * close model of test/model: each thing that happens is told to the model's own machine, whose state, Close frames, FIN,
 * timers and story the connection must show (I1 to I10); no listener is called inside another one (I12), a closing
 * connection goes on reading (I13), no message is lost or comes out of order, and every promise settles.
 *
 *     byte 0   bit 0: a client · bit 1: we answer the peer's Close · bit 2: keepalive · bit 3: no listener for messages
 *     the rest one step each; `steps` below says which. Between two of them the event loop comes to rest.
 */
import { Buffer } from 'node:buffer'
import { encodeFrame } from '../../frames/encoder.ts'
import { Opcode } from '../../frames/opcode.ts'
import { violation, type ViolationName } from '../../frames/violation.ts'
import { Connection } from '../../lib/connection.ts'
import type { CloseFrame, CloseInfo } from '../../lib/close-info.ts'
import { ConnectionClosedError, ProtocolError } from '../../lib/errors.ts'
import {
  closeInfo,
  type ConnectionState,
  type LifeEvent,
  type LifeEvents,
  receives,
  type Role,
} from '../../lib/lifecycle.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { turns, watchProcess } from '../help/loop.ts'
import { memoryPair, type MemorySocket } from '../help/memory-pair.ts'
import { configurations } from '../model/configurations.ts'
import { judgeSide } from '../model/judge.ts'
import { beginNetwork, beginSide, closeLetter, shipped } from '../model/model.ts'
import { Turn } from '../model/turn.ts'
import { FrameRecord } from '../wire/raw-peer.ts'
import { mutate } from './mutate.ts'
import type { Target } from './target.ts'

/** Steps that a run may have: fewer than the messages that a queue holds. */
const mostSteps = 60
const closeTimeout = 10_000
const lingerTimeout = 2_000
const keepalive = { interval: 25_000, timeout: 20_000 }
const progressTimeout = 30_000
/** Beats of a second are whole seconds; all else happens at half ones, so that no two are due at the same time. */
const halfBeat = 500

class Thrown extends Error {}

/** The connection under test, the network and the peer, and the model of it all. */
class Scene {
  readonly role: Role
  readonly timers = new FakeTimers()
  readonly ours: MemorySocket
  readonly theirs: MemorySocket
  readonly connection: Connection
  readonly model: Turn
  readonly problems: string[] = []
  readonly #keepalive: boolean

  // What is seen of the connection.
  readonly #record = new FrameRecord()
  readonly #states: ConnectionState[] = []
  readonly #stories: CloseInfo[] = []
  readonly #got: string[] = []
  #finSeen = false
  #gone = false
  #depth = 0
  #promises = 0
  #settled = 0

  // What the model adds to itself: where the peer's frames are, and who takes them.
  readonly #expectedStates: ConnectionState[] = []
  /** On their way, or held because nothing is read. */
  #inbox: (() => void)[] = []
  #finComes = false
  /** Of the messages: which have come, how many of them are queued, and how many `receive` wait. */
  readonly #messages: string[] = []
  #queued = 0
  #waits = 0
  #listens = false
  #throws = false
  #paused = false
  #discards = false
  #terminated = false
  #stalled = false
  /** Output waited in the socket at the last beat, and what waited has been taken since. */
  #waited = false
  #taken = false
  #message = false
  /** The part of a frame that has not been sent. */
  #half: Buffer | undefined
  #sent = 0
  #deadlineAt = Infinity
  #lingerAt = Infinity
  #lastHeard = 0
  #lastProgress = 0
  #abort = new AbortController()

  constructor(settings: number, make: Make) {
    this.role = (settings & 1) === 0 ? 'server' : 'client'
    this.#keepalive = (settings & 4) !== 0
    const manualReply = (settings & 2) !== 0
    const configuration = { ...configurations['B timers'], manualReply, closes: 0, messages: 0 }
    const side = beginSide(this.role, shipped, configuration)
    this.model = new Turn(shipped, configuration, {
      side,
      inbox: '',
      outbox: '',
      network: beginNetwork(configuration),
    })
    ;[this.ours, this.theirs] = memoryPair()
    this.ours.on('close', () => (this.#gone = true))
    this.theirs.on('data', (chunk: Buffer) => this.#record.push(Buffer.from(chunk)))
    this.theirs.on('end', () => (this.#finSeen = true))
    this.theirs.on('error', () => {})
    this.connection = make(this.ours, {
      role: this.role,
      timers: this.timers,
      closeReply: manualReply ? 'manual' : 'auto',
      keepalive: this.#keepalive ? keepalive : false,
      closeTimeout,
      lingerTimeout,
      progressTimeout,
      onHandlerError: (error) => {
        if (!(error instanceof Thrown)) this.problems.push(`a handler error: ${String(error)}`)
      },
    })
    this.connection.on('state', (state) => this.#inListener(() => void this.#states.push(state)))
    this.connection.on('close', (info) => this.#inListener(() => void this.#stories.push(info)))
    this.connection.on('ping', () => this.#inListener(() => {}))
    this.connection.on('pong', () => this.#inListener(() => {}))
    this.connection.on('drain', () => this.#inListener(() => {}))
    if ((settings & 8) === 0) this.listen()
    this.timers.advance(halfBeat)
  }

  get state(): ConnectionState {
    return this.model.side.life.state
  }

  // The application

  send(data: string | Uint8Array): void {
    const may = shipped.sends[this.state]
    if (this.connection.send(data) && !may) this.problems.push(`send() says true in ${this.state}`)
  }

  sendFragments(): void {
    this.#watch(this.connection.sendFragments(['in ', 'two']))
  }

  ping(): void {
    this.#watch(this.connection.ping('', { signal: this.#abort.signal }))
  }

  drained(): void {
    this.#watch(this.connection.drained({ signal: this.#abort.signal }))
  }

  receive(): void {
    this.#watch(
      this.connection
        .receive({ signal: this.#abort.signal })
        .then((message) => this.#got.push(String(message))),
    )
    if (this.#queued > 0) this.#queued--
    else if (this.state !== 'closed' && this.state !== 'close-received') this.#waits++
  }

  /** I11: ends the waits, and nothing else. */
  abort(): void {
    this.#abort.abort(new Thrown('aborted'))
    this.#abort = new AbortController()
    this.#waits = 0
  }

  listen(): void {
    if (this.#listens) return
    this.#listens = true
    this.connection.on('message', (message) =>
      this.#inListener(() => {
        this.#got.push(String(message))
        const throws = this.#throws
        this.#throws = false
        if (throws) throw new Thrown('thrown')
      }),
    )
    this.#deliverQueued()
  }

  /** The next message that the listener gets makes it throw. */
  throwNext(): void {
    this.#throws = true
  }

  pause(): void {
    this.#paused = true
    this.connection.pause()
  }

  resume(): void {
    this.#paused = false
    this.#deliverQueued()
    this.connection.resume()
  }

  close(frame: CloseFrame): void {
    this.#fire('local-close', frame, false)
    this.model.side.patient = false
    this.#discards = true
    this.#watch(this.connection.close(frame.code, frame.reason))
  }

  closeOutput(frame: CloseFrame): void {
    if (this.state === 'open') this.model.side.patient = true
    this.#fire('local-close', frame, true)
    this.#watch(this.connection.closeOutput(frame.code, frame.reason))
  }

  terminate(): void {
    this.#terminated = true
    this.#queued = 0
    this.model.spoil()
    this.#fire('terminate')
    this.connection.terminate()
  }

  // The peer

  text(): void {
    const text = `message ${this.#sent++}`
    this.#frame(Opcode.text, text, true, this.#message ? this.#violated('nested-message') : this.#comes(text))
  }

  beginMessage(): void {
    const begun = this.#message
    this.#frame(Opcode.text, 'begun ', false, () => {
      if (begun) this.#violated('nested-message')()
    })
    if (!begun && receives[this.state]) this.#message = true
  }

  endMessage(): void {
    if (!this.#message) {
      this.#frame(Opcode.continuation, '', true, this.#violated('orphan-continuation'))
      return
    }
    const text = `and ended ${this.#sent++}`
    this.#message = false
    this.#frame(Opcode.continuation, text, true, this.#comes(`begun ${text}`))
  }

  control(opcode: typeof Opcode.ping | typeof Opcode.pong): void {
    this.#frame(opcode, '', true, () => {})
  }

  peerClose(payload: Uint8Array, frame: CloseFrame): void {
    this.#frame(Opcode.close, payload, true, () => {
      const { side } = this.model
      if (side.got === '') side.got = closeLetter(frame)
      this.#fire('close-received', frame)
    })
  }

  badClose(): void {
    this.#frame(Opcode.close, Uint8Array.of(3, 0xed), true, this.#violated('bad-close-code'))
  }

  badFrame(): void {
    this.#write(Uint8Array.of(0x83, this.role === 'server' ? 0x80 : 0), this.#violated('reserved-opcode'))
  }

  /** The beginning of a Ping; its end comes before the next frame. */
  half(): void {
    if (this.#half !== undefined || !this.theirs.writable) return
    const ping = this.#encode(Opcode.ping, 'half', true)
    this.#half = ping.subarray(3)
    if (this.#idle) this.#lastProgress = this.timers.now()
    this.theirs.write(ping.subarray(0, 3))
    this.#deliver(() => {})
  }

  fin(): void {
    if (this.theirs.writableEnded || this.theirs.destroyed) return
    this.theirs.end()
    this.#finComes = true
  }

  reset(): void {
    if (this.theirs.destroyed) return
    this.theirs.reset()
    this.#inbox = []
    this.#finComes = false
    if (this.ours.destroyed) return
    this.model.spoil()
    this.#fire('socket-error', new Error('read ECONNRESET'))
  }

  stall(): void {
    this.#stalled = true
    this.ours.stall()
  }

  unstall(): void {
    this.#taken ||= this.#stalled
    this.#stalled = false
    this.ours.unstall()
  }

  // Time

  async pass(seconds: number): Promise<void> {
    for (let half = 0; half < 2 * seconds && this.problems.length === 0; half++) {
      this.#lookAtOutput()
      this.timers.advance(halfBeat)
      const due = Math.min(this.#deadlineAt, this.#lingerAt) <= this.timers.now()
      if (due) this.#timersFire()
      // Where nothing has happened there is nothing to rest from.
      const changed = due || this.connection.state !== this.state
      if (changed) await turns(10)
      this.#beat()
      if (changed) await this.rest()
    }
  }

  /** What the beat that comes now will see of the output: that the peer takes it on is a sign of life. */
  #lookAtOutput(): void {
    const beat = this.timers.now() + halfBeat
    if (beat % (2 * halfBeat) !== 0) return
    if (this.#waited && this.#taken) this.#lastHeard = beat
    this.#waited = this.ours.writableLength > 0
    this.#taken = false
  }

  /** Lets the event loop come to rest, and compares. */
  async rest(): Promise<void> {
    this.#readInbox()
    await turns(10)
    this.#kernel()
    this.#compare()
  }

  /** What is still there to be taken, and what has not come to its end. */
  async finish(): Promise<void> {
    this.unstall()
    this.resume()
    await this.rest()
    this.close({ code: 1000, reason: 'bye' })
    await this.rest()
    await this.pass(14)
    if (this.problems.length > 0) return
    const hold = (holds: boolean, problem: string): void => void (holds || this.problems.push(problem))
    hold(this.connection.state === 'closed', `I10: still ${this.connection.state}`)
    await turns(4)
    hold(this.#settled === this.#promises, `I3: ${this.#promises - this.#settled} promises never settle`)
    hold(this.timers.armed === 0, `${this.timers.armed} timers are left`)
    for await (const message of this.connection) this.#got.push(String(message))
    // A listener and a `receive` may note two messages of one turn the other way round.
    const places = this.#got.map((text) => this.#messages.indexOf(text)).toSorted((a, b) => a - b)
    const whole = this.#terminated || places.length === this.#messages.length
    hold(
      whole && places.every((place, at) => place === at),
      `I5: of ${this.#messages.length} got ${places.join()}`,
    )
  }

  #watch(promise: Promise<unknown>): void {
    this.#promises++
    promise.then(
      () => this.#settled++,
      (error: unknown) => {
        this.#settled++
        if (!(error instanceof ConnectionClosedError || error instanceof Thrown))
          this.problems.push(`a rejection: ${String(error)}`)
      },
    )
  }

  #inListener(act: () => void): void {
    if (this.#depth > 0) this.problems.push('I12: a listener inside a listener')
    this.#depth++
    try {
      act()
    } finally {
      this.#depth--
    }
  }

  // The model

  #fire<E extends LifeEvent>(event: E, ...detail: LifeEvents[E]): void {
    const { side } = this.model
    const before = side.life
    if (before.state === 'closed' || (before.destroyed && event !== 'socket-closed')) return
    this.model.fire(event, ...detail)
    if (!before.deadline && side.deadline) this.#deadlineAt = this.timers.now() + closeTimeout
    if (!before.linger && side.linger) this.#lingerAt = this.timers.now() + lingerTimeout
    if (!side.deadline) this.#deadlineAt = Infinity
    if (!side.linger) this.#lingerAt = Infinity
    if (side.life.state === before.state) return
    this.#expectedStates.push(side.life.state)
    if (side.life.state === 'close-received') this.#waits = 0
  }

  #violated(name: ViolationName): () => void {
    return () => {
      const fault = violation(name)
      const close = { code: fault.closeCode, reason: name }
      this.#fire('violation', { close, trigger: 'protocol-error', error: new ProtocolError(fault) })
    }
  }

  /** In the order in which they are due. */
  #timersFire(): void {
    const kinds = ['linger', 'deadline'] as const
    this.model.spoil()
    for (const kind of this.#deadlineAt <= this.#lingerAt ? kinds.toReversed() : kinds) {
      if ((kind === 'linger' ? this.#lingerAt : this.#deadlineAt) <= this.timers.now()) this.#fire(kind)
    }
  }

  /** What a beat may have found out: it is late by a beat at most, so for two there is a choice. */
  #beat(): void {
    const now = this.timers.now()
    if (this.#held) this.#lastHeard = this.#lastProgress = now
    if (this.#idle) this.#lastProgress = now
    const { state } = this.connection
    const stalls = receives[this.state] && now - this.#lastProgress
    const silence = this.#keepalive && now - this.#lastHeard
    const changed =
      state !== this.state && state !== 'closed' ? true : this.#gone && !this.model.side.destroyed
    if (stalls !== false && stalls >= progressTimeout && (changed || stalls > progressTimeout + 2000)) {
      const fault = violation('no-progress')
      const close = { code: fault.closeCode, reason: fault.name }
      this.#fire('violation', { close, trigger: 'limit', error: new ProtocolError(fault) })
    } else if (silence !== false && silence >= keepalive.interval + keepalive.timeout) {
      if (!changed && silence <= keepalive.interval + keepalive.timeout + 2000) return
      this.model.spoil()
      this.#fire('keepalive-timeout')
    }
  }

  get #held(): boolean {
    return this.#paused && !this.#discards && receives[this.state]
  }

  /** No frame and no message has begun. */
  get #idle(): boolean {
    return !this.#message && this.#half === undefined
  }

  /** Lets the connection read what has come. The peer's end of TCP is told of when there is nothing before it. */
  #readInbox(): void {
    while (this.#inbox.length > 0 && !this.#held) this.#inbox.shift()?.()
    if (this.#inbox.length > 0 || !this.#finComes) return
    this.#finComes = false
    if (this.ours.destroyed) return
    this.model.side.finIn = true
    this.#fire('peer-fin')
  }

  #frame(opcode: Opcode, payload: string | Uint8Array, fin: boolean, happens: () => void): void {
    this.#write(this.#encode(opcode, payload, fin), happens)
  }

  #encode(opcode: Opcode, payload: string | Uint8Array, fin: boolean): Buffer {
    return encodeFrame({ opcode, payload, fin, maskKey: this.role === 'server' ? 0x5eed : undefined })
  }

  #write(frame: Uint8Array, happens: () => void): void {
    if (!this.theirs.writable) return
    const rest = this.#half
    this.#half = undefined
    if (rest !== undefined) this.theirs.write(rest)
    this.theirs.write(frame)
    this.#deliver(happens)
  }

  #deliver(happens: () => void): void {
    this.#inbox.push(() => {
      this.#lastHeard = this.timers.now()
      if (this.#half === undefined) this.#lastProgress = this.timers.now()
      if (receives[this.state]) happens()
    })
  }

  #comes(text: string): () => void {
    return () => {
      this.#messages.push(text)
      if (this.#waits > 0) this.#waits--
      else if (this.#listens && !this.#paused && this.#queued === 0) this.#heard()
      else this.#queued++
    }
  }

  #deliverQueued(): void {
    if (!this.#listens) return
    for (; this.#queued > 0 && !this.#paused; this.#queued--) this.#heard()
  }

  #heard(): void {
    if (!this.#throws) return
    const close = { code: 1011, reason: '' }
    this.#fire('violation', { close, trigger: 'handler-error', error: new Thrown('thrown') })
  }

  /** Tells the model what the kernel did: that is seen, not foreseen. */
  #kernel(): void {
    const { side } = this.model
    const closes = this.#record.frames.filter(({ first }) => (first & 0x0f) === 8)
    if (closes.length > 0 && !side.flushed && side.close !== '') {
      side.flushed = true
      side.queue = side.queue.slice(1)
      this.#fire('close-flushed')
    }
    if (this.#finSeen && side.queue === 'F') {
      side.finOut = true
      side.queue = ''
    }
    if (this.#gone && !side.gone && (side.destroyed || (side.finOut && side.finIn))) {
      side.gone = true
      this.#fire('socket-closed')
    }
  }

  #compare(): void {
    const { side, broken, configuration } = this.model
    const { frames } = this.#record
    const hold = (holds: boolean, problem: string): void => void (holds || this.problems.push(problem))
    const close = frames.findIndex(({ first }) => (first & 0x0f) === 8)
    hold(broken.length === 0, `the model: ${broken.join(', ')}`)
    const judged = judgeSide(side, shipped, configuration)
    hold(judged.length === 0, `the model's judge: ${judged.join(', ')}`)
    hold(
      this.connection.state === side.life.state,
      `${this.connection.state}, in the model ${side.life.state}`,
    )
    hold(
      this.#states.join() === this.#expectedStates.join(),
      `states ${this.#states.join()}, in the model ${this.#expectedStates.join()}`,
    )
    hold(close < 0 || close === frames.length - 1, 'I1, I2: a frame behind the Close')
    hold(close < 0 || side.close !== '', 'a Close that the model does not know')
    hold(close < 0 || same(frames[close]!.payload, side.life.sent), 'I6: another Close than the model has')
    hold(!this.#finSeen || side.finOut || side.destroyed, 'I2, I8: a FIN that the model does not know')
    hold(this.#stalled || side.queue === '', `${side.queue} does not leave`)
    hold(this.#gone === side.gone, `the socket is ${this.#gone ? 'gone' : 'left'}`)
    hold(!(side.destroyed || (side.finOut && side.finIn)) || side.gone, 'the socket is left')
    const armed = Number(side.deadline) + Number(side.linger)
    hold(this.timers.pending === armed, `I9: ${this.timers.pending} timers, in the model ${armed}`)
    const reads = receives[side.life.state] || this.#gone || !this.ours.isPaused()
    hold(reads, `I13: the socket is not read in ${side.life.state}`)
    hold(this.#stories.length === (side.finished ? 1 : 0), `I3: ${this.#stories.length} close events`)
    for (const story of this.#stories)
      hold(
        told(story) === told(closeInfo(side.life)),
        `I6, I7: ${told(story)}; the model: ${told(closeInfo(side.life))}`,
      )
  }
}

function same(payload: Buffer, frame: CloseFrame | null): boolean {
  const code = payload.length < 2 ? undefined : payload.readUInt16BE(0)
  return code === frame?.code && payload.toString('utf8', 2) === frame?.reason
}

/** A story in a line; of an error only what does not depend on who made it. */
function told({ error, ...story }: CloseInfo): string {
  return JSON.stringify({
    ...story,
    error: error instanceof ProtocolError ? error.code : error !== undefined,
  })
}

/** What can happen, as often as it stands here. */
const steps: readonly ((scene: Scene) => void | Promise<void>)[] = [
  (scene) => scene.send('hello'),
  (scene) => scene.send(Buffer.alloc(3000)),
  (scene) => scene.sendFragments(),
  (scene) => scene.ping(),
  (scene) => scene.drained(),
  (scene) => scene.receive(),
  (scene) => scene.receive(),
  (scene) => scene.abort(),
  (scene) => scene.listen(),
  (scene) => scene.throwNext(),
  (scene) => scene.pause(),
  (scene) => scene.resume(),
  (scene) => scene.resume(),
  (scene) => scene.close({ code: 1000, reason: 'bye' }),
  (scene) => scene.close({ code: undefined, reason: '' }),
  (scene) => scene.closeOutput({ code: 1000, reason: 'half' }),
  (scene) => scene.terminate(),
  (scene) => scene.text(),
  (scene) => scene.text(),
  (scene) => scene.text(),
  (scene) => scene.beginMessage(),
  (scene) => scene.endMessage(),
  (scene) => scene.control(Opcode.ping),
  (scene) => scene.control(Opcode.pong),
  (scene) => scene.peerClose(Buffer.from('\x0f\xa0later', 'latin1'), { code: 4000, reason: 'later' }),
  (scene) => scene.peerClose(new Uint8Array(), { code: undefined, reason: '' }),
  (scene) => scene.badClose(),
  (scene) => scene.badFrame(),
  (scene) => scene.half(),
  (scene) => scene.fin(),
  (scene) => scene.fin(),
  (scene) => scene.reset(),
  (scene) => scene.stall(),
  (scene) => scene.unstall(),
  (scene) => scene.pass(1),
  (scene) => scene.pass(2),
  (scene) => scene.pass(10),
  (scene) => scene.pass(31),
]

/** Makes a connection. */
export type Make = (...options: ConstructorParameters<typeof Connection>) => Connection

/** The target, around the real connection or, to test the fuzzer itself, around a broken one. */
export function connectionTarget(make: Make = (...options) => new Connection(...options)): Target {
  return {
    name: 'connection',
    corpus: 'connection',
    generate(random, corpus) {
      const known = corpus[random.below(corpus.length)]
      if (known !== undefined && random.once(6)) return mutate(random, known)
      return random.bytes(2 + random.below(14))
    },
    async check([settings = 0, ...script]) {
      const watch = watchProcess()
      const scene = new Scene(settings, make)
      await scene.rest()
      for (const byte of script.slice(0, mostSteps)) {
        if (scene.problems.length > 0) break
        await steps[byte % steps.length]?.(scene)
        await scene.rest()
      }
      if (scene.problems.length === 0) await scene.finish()
      scene.connection.terminate()
      const escaped = await watch.stop()
      const problems = [...scene.problems, ...escaped.map((each) => `escaped: ${String(each)}`)]
      return problems.length === 0 ? undefined : problems.join('\n  ')
    },
  }
}
