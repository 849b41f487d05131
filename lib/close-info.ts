/** The story of how a connection ended, for the application and for its log. */

/** What set the end in motion. */
export type CloseTrigger =
  | 'local-close'
  | 'peer-close'
  | 'protocol-error'
  | 'peer-fin'
  | 'peer-fin-before-close'
  | 'socket-error'
  | 'close-timeout'
  | 'keepalive-timeout'
  | 'terminate'
  | 'limit'
  | 'handler-error'
  | 'handshake-failed'
  | 'aborted-before-open'

/** What one Close frame said; `code` is undefined when it was empty. */
export interface CloseFrame {
  readonly code: number | undefined
  readonly reason: string
}

export interface CloseInfo {
  /** The code of the Close that was received; 1005 if it had none, 1006 if none came (RFC 6455 section 7.1.5). */
  readonly code: number
  /** The reason of the Close that was received, or empty (section 7.1.6). Not for end users. */
  readonly reason: string
  /** Both Close frames crossed before TCP ended (section 7.1.4). */
  readonly wasClean: boolean
  /** Whose Close frame began the end; `none` where none did: a lost connection, an unanswered keepalive. */
  readonly initiator: 'local' | 'remote' | 'none'
  /** Our Close frame, null if none was sent. */
  readonly sent: CloseFrame | null
  /** The peer's Close frame, null if none came in time. */
  readonly received: CloseFrame | null
  readonly trigger: CloseTrigger
  /** What went wrong: a `ProtocolError`, the socket's error, what a handler threw. */
  readonly error?: Error
}

const causes: Readonly<Record<CloseTrigger, string>> = {
  'local-close': 'closed here',
  'peer-close': 'closed by the peer',
  'protocol-error': 'the peer broke the protocol',
  'peer-fin': 'the peer ended TCP without a Close',
  'peer-fin-before-close': 'the peer ended TCP instead of answering our Close',
  'socket-error': 'the connection was lost',
  'close-timeout': 'the closing handshake took too long',
  'keepalive-timeout': 'the peer stopped answering pings',
  terminate: 'terminated here',
  limit: 'a limit was reached',
  'handler-error': 'a handler failed',
  'handshake-failed': 'the opening handshake failed',
  'aborted-before-open': 'aborted before it was open',
}

/**
 * One line for a log: `sent 1000 "bye"; then received 1000 "bye"; clean`, or
 * `received no Close; not clean: the connection was lost (read ECONNRESET)`.
 */
export function describeClose(info: CloseInfo): string {
  const sent = info.sent === null ? 'sent no Close' : `sent ${describeFrame(info.sent)}`
  const received = info.received === null ? 'received no Close' : `received ${describeFrame(info.received)}`
  const both = info.sent !== null && info.received !== null
  const frames = info.initiator === 'remote' ? [received, sent] : [sent, received]
  // Where both Close frames are there and it is not clean, ours never left.
  const cause = both ? 'our Close did not leave in time' : causes[info.trigger]
  const ending = info.wasClean ? 'clean' : `not clean: ${cause}`
  const error = info.error === undefined ? '' : ` (${onOneLine(info.error.message)})`
  return `${frames.join(both ? '; then ' : '; ')}; ${ending}${error}`
}

function describeFrame(frame: CloseFrame): string {
  if (frame.code === undefined) return 'an empty Close'
  return frame.reason === '' ? `${frame.code}` : `${frame.code} ${quote(frame.reason)}`
}

/** The peer's words: JSON leaves some characters alone that a terminal or a log viewer acts on. */
function quote(text: string): string {
  return onOneLine(JSON.stringify(text))
}

/** An error may repeat the peer's words too, as that of JSON.parse does. */
function onOneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
