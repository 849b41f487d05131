/** Runs the suite with a program of `programs/`, as a client and as a server. */
import type { Test } from 'tap'
import { absent } from './absent.ts'
import { makeCertificate } from './listening.ts'
import { type Command, type Kind, Program } from './process-peer.ts'
import { everyWay } from './ways.ts'

export interface Foreign {
  readonly title: string
  /** How to run it, or why it cannot be run here. */
  readonly command: (folder: string) => Command | string
  readonly client: Kind
  readonly server: Kind
}

export async function meetForeign(t: Test, { title, command, client, server }: Foreign): Promise<void> {
  const folder = t.testdir()
  const certificate = makeCertificate(folder)
  const found = command(folder)
  if (typeof found === 'string') return absent(t, title, found)
  const program = await Program.start(t, found, folder)
  await everyWay(t, { client: program.client(client), server: program.server(server) }, certificate)
}
