/** The attack matrix: all rows in its order. */
import { bulkRows } from './bulk.ts'
import { deflateRows } from './deflate.ts'
import { frameRows } from './frames.ts'
import { handlerRows } from './handlers.ts'
import { memoryRows } from './memory.ts'
import type { Row } from './row.ts'
import { slowRows } from './slow.ts'

export const rows: readonly Row[] = [
  ...frameRows,
  ...deflateRows,
  ...slowRows,
  ...handlerRows,
  ...bulkRows,
  ...memoryRows,
]
