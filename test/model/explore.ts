/**
 * Visits every world that can be reached, breadth first, and holds each against the invariants.
 *
 * What a side can do depends on itself, the wire and the network, not on the other side; there are few such *views*,
 * so the rules are applied once per view and remembered. Sides, channels and networks are numbered as they are met;
 * a world is five numbers packed into one, and a step from world to world is an addition and a look-up.
 */
import type { ConnectionState, LifeEvent } from '../../lib/lifecycle.ts'
import type { Configuration } from './configurations.ts'
import { judgeSide, judgeWorld } from './judge.ts'
import { beginNetwork, beginSide, type Invariant, type Machine, type Network, type Side } from './model.ts'
import { rules } from './rules.ts'
import { Turn } from './turn.ts'

export interface Exploration {
  readonly worlds: number
  readonly steps: number
  /** The invariants that do not hold, each with a shortest way to break it. */
  readonly broken: ReadonlyMap<Invariant, readonly string[]>
  /** The cells of the machine's table that were met. */
  readonly cells: ReadonlySet<`${ConnectionState} ${LifeEvent}`>
}

/** What one side can do in a view: where each step leads, without the digit of the other side. */
interface Steps {
  readonly steps: readonly { readonly name: string; readonly partial: number }[]
  /** One of them is due. */
  readonly due: boolean
}

// The digits of a world, lowest first: network, the two channels, server, client. All together below 2 ** 53.
const NETWORKS = 2 ** 7
const CHANNELS = 2 ** 9
const SIDES = 2 ** 14
const TO_CLIENT = NETWORKS
const TO_SERVER = TO_CLIENT * CHANNELS
const SERVER = TO_SERVER * CHANNELS
const CLIENT = SERVER * SIDES

/** Explores to the end or, with `stopAtFault`, to the first world that breaks an invariant. */
export function explore(machine: Machine, configuration: Configuration, stopAtFault = false): Exploration {
  const sides = new Numbering<Side>(SIDES)
  const channels = new Numbering<string>(CHANNELS)
  const networks = new Numbering<Network>(NETWORKS)
  const worlds = new Keys()
  const origins: number[] = [] // The world that each world was first reached from.
  const targets: number[] = [] // The world that each step leads to, in the order of those they leave.
  const firstTarget: number[] = [] // Where in `targets` the steps of each world begin.
  const views = new Keys()
  const stepsOfView: Steps[] = []
  const broken = new Map<Invariant, readonly string[]>()
  const cells = new Set<`${ConnectionState} ${LifeEvent}`>()

  arrive(
    sides.number(beginSide('client', machine, configuration)) * CLIENT +
      sides.number(beginSide('server', machine, configuration)) * SERVER +
      channels.number('') * (TO_CLIENT + TO_SERVER) +
      networks.number(beginNetwork(configuration)),
    0,
  )
  for (let world = 0; world < worlds.size && !(stopAtFault && broken.size > 0); world++) {
    const { client, server, byClient, byServer } = leave(world)
    judge(world, byClient.due || byServer.due)
    firstTarget.push(targets.length)
    for (const { partial } of byClient.steps) targets.push(arrive(partial + server, world))
    for (const { partial } of byServer.steps) targets.push(arrive(partial + client, world))
  }
  firstTarget.push(targets.length)
  const onCycle = broken.size === 0 ? findCycle(firstTarget, targets) : undefined
  if (onCycle !== undefined) report('L4', onCycle)
  return { worlds: worlds.size, steps: targets.length, broken, cells }

  function arrive(key: number, from: number): number {
    const world = worlds.number(key)
    if (world === origins.length) origins.push(from)
    return world
  }

  /** Both sides of a world, as digits in their places, and what they can do. */
  function leave(world: number): { client: number; server: number; byClient: Steps; byServer: Steps } {
    const key = worlds.key(world)
    const client = digit(key, CLIENT, SIDES) * CLIENT
    const server = digit(key, SERVER, SIDES) * SERVER
    return { client, server, byClient: stepsOf(key - server, world), byServer: stepsOf(key - client, world) }
  }

  function stepsOf(key: number, world: number): Steps {
    const view = views.number(key)
    return (stepsOfView[view] ??= applyRules(key, world))
  }

  function applyRules(key: number, world: number): Steps {
    const client = digit(key, CLIENT, SIDES)
    const [role, place, inward, outward] =
      client > 0
        ? (['client', CLIENT, TO_CLIENT, TO_SERVER] as const)
        : (['server', SERVER, TO_SERVER, TO_CLIENT] as const)
    const view = {
      side: sides.item(digit(key, place, SIDES)),
      inbox: channels.item(digit(key, inward, CHANNELS)),
      outbox: channels.item(digit(key, outward, CHANNELS)),
      network: networks.item(digit(key, 1, NETWORKS)),
    }
    for (const invariant of judgeSide(view.side, machine, configuration)) report(invariant, world)

    const steps: { name: string; partial: number }[] = []
    let due = false
    const now = new Turn(machine, configuration, view)
    for (const rule of rules) {
      if (!rule.when(now)) continue
      due ||= rule.due
      for (const resets of [false, true]) {
        const turn = new Turn(machine, configuration, view, resets)
        rule.act(turn)
        const name = `${role}: ${rule.name}${resets ? ', RST' : ''} → ${turn.state}`
        const partial =
          sides.number(turn.side) * place +
          channels.number(turn.inbox) * inward +
          channels.number(turn.outbox) * outward +
          networks.number(turn.network)
        steps.push({ name, partial })
        for (const invariant of turn.broken) report(invariant, world, name)
        for (const event of turn.events) cells.add(`${view.side.life.state} ${event}`)
        if (!turn.tore) break
      }
    }
    return { steps, due }
  }

  function judge(world: number, due: boolean): void {
    const key = worlds.key(world)
    const client = sides.item(digit(key, CLIENT, SIDES))
    const server = sides.item(digit(key, SERVER, SIDES))
    const network = networks.item(digit(key, 1, NETWORKS))
    for (const invariant of judgeWorld(client, server, network, configuration, due)) report(invariant, world)
  }

  function report(invariant: Invariant, world: number, lastStep?: string): void {
    if (broken.has(invariant)) return
    const way = lastStep === undefined ? [] : [lastStep]
    for (let to = world; to > 0; to = origins[to] ?? 0) way.unshift(nameOf(origins[to] ?? 0, worlds.key(to)))
    broken.set(invariant, way)
  }

  /** The name of the step that leads from a world to a key. */
  function nameOf(from: number, to: number): string {
    const { client, server, byClient, byServer } = leave(from)
    const step =
      byClient.steps.find(({ partial }) => partial + server === to) ??
      byServer.steps.find(({ partial }) => partial + client === to)
    return step?.name ?? 'no step'
  }
}

