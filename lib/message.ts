/** What the application receives: text as a string, binary as a Buffer (RFC 6455 section 5.6). */
import type { Buffer } from 'node:buffer'

export type Message = string | Buffer
