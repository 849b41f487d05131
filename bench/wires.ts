/** Connections of the load with a contestant, each just behind its handshake. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { ContestantProcess } from './contestant.ts'
import { host, portOf } from './contestants/host.ts'
import { Wire } from './wire.ts'

/** How many are opened at a time, so that no server has to queue them. */
const atATime = 64

/** To a server. */
export async function openWires(
  { contestant, port }: ContestantProcess,
  count: number,
  each: (wire: Wire) => Promise<void> = async () => {},
): Promise<Wire[]> {
  async function open(): Promise<Wire> {
    const wire = await Wire.connect(host, port)
    if (contestant.upgrades) await wire.upgrade()
    await each(wire)
    return wire
  }
  const wires: Wire[] = []
  while (wires.length < count) {
    const some = Math.min(atATime, count - wires.length)
    wires.push(...(await Promise.all(Array.from({ length: some }, open))))
  }
  return wires
}

/** From a client, which is told to connect. It may wait for one handshake before it begins the next (RFC 6455 4.1). */
export async function acceptWires(client: ContestantProcess, count: number): Promise<Wire[]> {
  const server = createServer({ noDelay: true })
  server.listen(0, host)
  await once(server, 'listening')
  const accepted: Promise<Wire>[] = []
  const all = new Promise<void>((resolve) => {
    server.on('connection', (socket) => {
      if (accepted.push(accept(socket)) === count) resolve()
    })
  })
  client.connect(portOf(server.address()), count)
  await all
  server.close()
  return Promise.all(accepted)
}

async function accept(socket: Socket): Promise<Wire> {
  const wire = Wire.over(socket)
  await wire.accept()
  return wire
}

export async function closeWires(wires: readonly Wire[]): Promise<void> {
  await Promise.all(wires.map((wire) => wire.close()))
}
