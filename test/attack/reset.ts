/** Rows R: connections that break, and lines that go dead. */
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { upgradeRequest } from '../help/raw-http.ts'
import { dial } from './attacker.ts'
import type { Ledger } from './ledger.ts'
import { prove, type Row } from './row.ts'
import { besiege } from './siege.ts'

async function halfOpen(ledger: Ledger): Promise<void> {
  await prove(ledger, 'wire/process', /R2/)
  await prove(ledger, 'lib/connection', /D10: keepalive/)
  // In network namespaces of its own, where a cable can be pulled; it says so where it may not make them.
  const program = fileURLToPath(new URL('../chaos/net.js', import.meta.url))
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [output, [status]] = await Promise.all([textOf(child.stdout), once(child, 'close')])
  const told = output.split('\n').filter((line) => /^R2|^skipped|^VIOLATION/.test(line))
  ledger.must(`npm run chaos:net: ${told.join('; ')}`, status === 0)
}

/** A client that is gone before the server has answered, or has only just not been heard to go. */
async function goneBefore101(ledger: Ledger): Promise<void> {
  await prove(ledger, 'lib/server', /R3|abort-after-hangup|server-abort|died before handleUpgrade/)
  await prove(ledger, 'lib/admission', /R3/)
  const rounds = ledger.times(1000)
  for (const [name, target] of [
    ['verify is pending', '/wait'],
    ['the 101 is on its way', '/'],
  ] as const) {
    await besiege(ledger, name, { manner: 'undecided' }, async (victim) => {
      for (let round = 0; round < rounds; round += 10) {
        const { requests } = await victim.report()
        const sockets = await Promise.all(Array.from({ length: 10 }, () => dial(victim.port)))
        const request = Buffer.from(upgradeRequest({ target }))
        await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.write(request, resolve))))
        while (target === '/wait' && (await victim.report()).requests < requests + 10) await sleep(1)
        sockets.forEach((socket, at) => {
          if (at % 2 === 0) socket.resetAndDestroy()
          else socket.destroy()
        })
      }
      const { head } = await victim.attacker()
      ledger.must(
        `${name}: after ${rounds} that left the next one is served`,
        head.startsWith('HTTP/1.1 101'),
      )
    })
  }
}

export const resetRows: readonly Row[] = [
  {
    id: 'R1',
    attack: 'FIN and RST behind every byte of a conversation, in both roles',
    run: (ledger) => prove(ledger, 'wire/cuts', /./),
  },
  { id: 'R2', attack: 'the peer stands still, the line is dead', run: halfOpen },
  { id: 'R3', attack: 'a client leaves before its 101', cheap: true, run: goneBefore101 },
  {
    id: 'R4',
    attack: 'RST while megabytes are queued',
    async run(ledger) {
      await prove(ledger, 'wire/slow-peers', [/./, /R4/])
      await prove(ledger, 'wire/closing', [/./, /R4/])
    },
  },
]
