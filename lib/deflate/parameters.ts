/** The parameters of permessage-deflate and how they are agreed on: RFC 7692 sections 5 and 7.1. */
import type { Extension } from '../header-list.ts'

export const extensionName = 'permessage-deflate'

/** What one side allows itself and asks of the other. */
export interface DeflatePolicy {
  readonly serverNoContextTakeover: boolean
  readonly clientNoContextTakeover: boolean
  /** 8 to 15. */
  readonly serverMaxWindowBits: number
  readonly clientMaxWindowBits: number
}

/** What the response says; nothing else counts (section 5.1). */
export type DeflateAgreement = DeflatePolicy

/** The parameters of one offer or response, read; `bare` is `client_max_window_bits` without a value. */
interface Parameters {
  readonly serverNoContextTakeover: boolean
  readonly clientNoContextTakeover: boolean
  readonly serverMaxWindowBits: number | undefined
  readonly clientMaxWindowBits: number | 'bare' | undefined
}

/** Undefined for an unknown parameter, one that stands twice, and a value that is none (section 7.1). */
function read(extension: Extension): Parameters | undefined {
  const values = new Map(extension.parameters)
  if (values.size < extension.parameters.length) return undefined
  let serverMaxWindowBits: number | undefined
  let clientMaxWindowBits: number | 'bare' | undefined
  for (const [name, value] of values) {
    switch (name) {
      case 'server_no_context_takeover':
      case 'client_no_context_takeover':
        if (value !== null) return undefined // 7.1.1
        break
      case 'server_max_window_bits':
        if (!isWindowBits(value)) return undefined // 7.1.2.1
        serverMaxWindowBits = Number(value)
        break
      case 'client_max_window_bits':
        if (value !== null && !isWindowBits(value)) return undefined // 7.1.2.2
        clientMaxWindowBits = value === null ? 'bare' : Number(value)
        break
      default:
        return undefined
    }
  }
  return {
    serverNoContextTakeover: values.has('server_no_context_takeover'),
    clientNoContextTakeover: values.has('client_no_context_takeover'),
    serverMaxWindowBits,
    clientMaxWindowBits,
  }
}

/** 8 to 15 in plain decimal (section 7.1.2). */
function isWindowBits(value: string | null): boolean {
  return value !== null && /^(?:[89]|1[0-5])$/.test(value)
}

/** What a client offers. That it can limit its own window it always says, so that the server may ask for it. */
export function offer(policy: DeflatePolicy): Extension {
  const { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits } =
    policy
  return {
    name: extensionName,
    parameters: [
      ...flag('server_no_context_takeover', serverNoContextTakeover),
      ...flag('client_no_context_takeover', clientNoContextTakeover),
      ...bits('server_max_window_bits', serverMaxWindowBits),
      ['client_max_window_bits', clientMaxWindowBits < 15 ? `${clientMaxWindowBits}` : null],
    ],
  }
}

/** The server's answer: to the first offer that it can meet, undefined for none (section 5.1). */
export function accept(
  offers: readonly Extension[],
  policy: DeflatePolicy,
): { readonly agreement: DeflateAgreement; readonly answer: Extension } | undefined {
  for (const each of offers) {
    if (each.name !== extensionName) continue
    const offered = read(each)
    // An offer that cannot be met is passed over; the next one may be better.
    if (offered !== undefined) return answerTo(offered, policy)
  }
  return undefined
}

function answerTo(
  offered: Parameters,
  policy: DeflatePolicy,
): { readonly agreement: DeflateAgreement; readonly answer: Extension } {
  const serverNoContextTakeover = offered.serverNoContextTakeover || policy.serverNoContextTakeover // 7.1.1.1
  const clientNoContextTakeover = offered.clientNoContextTakeover || policy.clientNoContextTakeover // 7.1.1.2
  const serverMaxWindowBits = Math.min(offered.serverMaxWindowBits ?? 15, policy.serverMaxWindowBits)
  // 7.1.2.2: a client that did not offer it cannot be asked for it.
  const clientOffered = offered.clientMaxWindowBits === 'bare' ? 15 : offered.clientMaxWindowBits
  const clientMaxWindowBits =
    clientOffered === undefined ? 15 : Math.min(clientOffered, policy.clientMaxWindowBits)
  return {
    agreement: { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits },
    answer: {
      name: extensionName,
      parameters: [
        ...flag('server_no_context_takeover', serverNoContextTakeover),
        ...flag('client_no_context_takeover', clientNoContextTakeover),
        // 7.1.2.1: an offered limit is answered even where it is none.
        ...(offered.serverMaxWindowBits === 15
          ? [bit('server_max_window_bits', serverMaxWindowBits)]
          : bits('server_max_window_bits', serverMaxWindowBits)),
        ...bits('client_max_window_bits', clientMaxWindowBits),
      ],
    },
  }
}

/** The client's view of the answer: what was agreed on, or undefined when it does not answer our offer (section 7.1). */
export function judgeAnswer(offered: Extension, answered: Extension): DeflateAgreement | undefined {
  const asked = read(offered)
  const answer = read(answered)
  if (asked === undefined || answer === undefined || answered.name !== extensionName) return undefined
  const { serverMaxWindowBits = 15, clientMaxWindowBits = 15 } = answer
  if (asked.serverNoContextTakeover && !answer.serverNoContextTakeover) return undefined // 7.1.1.1
  if (asked.serverMaxWindowBits !== undefined) {
    if (answer.serverMaxWindowBits === undefined || serverMaxWindowBits > asked.serverMaxWindowBits)
      return undefined // 7.1.2.1
  }
  if (clientMaxWindowBits === 'bare') return undefined // 7.1.2.2
  if (answer.clientMaxWindowBits !== undefined) {
    if (asked.clientMaxWindowBits === undefined) return undefined // 7.1.2.2
    if (asked.clientMaxWindowBits !== 'bare' && clientMaxWindowBits > asked.clientMaxWindowBits)
      return undefined
  }
  return {
    serverNoContextTakeover: answer.serverNoContextTakeover,
    // What we announced for ourselves we keep to, whether it was repeated or not.
    clientNoContextTakeover: answer.clientNoContextTakeover || asked.clientNoContextTakeover,
    serverMaxWindowBits,
    clientMaxWindowBits: Math.min(
      clientMaxWindowBits,
      typeof asked.clientMaxWindowBits === 'number' ? asked.clientMaxWindowBits : 15,
    ),
  }
}

type Parameter = readonly [name: string, value: string | null]

function flag(name: string, set: boolean): Parameter[] {
  return set ? [[name, null]] : []
}

function bit(name: string, value: number): Parameter {
  return [name, `${value}`]
}

function bits(name: string, value: number): Parameter[] {
  return value < 15 ? [bit(name, value)] : []
}

/** The agreed limits of one compressor. */
export interface DeflateLimits {
  /** 8 to 15. */
  readonly windowBits: number
  readonly noContextTakeover: boolean
}

/** Those of what comes from that side (section 7.1); undefined where no compression was agreed on. */
export function limitsFrom(
  side: 'client' | 'server',
  agreement: DeflateAgreement | undefined,
): DeflateLimits | undefined {
  if (agreement === undefined) return undefined
  return side === 'server'
    ? { windowBits: agreement.serverMaxWindowBits, noContextTakeover: agreement.serverNoContextTakeover }
    : { windowBits: agreement.clientMaxWindowBits, noContextTakeover: agreement.clientNoContextTakeover }
}
