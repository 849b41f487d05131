/** An attack on one server from its start to its end, and what must hold whatever the attack is. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Opcode } from '../../frames/opcode.ts'
import { type Attacker, frame } from './attacker.ts'
import { Bystander } from './bystander.ts'
import { type Ledger, percentile } from './ledger.ts'
import { Target, type TargetOptions } from './target.ts'

/** `maxMessageSize` where the matrix says "limit". */
export const limit: number = 1024 * 1024

/** How long a server may take to forget its attackers. */
const patience = 60_000

/** Attacks a server of its own; `name` stands in front of what is noted. */
export async function besiege(
  ledger: Ledger,
  name: string,
  options: TargetOptions,
  attack: (target: Target) => Promise<void>,
): Promise<void> {
  const target = await Target.start({ maxMessageSize: limit, ...options })
  try {
    await withstand(ledger, name, target, options.manner === undefined && !ledger.quick, attack)
  } finally {
    await target.stop()
  }
}

async function withstand(
  ledger: Ledger,
  name: string,
  target: Target,
  watched: boolean,
  attack: (target: Target) => Promise<void>,
): Promise<void> {
  // What is compiled and opened once for all.
  const first = await target.attacker()
  await first.write(frame(Opcode.text, 'hello'))
  await first.flush()
  first.leave()
  const before = await settled(target)
  const bystander = watched ? await Bystander.enter(target.port) : undefined
  await attack(target)
  if (bystander !== undefined) {
    const echo = await bystander.leave()
    if (echo > 0) ledger.note(`${name}: echo of another peer, p99`, echo, 50, 'ms')
  }
  target.dismiss()
  const after = await settled(target, before)
  ledger.must(`${name}: nothing escaped`, after.escaped === 0)
  ledger.must(
    `${name}: no connection, descriptor or handle is left`,
    after.connections === 0 && holdsNoMore(after, before),
  )
}

/** How the server is when it has forgotten all connections and holds no more than before, or will not. */
export async function settled(target: Target, before?: Settled): Promise<Settled> {
  const until = performance.now() + patience
  for (;;) {
    const { escaped, connections, handles } = await target.report()
    const now = { escaped, connections, handles, descriptors: target.descriptors }
    if ((connections === 0 && holdsNoMore(now, before)) || performance.now() > until) return now
    await sleep(50)
  }
}

function holdsNoMore(now: Settled, before: Settled = now): boolean {
  return now.descriptors <= before.descriptors && now.handles <= before.handles
}

export interface Settled {
  readonly escaped: number
  readonly connections: number
  readonly handles: number
  readonly descriptors: number
}

/** Memory above what it was before the attack, in MB. */
export interface Growth {
  /** When the garbage has been collected, and the attackers are still there. */
  readonly held: number
  readonly peak: number
  /** The part of `held` that is in use, as the server tells: without what V8 and malloc keep for later. */
  readonly used: number
}

/** What one attack makes the server hold. */
export async function growth(target: Target, attack: () => Promise<void>): Promise<Growth> {
  const { heap } = await target.collect()
  const before = target.memory.now
  target.forgetPeak()
  await attack()
  const { peak } = target.memory
  const used = (await target.collect()).heap - heap
  return { held: (target.memory.now - before) / 1e6, peak: (peak - before) / 1e6, used: used / 1e6 }
}

/**
 * The median of several rounds, each with fresh attackers: what is due to the attack is in all of them, what V8 and the
 * allocator do once, or in their own time, is not. And the highest of the rounds, for memory that the allocator may keep
 * from the first round for the others.
 */
export async function usualGrowth(
  target: Target,
  enter: () => Promise<Attacker[]>,
  attack: (attackers: Attacker[]) => Promise<void>,
): Promise<Growth & { readonly highest: number }> {
  const rounds: Growth[] = []
  for (let round = 0; round < 7; round++) {
    const attackers = await enter()
    rounds.push(await growth(target, () => attack(attackers)))
    for (const attacker of attackers) attacker.leave()
    await settled(target)
  }
  const median = (figure: keyof Growth): number =>
    percentile(
      rounds.map((round) => round[figure]),
      0.5,
    )
  const highest = Math.max(...rounds.map(({ peak }) => peak))
  return { held: median('held'), peak: median('peak'), used: median('used'), highest }
}
