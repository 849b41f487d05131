/** npm run trace: writes TRACEABILITY.md anew, and says what is missing. */
import { writeFileSync } from 'node:fs'
import { folder } from './requirements.ts'
import { complaints, namings, page } from './trace.ts'

const all = namings()
writeFileSync(new URL('TRACEABILITY.md', folder), page(all))
const missing = complaints(all)
for (const complaint of missing) console.error(complaint)
process.exitCode = missing.length === 0 ? 0 : 1
