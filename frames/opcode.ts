/** The six opcodes that exist: RFC 6455 section 5.2, registry in section 11.8. */
export const Opcode = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const

export type Opcode = (typeof Opcode)[keyof typeof Opcode]

/** What a message is made of: its first frame says which, RFC 6455 section 5.6. */
export type MessageOpcode = typeof Opcode.text | typeof Opcode.binary

/** Opcodes with the top bit set are control frames, RFC 6455 section 5.5. */
export type ControlOpcode = typeof Opcode.close | typeof Opcode.ping | typeof Opcode.pong

/** True for 0x8 to 0xf, the reserved ones included. */
export function isControl(opcode: number): boolean {
  return (opcode & 0x8) !== 0
}
