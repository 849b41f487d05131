/** What the application receives, and who takes it on the way there. */
import type { Buffer } from 'node:buffer'
import type { ControlOpcode, MessageOpcode } from '../frames/opcode.ts'
import type { Violation } from '../frames/violation.ts'

/** Text as a string, binary as a Buffer (RFC 6455 section 5.6). */
export type Message = string | Buffer

/** Takes whole messages and control frames, in order. */
export interface MessageSink {
  message(message: Message): void
  /** A whole message, compressed, in pieces; `size` bytes in all. There where compression was agreed on. */
  compressed?(opcode: MessageOpcode, pieces: readonly Buffer[], size: number): void
  control(opcode: ControlOpcode, payload: Buffer): void
  /** Called once; the caller stops the decoder. */
  violation(violation: Violation): void
}
