/**
 * Every way in which a peer can break the rules or our limits, once: a stable name, the close code that answers it,
 * the section it breaks, and a sentence for the log.
 */
import { CloseCode } from './close-code.ts'

/** For programs: these names do not change. */
export type ViolationName =
  | 'reserved-bit'
  | 'reserved-opcode'
  | 'missing-mask'
  | 'unexpected-mask'
  | 'length-not-minimal'
  | 'length-top-bit'
  | 'orphan-continuation'
  | 'nested-message'
  | 'fragmented-control'
  | 'long-control'
  | 'short-close'
  | 'bad-close-code'
  | 'bad-close-reason'
  | 'bad-utf8'
  | 'bad-deflate'
  | 'message-too-big'
  | 'empty-fragments'
  | 'no-progress'
  | 'send-buffer-full'
  | 'rate-limit'
  | 'process-budget'

export interface Violation {
  readonly name: ViolationName
  /** What the Close frame that answers it says. */
  readonly closeCode: number
  /** Where the rule stands. */
  readonly section: string
  readonly message: string
}

/** The section that leaves limits to the implementation. */
const ourLimits = 'RFC 6455 10.4'

const { protocolError, invalidData, policyViolation, messageTooBig, tryAgainLater } = CloseCode

type Row = readonly [closeCode: number, section: string, message: string]

/** The rules that are not the protocol's but ours. */
const limits = {
  'message-too-big': [messageTooBig, ourLimits, 'the message is longer than maxMessageSize'],
  'empty-fragments': [policyViolation, ourLimits, 'a message has too many empty fragments'],
  'no-progress': [
    policyViolation,
    ourLimits,
    'an unfinished message made no progress within progressTimeout',
  ],
  'send-buffer-full': [
    policyViolation,
    ourLimits,
    'the peer reads too slowly: maxBufferedAmount was reached',
  ],
  'rate-limit': [policyViolation, ourLimits, 'the peer sent more than rateLimit lets it'],
  'process-budget': [tryAgainLater, ourLimits, 'unfinished messages hold too much memory in this process'],
} as const satisfies Partial<Record<ViolationName, Row>>

const table: Readonly<Record<ViolationName, Row>> = {
  'reserved-bit': [
    protocolError,
    'RFC 6455 5.2',
    'an RSV bit is set that nothing negotiated gives a meaning',
  ],
  'reserved-opcode': [protocolError, 'RFC 6455 5.2', 'the opcode is a reserved one'],
  'missing-mask': [protocolError, 'RFC 6455 5.1', 'a frame from a client is not masked'],
  'unexpected-mask': [protocolError, 'RFC 6455 5.1', 'a frame from a server is masked'],
  'length-not-minimal': [
    protocolError,
    'RFC 6455 5.2',
    'the payload length has a shorter form than the one used',
  ],
  'length-top-bit': [protocolError, 'RFC 6455 5.2', 'the top bit of the 64-bit payload length is set'],
  'orphan-continuation': [protocolError, 'RFC 6455 5.4', 'a continuation frame has no message to continue'],
  'nested-message': [protocolError, 'RFC 6455 5.4', 'a message begins inside an unfinished one'],
  'fragmented-control': [protocolError, 'RFC 6455 5.5', 'a control frame is fragmented'],
  'long-control': [protocolError, 'RFC 6455 5.5', 'a control frame has more than 125 bytes of payload'],
  'short-close': [
    protocolError,
    'RFC 6455 5.5.1',
    'a Close frame has one byte of payload, half a close code',
  ],
  'bad-close-code': [protocolError, 'RFC 6455 7.4', 'the close code must not stand in a Close frame'],
  'bad-close-reason': [invalidData, 'RFC 6455 5.5.1', 'the close reason is not valid UTF-8'],
  'bad-utf8': [invalidData, 'RFC 6455 8.1', 'a text message is not valid UTF-8'],
  'bad-deflate': [invalidData, 'RFC 7692 7.2.2', 'a compressed message cannot be decompressed'],
  ...limits,
}

/** Whether a limit of ours was crossed; else the protocol was broken. */
export function isLimit({ name }: Violation): boolean {
  return Object.hasOwn(limits, name)
}

/** What is known of the violation of that name. */
export function violation(name: ViolationName): Violation {
  const [closeCode, section, message] = table[name]
  return { name, closeCode, section, message }
}
