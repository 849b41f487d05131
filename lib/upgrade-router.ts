/** Several WebSocket servers on one HTTP server: each upgrade goes to the first that serves its path, or gets a 404. */
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'

export interface Route {
  /** Whether the request's path is this server's; one that cannot be read is anybody's. */
  serves(request: IncomingMessage): boolean
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
}

class UpgradeRouter {
  readonly #http: HttpServer | HttpsServer
  readonly #routes = new Set<Route>()

  constructor(http: HttpServer | HttpsServer) {
    this.#http = http
  }

  add(route: Route): void {
    if (this.#routes.size === 0) this.#http.on('upgrade', this.#route)
    this.#routes.add(route)
  }

  delete(route: Route): void {
    this.#routes.delete(route)
    if (this.#routes.size === 0) this.#http.off('upgrade', this.#route)
  }

  readonly #route = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const routes = [...this.#routes]
    const [first] = routes
    const route = routes.find((each) => each.serves(request))
    if (route !== undefined) route.upgrade(request, socket, head)
    // Somebody else's listener may know the path; where there is none, the first of ours says 404.
    else if (this.#http.listenerCount('upgrade') === 1) first?.upgrade(request, socket, head)
  }
}

const routers = new WeakMap<HttpServer | HttpsServer, UpgradeRouter>()

/** The one router of that HTTP server. */
export function routerOf(http: HttpServer | HttpsServer): UpgradeRouter {
  let router = routers.get(http)
  if (router === undefined) {
    router = new UpgradeRouter(http)
    routers.set(http, router)
  }
  return router
}
