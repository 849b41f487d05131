/**
 * The table of the close machine in the README is generated from the machine. `UPDATE_README=1` writes it anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import {
  beginLife,
  type Effect,
  type Life,
  type LifeEvent,
  type LifeEvents,
  type Role,
  step,
} from '../../lib/lifecycle.ts'

const readme = fileURLToPath(new URL('../../../README.md', import.meta.url))
const begin = '<!-- closing table: begin -->\n'
const end = '<!-- closing table: end -->\n'

const close = { code: 1000, reason: '' }
const failure = {
  close: { code: 1002, reason: '' },
  trigger: 'protocol-error',
  error: new Error('bad frame'),
} as const

/** One way into each state that has anything to show. */
function lives(role: Role): Life[] {
  const open = step(beginLife(role), 'opened').life
  const manual = step(beginLife(role, true), 'opened').life
  return [
    open,
    step(open, 'local-close', close, false).life,
    step(manual, 'close-received', close).life,
    step(open, 'close-received', close).life,
    step(open, 'violation', failure).life,
  ]
}

const words: Readonly<Record<Effect, string>> = {
  'drop-output': 'drop output',
  'send-close': 'send Close',
  end: 'FIN',
  'start-deadline': 'start `closeTimeout`',
  'start-linger': 'start `lingerTimeout`',
  destroy: 'destroy',
  finish: 'finish',
}

function row<E extends LifeEvent>(event: E, label: string, detail: LifeEvents[E]): string {
  const servers = lives('server').map((life) => ({ before: life.state, ...step(life, event, ...detail) }))
  const clients = lives('client').map((life) => step(life, event, ...detail))
  const cells = servers.map(({ before, life, effects }, index) => {
    const inClient = clients[index]?.effects ?? []
    const done = [
      ...effects.map((effect) => (inClient.includes(effect) ? words[effect] : `${words[effect]} (server)`)),
      ...inClient.filter((effect) => !effects.includes(effect)).map((effect) => `${words[effect]} (client)`),
    ]
    const changed = life.state === before ? '' : `**${life.state}**`
    return [changed, done.join(', ')].filter((part) => part !== '').join(': ') || '–'
  })
  return `| ${[label, ...cells].join(' | ')} |\n`
}

function table(): string {
  const states = lives('server').map((life) => `\`${life.state}\``)
  const head = `| event | ${states.join(' | ')} |\n| --- |${' --- |'.repeat(states.length)}\n`
  const rows = [
    row('local-close', '`close()`', [close, false]),
    row('close-received', "the peer's Close", [close]),
    row('close-flushed', 'our Close has left', []),
    row('peer-fin', "the peer's FIN", []),
    row('violation', 'a violation, a limit, a failed handler', [failure]),
    row('keepalive-timeout', 'no answer to keepalive', []),
    row('socket-error', 'a socket error', [new Error('reset')]),
    row('deadline', '`closeTimeout` over', []),
    row('linger', '`lingerTimeout` over', []),
    row('terminate', '`terminate()`', []),
    row('socket-closed', 'TCP has ended', []),
  ]
  return `<!-- prettier-ignore -->\n${head}${rows.join('')}`
}

t.test('the closing table of the README is what the machine does (RFC 6455 7.1)', async (t) => {
  const text = readFileSync(readme, 'utf8')
  const [before, rest = ''] = text.split(begin)
  const [shown, after] = rest.split(end)
  const expected = `\n${table()}\n`
  if (process.env['UPDATE_README'] === '1') {
    writeFileSync(readme, `${before}${begin}${expected}${end}${after}`)
    return
  }
  t.equal(shown, expected)
})
