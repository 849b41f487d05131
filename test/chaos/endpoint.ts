/** One end of a connection: sends its numbered messages, checks those of the other end, closes, and keeps the story. */
import type { CloseInfo, Connection, ConnectionState, Message } from '../../lib/index.ts'
import { Random } from '../fuzz/random.ts'
import { turns } from '../help/loop.ts'
import { NumberedMessages, PrefixCheck } from './numbered.ts'
import type { EndPlan } from './plan.ts'

/** How far a life has come: it only goes forward. */
const ranks: Readonly<Record<ConnectionState, number>> = {
  connecting: 0,
  open: 1,
  'close-sent': 2,
  'close-received': 2,
  'close-done': 3,
  failing: 3,
  closed: 4,
}

/** What changes a message on its way to `send`; for planting bugs. */
export type Spoil = (number: number, message: Message) => Message[]

export class Endpoint {
  readonly connection: Connection
  readonly faults: string[] = []
  readonly #plan: EndPlan
  readonly #peer: EndPlan
  readonly #check: PrefixCheck
  readonly #messages: NumberedMessages
  readonly #random: Random
  readonly #moved: () => void
  readonly #spoil: Spoil | undefined
  #state: ConnectionState
  #info: CloseInfo | undefined
  #sent = 0
  #sending = true
  #receiving = true
  #resting = false
  #discards = false

  constructor(connection: Connection, plan: EndPlan, peer: EndPlan, moved: () => void, spoil?: Spoil) {
    this.connection = connection
    // Whoever awaits `connect` may find that the peer has closed already.
    this.#state = connection.state
    this.#plan = plan
    this.#peer = peer
    this.#moved = moved
    this.#spoil = spoil
    this.#check = new PrefixCheck(peer.seed)
    this.#messages = new NumberedMessages(plan.seed, plan.largest)
    this.#random = new Random(plan.seed, 'behaviour')
    connection.on('state', (state) => this.#entered(state))
    connection.on('close', (info) => this.#closed(info))
    void this.#send()
    void this.#receive()
  }

  get received(): number {
    return this.#check.received
  }

  /** How many messages went out before our Close: those that arrive after a clean end. */
  get sent(): number {
    return this.#sent
  }

  get info(): CloseInfo | undefined {
    return this.#info
  }

  /** It has closed, and nobody waits for anything any more. */
  get done(): boolean {
    return this.#info !== undefined && !this.#sending && !this.#receiving
  }

  /** What we sent was not thrown away by ourselves: a Close of ours stands behind all of it. */
  get saidAll(): boolean {
    const trigger = this.#info?.trigger
    return this.#info?.sent !== null && trigger !== 'keepalive-timeout' && trigger !== 'limit'
  }

  /** We threw nothing away of what came, and saw the Close behind it. */
  get heardAll(): boolean {
    return this.#info?.wasClean === true && !this.#discards
  }

  // Sending

  async #send(): Promise<void> {
    const { connection } = this
    const { messages, burst } = this.#plan
    // Whoever got the connection puts its listeners on it first.
    await turns()
    if (this.#peer.messages === 0 && this.#plan.closes === 'received') this.#close()
    while (this.#sent < messages && this.#canSend) {
      const roomy = this.#random.once(50) ? await this.#stream() : this.#give()
      if (!roomy) await connection.drained().catch(() => {})
      else if (this.#sent % burst === 0) await turns()
      if (this.#random.once(300)) connection.ping().catch(() => {})
      this.#moved()
    }
    this.#sending = false
    if (this.#plan.closes === 'sent') this.#close()
    if (this.#state === 'close-received') void connection.close(1000)
    this.#moved()
  }

  get #canSend(): boolean {
    return this.#state === 'open' || this.#state === 'close-received'
  }

  /** One message, all of which is queued at once. */
  #give(): boolean {
    const number = this.#sent++
    const message = this.#messages.next()
    let roomy = true
    for (const each of this.#spoil?.(number, message) ?? [message]) roomy = this.connection.send(each)
    return roomy
  }

  /** One message in fragments, and a few behind it. When it is cut, neither it nor they are sent. */
  async #stream(): Promise<boolean> {
    const { connection } = this
    const first = this.#sent
    const message = this.#messages.next()
    const whole = partsOf(message, this.#random)
    this.#sent++
    if (this.#spoil?.(first, message).length === 0) return true
    const streamed = connection.sendFragments(whole).then(
      () => true,
      () => false,
    )
    for (let behind = this.#random.below(3); behind > 0 && this.#sent < this.#plan.messages; behind--) {
      if (this.#canSend) this.#give()
    }
    if (!(await streamed)) this.#sent = first
    return false
  }

  // Receiving

  async #receive(): Promise<void> {
    const { connection } = this
    const { receives } = this.#plan
    if (receives === 'loop') {
      for await (const message of connection) {
        this.#got(message)
        if (this.received % 40 === 0) await turns()
      }
    } else {
      connection.on('message', (message) => {
        this.#got(message)
        if (receives === 'stop-and-go' && this.received % 40 === 0) void this.#rest()
      })
      await connection.closed
      while (this.#resting) await turns()
    }
    this.#receiving = false
    this.#moved()
  }

  async #rest(): Promise<void> {
    this.#resting = true
    this.connection.pause()
    await turns(3)
    this.#resting = false
    this.connection.resume()
  }

  #got(message: Message): void {
    this.#moved()
    const fault = this.#check.faultOf(message)
    if (fault !== undefined) {
      this.faults.push(fault)
      // Everything behind it would be wrong too.
      this.connection.terminate()
    }
    if (this.#info !== undefined && this.#plan.receives === 'listener')
      this.faults.push('a message after the close event')
    if (this.received === this.#peer.messages && this.#plan.closes === 'received') this.#close()
  }

  // Closing

  #close(): void {
    const { connection } = this
    const { how } = this.#plan
    if (how === 'close') {
      // Messages that find the queue full are thrown away then.
      if (this.#plan.receives !== 'listener') this.#discards = true
      void connection.close(1000, 'all said')
    } else if (how === 'terminate') {
      this.#discards = true
      connection.terminate()
    } else void connection.closeOutput(1000, 'half')
  }

  #entered(state: ConnectionState): void {
    this.#moved()
    if (ranks[state] <= ranks[this.#state]) this.faults.push(`${state} follows ${this.#state}`)
    this.#state = state
    if (state === 'close-received' && !this.#sending) void this.connection.close(1000)
  }

  #closed(info: CloseInfo): void {
    this.#moved()
    if (this.#info !== undefined) this.faults.push('a second close event')
    this.#info = info
    const { trigger } = info
    if (trigger === 'protocol-error' || trigger === 'handler-error')
      this.faults.push(`${trigger}: ${info.error?.message}`)
  }
}

/** The message in up to five parts, which come one by one. */
function partsOf(message: Message, random: Random): Iterable<string | Buffer> {
  const count = 1 + random.below(5)
  const size = Math.ceil(message.length / count)
  return Array.from({ length: count }, (_, at) =>
    typeof message === 'string'
      ? message.slice(at * size, (at + 1) * size)
      : message.subarray(at * size, (at + 1) * size),
  )
}
