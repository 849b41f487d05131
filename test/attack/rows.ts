/** The attack matrix: all rows in its order. */
import { bulkRows } from './bulk.ts'
import { chaosRows } from './chaos.ts'
import { clientRows } from './client.ts'
import { closingRows } from './closing.ts'
import { deflateRows } from './deflate.ts'
import { frameRows } from './frames.ts'
import { handlerRows } from './handlers.ts'
import { handshakeRows } from './handshake.ts'
import { memoryRows } from './memory.ts'
import { resetRows } from './reset.ts'
import type { Row } from './row.ts'
import { slowRows } from './slow.ts'

export const rows: readonly Row[] = [
  ...handshakeRows,
  ...frameRows,
  ...deflateRows,
  ...closingRows,
  ...slowRows,
  ...resetRows,
  ...handlerRows,
  ...bulkRows,
  ...memoryRows,
  ...chaosRows,
  ...clientRows,
]
