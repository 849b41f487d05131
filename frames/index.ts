/** `farewell/frames`: the frame codec of RFC 6455 alone. Pure: no socket, no timer, no event emitter. */
export { CloseCode, isWireCloseCode } from './close-code.ts'
export { type ClosePayload, decodeClosePayload, encodeClosePayload } from './close-payload.ts'
export { Decoder, type DecoderOptions, type FrameSink } from './decoder.ts'
export { encodeFrame, type Frame } from './encoder.ts'
export { mask } from './mask.ts'
export { type ControlOpcode, isControl, type MessageOpcode, Opcode } from './opcode.ts'
export { decodeUtf8, Utf8Checker } from './utf8.ts'
export { type Violation, type ViolationName, violation } from './violation.ts'
