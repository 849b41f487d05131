/** The closing promise on the wire: every way to end, in both roles, over every transport. */
import t from 'tap'
import { turns } from '../help/loop.ts'
import { playScenario, storyOf } from './closing-case.ts'
import { scenarios } from './closing-scenarios.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { transports } from './transports.ts'
import { watchProcess } from './watch.ts'

const roles = ['server', 'client'] as const
const watch = watchProcess()

for (const transport of transports) {
  await t.test(`over ${transport.name}`, async (t) => {
    for (const role of roles) {
      for (const scenario of scenarios) {
        if (scenario.role !== undefined && scenario.role !== role) continue
        if (scenario.resets === true && !transport.resets) continue
        await t.test(`${role}: ${scenario.title}`, { timeout: 10_000 }, (t) =>
          playScenario(t, watch, transport, role, scenario),
        )
      }
    }

    for (const starts of [...roles, 'both'] as const) {
      await t.test(`I7, I8: two of ours, started by ${starts}`, async (t) => {
        const timers = new FakeTimers()
        const ends = await transport.both(t, { timers }, { timers })
        const order: string[] = []
        ends.client.on('close', () => order.push('client'))
        ends.server.on('close', () => order.push('server'))
        if (starts !== 'server') void ends.client.close(4000, 'client')
        if (starts !== 'client') void ends.server.close(4001, 'server')
        const client = storyOf(await ends.client.closed)
        const server = storyOf(await ends.server.closed)
        t.match(client, { wasClean: true, sent: server.received, received: server.sent })
        t.match(server, { wasClean: true })
        const remote = { initiator: 'remote', trigger: 'peer-close' }
        const local = { initiator: 'local', trigger: 'local-close' }
        t.match(client, starts === 'server' ? remote : local)
        t.match(server, starts === 'client' ? remote : local)
        t.equal(client.code, starts === 'client' ? 4000 : 4001)
        t.equal(server.code, starts === 'server' ? 4001 : 4000)
        await turns(5)
        t.strictSame(order.toSorted(), ['client', 'server'], 'one close event each')
        t.equal(timers.now(), 0, 'no timer was needed')
        t.equal(timers.armed, 0)
      })
    }
    await transport.stop()
  })
}

await t.test('nothing escaped, nothing is left', (t) => watch.check(t))
