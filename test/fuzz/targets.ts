/** All targets that need nothing from outside the project, in the order in which they run. */
import { decoderTarget } from './decoder.ts'
import { frameTargets } from './frames.ts'
import type { Target } from './target.ts'

export const targets: readonly Target[] = [decoderTarget, ...frameTargets()]
