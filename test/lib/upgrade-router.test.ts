import t from 'tap'
import { Buffer } from 'node:buffer'
import { createServer, IncomingMessage, type Server } from 'node:http'
import { Socket } from 'node:net'
import { type Route, routerOf } from '../../lib/upgrade-router.ts'

/** A route for one path that notes what it gets. */
function routeFor(path: string): Route & { readonly got: string[] } {
  const got: string[] = []
  return {
    got,
    serves: (request) => request.url === path || request.url === '*',
    upgrade: (request, _socket, head) => void got.push(`${request.url} ${head.toString()}`),
  }
}

function ask(http: Server, path: string): void {
  const socket = new Socket()
  const request = new IncomingMessage(socket)
  request.url = path
  http.emit('upgrade', request, socket, Buffer.from('head'))
}

await t.test('an upgrade goes to the first route that serves it', async (t) => {
  const http = createServer()
  const [a, b, again] = [routeFor('/a'), routeFor('/b'), routeFor('/a')]
  for (const route of [a, b, again]) routerOf(http).add(route)
  t.equal(http.listenerCount('upgrade'), 1, 'one listener for all')
  ask(http, '/a')
  ask(http, '/b')
  ask(http, '*')
  t.strictSame([a.got, b.got, again.got], [['/a head', '* head'], ['/b head'], []])
})

await t.test('6455-4.2.2-resource-404: nobody serves it, so the first has to refuse it', async (t) => {
  const http = createServer()
  const [a, b] = [routeFor('/a'), routeFor('/b')]
  for (const route of [a, b]) routerOf(http).add(route)
  ask(http, '/c')
  t.strictSame([a.got, b.got], [['/c head'], []])
})

await t.test('9110-7.8-may-ignore: a foreign listener may know the path', async (t) => {
  const http = createServer()
  const foreign: (string | undefined)[] = []
  http.on('upgrade', (request: IncomingMessage) => foreign.push(request.url))
  const a = routeFor('/a')
  routerOf(http).add(a)
  ask(http, '/c')
  ask(http, '/a')
  t.strictSame(a.got, ['/a head'])
  t.strictSame(foreign, ['/c', '/a'], 'it hears of all, as Node has it')
})

await t.test('with the last route the listener goes', async (t) => {
  const http = createServer()
  const other = createServer()
  const [a, b] = [routeFor('/a'), routeFor('/b')]
  routerOf(http).add(a)
  routerOf(http).add(b)
  routerOf(other).add(a)
  routerOf(http).delete(a)
  ask(http, '/a')
  t.strictSame([a.got, b.got], [[], ['/a head']], 'b is the first now')
  routerOf(http).delete(b)
  routerOf(http).delete(b)
  t.equal(http.listenerCount('upgrade'), 0)
  t.equal(other.listenerCount('upgrade'), 1, 'each HTTP server has a router of its own')
  routerOf(http).add(b)
  t.equal(http.listenerCount('upgrade'), 1)
})

await t.test('a route may leave while it is asked', async (t) => {
  const http = createServer()
  const b = routeFor('/b')
  const a: Route = {
    serves() {
      routerOf(http).delete(a)
      return false
    },
    upgrade: () => t.fail('not served here'),
  }
  routerOf(http).add(a)
  routerOf(http).add(b)
  ask(http, '/b')
  t.strictSame(b.got, ['/b head'])
})
