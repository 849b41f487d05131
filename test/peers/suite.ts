/** What must hold between us and every other implementation, over every transport that it has. */
import type { Test } from 'tap'
import { FakeTimers } from '../help/fake-timers.ts'
import type { Case } from './case.ts'
import { closingCases } from './closing-cases.ts'
import { deflateCases } from './deflate-cases.ts'
import type { Pairing } from './meeting.ts'
import { messageCases } from './message-cases.ts'
import type { Certificate, Transport } from './peer.ts'
import { Results } from './results.ts'

const cases = [...messageCases, ...closingCases, ...deflateCases]

/** Runs all of it but what the peer cannot do, or does otherwise. */
export async function suite(t: Test, pairing: Pairing, certificate: Certificate): Promise<void> {
  const results = new Results(pairing)
  for (const transport of pairing.transports) {
    const title = `our ${pairing.ourRole} and ${pairing.name} ${pairing.version} over ${transport}`
    await t.test(title, async (t) => {
      for (const each of cases) {
        if (!suits(each, pairing, transport)) continue
        const difference = pairing.differences?.find(({ tests }) => tests.test(each.title))
        if (difference === undefined) {
          const test = t.test(each.title, (t) => play(t, each, pairing, transport, certificate))
          await test
          results.note(each, transport, test.subtest?.passing() ?? false)
        } else {
          results.differs(each.feature, transport, difference)
        }
      }
    })
  }
  results.write()
}

/** Compression has nothing to do with what is below; TCP is enough for it. */
function suits(
  { feature, needs = [], needsAnyCode = false, wired }: Case,
  pairing: Pairing,
  transport: Transport,
): boolean {
  return (
    needs.every((each) => pairing.abilities.includes(each)) &&
    (!needsAnyCode || pairing.closesWithAnyCode) &&
    (feature !== 'deflate' || pairing.deflate !== 'none') &&
    (transport === 'TCP' || !(wired || feature === 'deflate'))
  )
}

async function play(
  t: Test,
  { feature, run, our, offered = [], known = [], wired }: Case,
  pairing: Pairing,
  transport: Transport,
  certificate: Certificate,
): Promise<void> {
  const clock = new FakeTimers()
  const teardown = (close: () => Promise<unknown>): void => t.teardown(close)
  const meeting = await pairing.meet({
    transport,
    certificate,
    offered,
    known,
    deflate: feature === 'deflate',
    wired: wired === true,
    our: { ...our, timers: clock },
    teardown,
  })
  await run({ t, pairing, clock, ...meeting })
}
