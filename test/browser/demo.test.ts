/** The demo's page in a real browser, against the demo's server. Our own client drives the browser. */
import t from 'tap'
import { startDemo } from '../../examples/server.ts'
import type { CloseInfo, Connection } from '../../lib/index.ts'
import { Browser, findChromium, type Tab } from './chromium.ts'

const chromium = findChromium()
const absent = 'Chromium is not installed (apt-get install chromium, or name one in $CHROMIUM)'

/** What the page wrote about its last close. */
const lastClose = "{ ...[...document.querySelectorAll('#log [data-kind=closed]')].at(-1).dataset }"
const stateIs = (state: string) => `document.getElementById('state').dataset.state === '${state}'`
const logged = (kind: string, text: string) =>
  `[...document.querySelectorAll('#log [data-kind=${kind}] .text')]
    .some((entry) => entry.textContent.includes(${JSON.stringify(text)}))`

async function click(tab: Tab, id: string): Promise<void> {
  await tab.evaluate(`document.getElementById('${id}').click()`)
}

async function fill(tab: Tab, id: string, value: string): Promise<void> {
  await tab.evaluate(`{
    const field = document.getElementById('${id}')
    field.value = ${JSON.stringify(value)}
    for (const type of ['input', 'change']) field.dispatchEvent(new Event(type, { bubbles: true }))
  }`)
}

if (chromium === undefined && process.env['CI']) {
  t.fail(`${absent}; the CI image has to install it`)
} else if (chromium === undefined) {
  t.plan(0, absent)
} else {
  const demo = await startDemo({ port: 0, interval: 100, log: () => {} })
  const browser = await Browser.launch(chromium)
  const tab = await browser.open(demo.url)
  t.teardown(async () => {
    await tab.close()
    await browser[Symbol.asyncDispose]()
    await demo.close()
  })

  /** Connects the page; resolves with the server's side of the connection. */
  const meet = async (): Promise<Connection> => {
    const connected = new Promise<Connection>((resolve) => demo.sockets.once('connection', resolve))
    await click(tab, 'connect')
    const connection = await connected
    await tab.until(stateIs('open'))
    return connection
  }

  await t.test('the address is filled in, and only Connect is enabled', async (t) => {
    t.equal(await tab.evaluate("document.getElementById('url').value"), demo.url.replace(/^http/, 'ws'))
    t.equal(await enabled(tab), 'clear connect')
  })

  await t.test('messages go and come back with their type, broadcasts stand out', async (t) => {
    await meet()
    t.equal(await enabled(tab), 'clear disconnect send send-binary')
    await fill(tab, 'message', '<b>Grüße</b>')
    await click(tab, 'send')
    await tab.until(logged('sent', '<b>Grüße</b>'))
    await tab.until(logged('received', '<b>Grüße</b>'))
    await fill(tab, 'message', 'bytes')
    await click(tab, 'send-binary')
    await tab.until(logged('received', '5 bytes: 62 79 74 65 73'))
    await tab.until(logged('broadcast', 'Server time: '))
    t.equal(
      await tab.evaluate("document.querySelectorAll('#log b').length"),
      0,
      'what arrives is text, not markup',
    )
  })

  await t.test('Disconnect: the page and the server tell the same story', async (t) => {
    const [connection] = demo.sockets.connections
    await fill(tab, 'code', 'custom')
    await fill(tab, 'custom-code', '4001')
    await fill(tab, 'reason', 'all said ✓')
    await click(tab, 'disconnect')
    await tab.until(stateIs('closed'))
    t.match(await tab.evaluate(`(${lastClose})`), {
      code: '4001',
      reason: 'all said ✓',
      clean: 'true',
      by: 'you',
    })
    const frame = { code: 4001, reason: 'all said ✓' }
    const story: Partial<CloseInfo> = {
      ...frame,
      wasClean: true,
      initiator: 'remote',
      trigger: 'peer-close',
      received: frame,
      sent: frame,
    }
    t.match(await connection?.closed, story)
    t.equal(await enabled(tab), 'clear connect')
  })

  await t.test('Disconnect without a code', async (t) => {
    const connection = await meet()
    await fill(tab, 'code', '')
    await click(tab, 'disconnect')
    await tab.until(stateIs('closed'))
    t.match(await tab.evaluate(`(${lastClose})`), { code: '1005', clean: 'true', by: 'you' })
    t.match(await connection.closed, { code: 1005, wasClean: true, received: { code: undefined } })
  })

  await t.test('a connection that is lost', async (t) => {
    const connection = await meet()
    connection.terminate()
    await tab.until(stateIs('closed'))
    t.match(await tab.evaluate(`(${lastClose})`), { code: '1006', clean: 'false', by: 'nobody' })
    t.match(await connection.closed, { code: 1006, wasClean: false, trigger: 'terminate' })
  })

  await t.test('the page outlives the server, and says why it closed', async (t) => {
    const connection = await meet()
    await demo.close()
    await tab.until(stateIs('closed'))
    const reason = 'Server is shutting down'
    t.match(await tab.evaluate(`(${lastClose})`), { code: '1001', reason, clean: 'true', by: 'server' })
    t.match(await connection.closed, {
      code: 1001,
      reason,
      wasClean: true,
      initiator: 'local',
      received: { code: 1001, reason },
    })
    t.equal(await enabled(tab), 'clear connect')
  })

  await t.test('a server that is gone', async (t) => {
    await click(tab, 'clear')
    await click(tab, 'connect')
    await tab.until(logged('closed', 'could not connect (1006)'))
    t.match(await tab.evaluate(`(${lastClose})`), { code: '1006', clean: 'false', by: 'nobody' })
    t.strictSame(tab.faults, [])
  })
}

function enabled(tab: Tab): Promise<unknown> {
  return tab.evaluate(
    "[...document.querySelectorAll('button:enabled')].map((button) => button.id).sort().join(' ')",
  )
}
