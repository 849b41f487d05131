/** Who may open a connection, and on which terms: path, origin, `verify` and subprotocol, in this order. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { clientLeft } from './errors.ts'
import { accept, type DeflateAgreement } from './deflate/parameters.ts'
import { isSameOrigin, judgeRequest, pathOf, type UpgradeRequest } from './handshake.ts'
import type { Extension } from './header-list.ts'
import {
  compressionSettings,
  type ConnectionSettings,
  handshakeTimeout,
  protocolList,
  type ServerOptions,
} from './options.ts'
import { Refusal, refuseFor } from './refusal.ts'
import { systemTimers, type Timers } from './timers.ts'

/** The terms on which a connection opens. */
export interface Admitted<Context> {
  readonly key: string
  /** The subprotocol, or the empty string. */
  readonly protocol: string
  /** What was agreed on for permessage-deflate, and the element of the answer that says so. */
  readonly deflate: DeflateAgreement | undefined
  readonly extensions: readonly Extension[]
  readonly context: Context
}

export class Admission<Context> {
  readonly #options: ServerOptions<Context>
  readonly #timers: Timers
  readonly #timeout: number
  readonly #compression: ConnectionSettings['compression']
  /** Requests that `verify` has not decided about. */
  readonly #undecided = new Set<(refusal: Refusal) => void>()

  constructor(options: ServerOptions<Context>) {
    this.#options = options
    this.#timers = options.timers ?? systemTimers
    this.#timeout = handshakeTimeout(options)
    this.#compression = compressionSettings(options.compression)
  }

  /** Whether the path is one that is served; so is a target that has none, so that it can be refused. */
  serves(request: IncomingMessage): boolean {
    const { path } = this.#options
    if (path === undefined) return true
    const asked = pathOf(request.url ?? '')
    if (asked === undefined) return true
    return typeof path === 'function' ? atOnce('path', path(asked)) : path === asked
  }

  /** Rejects with what a callback of the application threw, and when the client has left. */
  async decide(request: IncomingMessage, socket: Duplex): Promise<Admitted<Context> | Refusal> {
    const upgrade = judgeRequest(request)
    if (upgrade instanceof Refusal) return upgrade
    if (!this.serves(request)) return refuseFor('path', 404) // 4.2.2 item 4
    if (!this.#allowsOrigin(upgrade, request))
      return refuseFor('origin', 403, { body: 'this origin may not connect\n' }) // 10.2
    const context = await this.#verify(request, socket)
    if (context instanceof Refusal) return context
    const protocol = this.#choose(upgrade, request)
    const accepted = this.#compression === false ? undefined : accept(upgrade.extensions, this.#compression)
    const extensions = accepted === undefined ? [] : [accepted.answer]
    return { key: upgrade.key, protocol, deflate: accepted?.agreement, extensions, context }
  }

  /** Refuses those that `verify` has not decided about. */
  refuseUndecided(refusal: Refusal): void {
    for (const refuseNow of this.#undecided) refuseNow(refusal)
  }

  #allowsOrigin(upgrade: UpgradeRequest, request: IncomingMessage): boolean {
    const { origins } = this.#options
    const { origin, host } = upgrade
    if (origins === undefined) return isSameOrigin(origin, host)
    if (typeof origins === 'function') return atOnce('origins', origins(origin, request))
    return origin === undefined || origins.includes(origin)
  }

  #verify(request: IncomingMessage, socket: Duplex): Promise<Context | Refusal> {
    const { verify } = this.#options
    // Without `verify` the context is what its type says by default: undefined.
    if (verify === undefined) return Promise.resolve(undefined as Context)
    const verdict = Promise.resolve(verify(request))
    // Read on, up to the socket's own buffer: pipelined frames are kept, and a client that leaves is noticed.
    socket.read(0)
    return new Promise((resolve, reject) => {
      const settled = (): void => {
        cancel()
        socket.off('end', onLeave).off('close', onLeave)
        this.#undecided.delete(refuseNow)
      }
      const refuseNow = (refusal: Refusal): void => {
        settled()
        resolve(refusal)
      }
      // TCP has ended and nothing is left to be read.
      const onLeave = (): void => {
        settled()
        socket.destroy()
        reject(clientLeft())
      }
      const cancel = this.#timers.after(this.#timeout, () => {
        refuseNow(refuseFor('handshake-timeout', 503, { body: 'the decision took too long\n' }))
      })
      socket.once('end', onLeave).once('close', onLeave)
      this.#undecided.add(refuseNow)
      verdict.finally(settled).then(resolve, reject)
    })
  }

  /** The subprotocol: one of those offered, or none (4.2.2 item 5). */
  #choose(upgrade: UpgradeRequest, request: IncomingMessage): string {
    const { protocols = [] } = this.#options
    const { protocols: offered } = upgrade
    if (offered.length === 0) return ''
    if (typeof protocols !== 'function')
      return protocolList(protocols).find((protocol) => offered.includes(protocol)) ?? ''
    const chosen = atOnce('protocols', protocols(offered, request)) ?? ''
    if (chosen !== '' && !offered.includes(chosen)) {
      throw new TypeError(
        `"protocols" chose ${JSON.stringify(chosen)}, which the client did not offer (RFC 6455 4.2.2)`,
      )
    }
    return chosen
  }
}

/** What a callback answered. A promise, which would pass for a yes, is none: only `verify` may take its time. */
function atOnce<T>(option: string, answer: T): T {
  if (typeof answer !== 'object' || answer === null || !('then' in answer)) return answer
  Promise.resolve(answer).catch(() => {})
  throw new TypeError(`"${option}" must answer at once; "verify" may return a promise`)
}
