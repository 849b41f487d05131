/** Questions and answers. Who stops waiting for an answer loses nothing: it is there at the next `receive()`. */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, WebSocketServer } from '../lib/index.ts'

const port = Number(process.env['PORT'] ?? 8082)

const server = new WebSocketServer({ port })
server.on('connection', async (connection) => {
  for await (const question of connection) {
    await sleep(question.includes('slow') ? 300 : 0)
    connection.send(`${String(question)}, answered`)
  }
})

const connection = await connect(`ws://localhost:${port}`)
let lastNumber = 0

/** One question at a time. The number in front tells its answer from a late one to an earlier question. */
async function ask(question: string, signal: AbortSignal): Promise<string> {
  const number = `${++lastNumber} `
  connection.send(number + question)
  for (;;) {
    const answer = String(await connection.receive({ signal }))
    if (answer.startsWith(number)) return answer
    console.log(`late, not lost: ${answer}`)
  }
}

const tooSoon = AbortSignal.timeout(50)
await ask('slow question', tooSoon).catch((error: unknown) => {
  if (!tooSoon.aborted) throw error
  console.log('no answer within 50 ms, and the connection lives on')
})
console.log(await ask('quick question', AbortSignal.timeout(5000)))

await connection.close(1000, 'Thank you')
await server.close()
