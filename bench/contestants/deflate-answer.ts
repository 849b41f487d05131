/** What a server with permessage-deflate answers, from its arguments: direction, size, takeover. */
import { messagesOf } from '../deflate-workload.ts'

export interface Answerer {
  readonly answer: (message: string) => string
  readonly takeover: boolean
}

export function answerer([direction, size, takeover]: readonly string[]): Answerer {
  return { answer: answerTo(direction, Number(size)), takeover: takeover === 'true' }
}

function answerTo(direction = '', size: number): (message: string) => string {
  switch (direction) {
    case 'echo':
      return (message) => message
    case 'receive':
      return (message) => `${message.length}`
    case 'send': {
      const messages = messagesOf(size)
      let next = 0
      return () => messages[next++ % messages.length] ?? ''
    }
    default:
      throw new Error(`unknown direction ${direction}`)
  }
}
