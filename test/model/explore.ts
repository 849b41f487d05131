/**
 * Visits every world that can be reached, breadth first, and holds each against the invariants.
 *
 * What a side can do depends on itself, the wire and the network, not on the other side; there are few such *views*,
 * so the rules are applied once per view and remembered. Sides, channels and networks are numbered as they are met;
 * a world is five numbers packed into one, and a step is an addition and a look-up.
 */
import {
  type Configuration,
  type Invariant,
  type Machine,
  type Network,
  type Side,
  beginNetwork,
  beginSide,
  judgeSide,
  judgeWorld,
  rules,
  Turn,
} from './model.ts'

export interface Exploration {
  readonly worlds: number
  readonly steps: number
  /** The invariants that do not hold, each with the shortest way to break it. */
  readonly broken: ReadonlyMap<Invariant, readonly string[]>
}

/** A step of one side: what it leaves behind, with the other side's number left out. */
interface Step {
  readonly name: string
  readonly partial: number
}

interface Steps {
  readonly steps: readonly Step[]
  readonly due: boolean
}

// The digits of a world, lowest first: network, the two channels, server, client. Together below 2 ** 53.
const NETWORKS = 2 ** 6
const CHANNELS = 2 ** 9
const SIDES = 2 ** 14
const TO_CLIENT = NETWORKS
const TO_SERVER = TO_CLIENT * CHANNELS
const SERVER = TO_SERVER * CHANNELS
const CLIENT = SERVER * SIDES

/** Explores to the end, or to the first fault when `stopAtFault` is set. */
export function explore(machine: Machine, configuration: Configuration, stopAtFault = false): Exploration {
  const sides = new Numbering<Side>(SIDES)
  const channels = new Numbering<string>(CHANNELS)
  const networks = new Numbering<Network>(NETWORKS)
  const clientSteps = new Map<number, Steps>()
  const serverSteps = new Map<number, Steps>()
  const worlds = new Worlds()
  const targets: number[] = [] // of every step, in the order of the worlds they leave
  const firstTarget: number[] = []
  const broken = new Map<Invariant, readonly string[]>()

  const start =
    sides.number(beginSide('client', machine, configuration)) * CLIENT +
    sides.number(beginSide('server', machine, configuration)) * SERVER +
    channels.number('') * (TO_CLIENT + TO_SERVER) +
    networks.number(beginNetwork(configuration))
  worlds.visit(start, 0)

  for (let world = 0; world < worlds.size && !(stopAtFault && broken.size > 0); world++) {
    const key = worlds.key(world)
    const client = digit(key, CLIENT, SIDES)
    const server = digit(key, SERVER, SIDES)
    const shared = key % SERVER
    const byClient = stepsOf(clientSteps, client, shared, true, world)
    const byServer = stepsOf(serverSteps, server, shared, false, world)

    const due = byClient.due || byServer.due
    for (const invariant of judgeWorld(
      sides.item(client),
      sides.item(server),
      networks.item(digit(key, 1, NETWORKS)),
      configuration,
      due,
    )) {
      report(invariant, world)
    }

    firstTarget.push(targets.length)
    for (const { partial } of byClient.steps) targets.push(worlds.visit(partial + server * SERVER, world))
    for (const { partial } of byServer.steps) targets.push(worlds.visit(partial + client * CLIENT, world))
  }
  firstTarget.push(targets.length)

  if (!stopAtFault || broken.size === 0) {
    const caught = findCycle(firstTarget, targets)
    if (caught !== undefined) report('L4', caught)
  }
  return { worlds: worlds.size, steps: targets.length, broken }

  function stepsOf(known: Map<number, Steps>, side: number, shared: number, isClient: boolean, world: number): Steps {
    const view = side * SERVER + shared
    const before = known.get(view)
    if (before !== undefined) return before
    const steps = apply(side, shared, isClient, world)
    known.set(view, steps)
    return steps
  }

  /** Applies every rule to one side. */
  function apply(sideNumber: number, shared: number, isClient: boolean, world: number): Steps {
    const inward = isClient ? TO_CLIENT : TO_SERVER
    const outward = isClient ? TO_SERVER : TO_CLIENT
    const view = {
      side: sides.item(sideNumber),
      inbox: channels.item(digit(shared, inward, CHANNELS)),
      outbox: channels.item(digit(shared, outward, CHANNELS)),
      network: networks.item(digit(shared, 1, NETWORKS)),
    }
    for (const invariant of judgeSide(view.side, machine, configuration)) report(invariant, world)

    const steps: Step[] = []
    let due = false
    const now = new Turn(machine, configuration, view)
    for (const rule of rules) {
      if (!rule.when(now)) continue
      due ||= rule.due
      for (const resets of [false, true]) {
        const turn = new Turn(machine, configuration, view, resets)
        rule.act(turn)
        const name = `${isClient ? 'client' : 'server'}: ${rule.name}${resets ? ' (RST)' : ''} → ${turn.state}`
        for (const invariant of turn.broken) report(invariant, world, name)
        const partial =
          sides.number(turn.side) * (isClient ? CLIENT : SERVER) +
          channels.number(turn.inbox) * inward +
          channels.number(turn.outbox) * outward +
          networks.number(turn.network)
        steps.push({ name, partial })
        if (!turn.tore) break
      }
    }
    return { steps, due }
  }

  function report(invariant: Invariant, world: number, lastStep?: string): void {
    if (broken.has(invariant)) return
    const way = lastStep === undefined ? [] : [lastStep]
    for (let to = world; to > 0; to = worlds.origin(to)) way.unshift(nameOf(worlds.origin(to), worlds.key(to)))
    broken.set(invariant, way)
  }

  /** The step that leads from a world to a key. */
  function nameOf(from: number, to: number): string {
    const key = worlds.key(from)
    const client = digit(key, CLIENT, SIDES)
    const server = digit(key, SERVER, SIDES)
    const view = key % SERVER
    const byClient = clientSteps.get(client * SERVER + view)?.steps ?? []
    const byServer = serverSteps.get(server * SERVER + view)?.steps ?? []
    const step =
      byClient.find(({ partial }) => partial + server * SERVER === to) ??
      byServer.find(({ partial }) => partial + client * CLIENT === to)
    return step?.name ?? '?'
  }
}

