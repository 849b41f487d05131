/** Which close codes exist and which may travel in a Close frame: RFC 6455 section 7.4 and the IANA registry. */

/** The codes with a meaning of their own. */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  noStatus: 1005,
  abnormal: 1006,
  invalidData: 1007,
  policyViolation: 1008,
  messageTooBig: 1009,
  mandatoryExtension: 1010,
  internalError: 1011,
  serviceRestart: 1012,
  tryAgainLater: 1013,
  badGateway: 1014,
  tlsHandshake: 1015,
} as const

/** 1005, 1006 and 1015 tell the application what happened; they never stand in a frame (RFC 6455 section 7.4.1). */
const localOnly: ReadonlySet<number> = new Set([
  CloseCode.noStatus,
  CloseCode.abnormal,
  CloseCode.tlsHandshake,
])

const registered: ReadonlySet<number> = new Set(
  Object.values(CloseCode).filter((code) => !localOnly.has(code)),
)

/**
 * True when `code` may stand in a Close frame, sent or received: a registered code, one of the libraries' and
 * frameworks' range 3000 to 3999, or a private one, 4000 to 4999 (RFC 6455 section 7.4.2).
 */
export function isWireCloseCode(code: number): boolean {
  return registered.has(code) || (Number.isInteger(code) && code >= 3000 && code <= 4999)
}
