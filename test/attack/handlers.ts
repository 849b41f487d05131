/** Rows E: an application that listens to nothing, or whose handlers throw and reject. */
import { Buffer } from 'node:buffer'
import { Opcode } from '../../frames/opcode.ts'
import { type Attacker, dial, frame } from './attacker.ts'
import type { Ledger } from './ledger.ts'
import { prove, type Row } from './row.ts'
import { besiege, settled } from './siege.ts'
import { faults, type Target } from './target.ts'

const { text, ping, pong, close } = Opcode

/** Each breaks a rule, or leaves in the middle. */
const wrongs: readonly string[] = [
  'f18000000000', // RSV bits
  '83800000000061', // a reserved opcode
  '0880', // a Close in fragments
  '88fe', // a Close too long
  '88810000000003', // a Close of one byte
  '88820000000003ed', // a code that must not be sent
  '88830000000003e8ff', // a reason that is no UTF-8
  '818100000000ff', // a text that is none
  '8102', // no mask
  '8080', // a continuation of nothing
  '018061', // half a header
  '82ff7fffffffffffffff', // more than there is
  '82ffffffffffffffffff', // more than a length may be
]

async function deaf(ledger: Ledger): Promise<void> {
  await besiege(ledger, 'no listener', { manner: 'deaf', compression: true }, async (target) => {
    const leave: [name: string, how: (attacker: Attacker) => void][] = [
      ['FIN', (attacker) => attacker.socket.end()],
      ['RST', (attacker) => attacker.reset()],
    ]
    for (const wrong of wrongs) {
      for (const [, how] of leave) {
        const attacker = await target.attacker('permessage-deflate')
        await attacker.write(Buffer.from(wrong, 'hex'))
        how(attacker)
        await attacker.until(() => attacker.closed)
      }
    }
    for (const request of ['', 'GET', '\0\r\n\r\n', 'GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n']) {
      const socket = await dial(target.port)
      socket.end(request)
      socket.resume()
      await new Promise((resolve) => socket.once('close', resolve))
    }
    const honest = await target.attacker()
    await honest.flush()
    ledger.must('the process lives and serves', !honest.closed)
  })
}

/** What makes the server call that listener. */
function provoke(listener: string): Buffer {
  switch (listener) {
    case 'message':
      return frame(text, 'hello')
    case 'ping':
      return frame(ping, '')
    case 'pong':
      return frame(pong, '')
    case 'state':
    case 'close':
      return frame(close, Buffer.from([3, 232]))
    default:
      return Buffer.alloc(0)
  }
}

async function broken(ledger: Ledger, how: 'throws' | 'rejects'): Promise<void> {
  await besiege(ledger, how, { manner: 'broken', protocols: ['chat'] }, async (target) => {
    for (const name of faults.handshake) {
      const told = await reports(target, async () => {
        const { head } = await target.attacker('', `/${name}/${how}`)
        ledger.must(`${name} ${how}: ${head.slice(9, 12)}`, head.startsWith('HTTP/1.1 500'))
      })
      ledger.must(`${name} ${how}: reported once`, told === 1)
    }
    for (const name of faults.listeners) {
      let code = 0
      const told = await reports(target, async () => {
        const attacker = await target.attacker('', `/${name}/${how}`)
        await attacker.write(provoke(name))
        code = await attacker.refused()
        attacker.leave()
      })
      // Where both have closed already there is nothing left to say.
      const expected = name === 'state' || name === 'close' ? 1000 : 1011
      ledger.must(`${name} ${how}: ${code}`, code === expected)
      ledger.must(`${name} ${how}: reported once`, told === 1)
    }
    const honest = await target.attacker()
    await honest.write(frame(text, 'hello'))
    await honest.flush()
    ledger.must('the next one is served', honest.frames[0]?.payload.toString() === 'hello')
  })
}

/** How often `handlerError` told of something while that was done. */
async function reports(target: Target, act: () => Promise<void>): Promise<number> {
  const before = await target.report()
  await act()
  await settled(target)
  return (await target.report()).handlerErrors - before.handlerErrors
}

export const handlerRows: readonly Row[] = [
  { id: 'E1', attack: 'every kind of wrong, and the application has no listeners', cheap: true, run: deaf },
  {
    id: 'E2',
    attack: 'an exception in each listener and callback',
    cheap: true,
    async run(ledger) {
      await broken(ledger, 'throws')
      if (ledger.quick) return
      await prove(ledger, 'lib/server-handlers', /./)
      await prove(ledger, 'lib/connection', /E2/)
    },
  },
  {
    id: 'E3',
    attack: 'a rejection of each listener and callback',
    cheap: true,
    async run(ledger) {
      await broken(ledger, 'rejects')
      if (!ledger.quick) await prove(ledger, 'lib/connection', /E3/)
    },
  },
  {
    id: 'E4',
    attack: 'everything is done from inside every callback',
    async run(ledger) {
      for (const file of ['lib/connection', 'lib/reader', 'wire/races']) await prove(ledger, file, /E4/)
    },
  },
]
