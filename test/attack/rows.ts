/** The attack matrix: all rows in its order. */
import { deflateRows } from './deflate.ts'
import type { Row } from './row.ts'

export const rows: readonly Row[] = [...deflateRows]