function digit(key: number, weight: number, radix: number): number {
  return Math.floor(key / weight) % radix
}

/** Takes away, again and again, the worlds that no step leads to; what remains lies on a cycle or behind one. */
function findCycle(firstTarget: readonly number[], targets: readonly number[]): number | undefined {
  const worlds = firstTarget.length - 1
  const arrivals = new Int32Array(worlds)
  for (const target of targets) arrivals[target] = (arrivals[target] ?? 0) + 1
  const free = [...arrivals.keys()].filter((world) => arrivals[world] === 0)
  for (let world = free.pop(); world !== undefined; world = free.pop()) {
    for (let i = firstTarget[world] ?? 0; i < (firstTarget[world + 1] ?? 0); i++) {
      const target = targets[i] ?? 0
      const left = (arrivals[target] ?? 0) - 1
      arrivals[target] = left
      if (left === 0) free.push(target)
    }
  }
  const caught = arrivals.findIndex((left) => left > 0)
  return caught === -1 ? undefined : caught
}

/** Numbers values in the order in which they are met; equal values get the same number. */
class Numbering<T> {
  readonly #numbers = new Map<string, number>()
  readonly #items: T[] = []
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  number(item: T): number {
    const key = JSON.stringify(item)
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const number = this.#items.push(item) - 1
    if (number >= this.#limit) throw new RangeError(`more than ${this.#limit} of a kind: widen the digit`)
    this.#numbers.set(key, number)
    return number
  }

  item(number: number): T {
    const item = this.#items[number]
    if (item === undefined) throw new RangeError(`nothing has the number ${number}`)
    return item
  }
}

/** The worlds met so far, in order, each with the world it was first reached from. */
class Worlds {
  readonly #keys: number[] = []
  readonly #origins: number[] = []
  readonly #numbers = new Map<number, number>()

  get size(): number {
    return this.#keys.length
  }

  key(world: number): number {
    return this.#keys[world] ?? 0
  }

  origin(world: number): number {
    return this.#origins[world] ?? 0
  }

  visit(key: number, origin: number): number {
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const world = this.#keys.push(key) - 1
    this.#origins.push(origin)
    this.#numbers.set(key, world)
    return world
  }
}
