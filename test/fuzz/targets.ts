/** All targets, in the order in which they run. */
import { closePayloadTarget } from './close-payload.ts'
import { connectionTarget } from './connection.ts'
import { decoderTarget } from './decoder.ts'
import { deflateTarget } from './deflate.ts'
import { decoderWsTarget } from './decoder-ws.ts'
import { extensionHeaderTarget } from './extension-header.ts'
import { frameTargets } from './frames.ts'
import { requestHeadTarget } from './request-head.ts'
import { responseHeadTarget } from './response-head.ts'
import type { Target } from './target.ts'

export const targets: readonly Target[] = [
  decoderTarget,
  ...frameTargets(),
  closePayloadTarget(),
  extensionHeaderTarget(),
  deflateTarget(),
  requestHeadTarget(),
  responseHeadTarget(),
  connectionTarget(),
  decoderWsTarget(),
]