function digit(key: number, place: number, radix: number): number {
  return Math.floor(key / place) % radix
}

/** Follows the steps in depth; a step to a world on the path that led here closes a cycle. */
function findCycle(firstTarget: readonly number[], targets: readonly number[]): number | undefined {
  const next = Int32Array.from(firstTarget) // The step of each world to follow next.
  const onPath = new Uint8Array(firstTarget.length)
  const path = [0]
  for (let world = path.at(-1); world !== undefined; world = path.at(-1)) {
    onPath[world] = 1
    const step = next[world] ?? 0
    const target = targets[step]
    if (target === undefined || step === firstTarget[world + 1]) {
      onPath[world] = 0
      path.pop()
      continue
    }
    next[world] = step + 1
    if (onPath[target] === 1) return target
    if (next[target] === firstTarget[target]) path.push(target)
  }
  return undefined
}

/** Numbers values from 1 as they are met, equal ones alike. The digit 0 is left for `none`. */
class Numbering<T> {
  readonly #numbers = new Map<T | string, number>() // By the value itself, and by its JSON.
  readonly #items: T[] = []
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  number(item: T): number {
    const known = this.#numbers.get(item)
    if (known !== undefined) return known
    const json = JSON.stringify(item)
    const equal = this.#numbers.get(json)
    if (equal !== undefined) return equal
    const number = this.#items.push(item)
    if (number >= this.#limit) throw new RangeError(`more than ${this.#limit} of a kind: widen the digit`)
    this.#numbers.set(item, number)
    this.#numbers.set(json, number)
    return number
  }

  item(number: number): T {
    const item = this.#items[number - 1]
    if (item === undefined) throw new RangeError(`nothing has the number ${number}`)
    return item
  }
}

/** Numbers packed keys, of which there are many: a hash table with open addressing. */
class Keys {
  readonly #keys: number[] = []
  #slots = new Int32Array(2 ** 12) // The number of the key here, plus one; 0 is free.

  get size(): number {
    return this.#keys.length
  }

  key(number: number): number {
    return this.#keys[number] ?? 0
  }

  /** The number of a key; a new one gets the next. */
  number(key: number): number {
    const slot = this.#find(key)
    const known = this.#slots[slot] ?? 0
    if (known !== 0) return known - 1
    this.#slots[slot] = this.#keys.push(key)
    if (this.#keys.length * 2 > this.#slots.length) this.#grow()
    return this.#keys.length - 1
  }

  /** Where the key is, or is to be. */
  #find(key: number): number {
    const mixed = Math.imul(key, 0x9e3779b1) ^ Math.imul(key / 2 ** 32, 0x85ebca6b)
    let slot = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> (Math.clz32(this.#slots.length) + 1)
    for (;;) {
      const number = this.#slots[slot] ?? 0
      if (number === 0 || this.#keys[number - 1] === key) return slot
      slot = (slot + 1) & (this.#slots.length - 1)
    }
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2)
    for (const [number, key] of this.#keys.entries()) this.#slots[this.#find(key)] = number + 1
  }
}
