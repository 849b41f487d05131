import t from 'tap'
import { isControl, Opcode } from '../../frames/opcode.ts'

await t.test('6455-11.8-opcodes: the six opcodes that are registered', async (t) => {
  t.same(Opcode, { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 })
})

await t.test('RFC 6455 5.5: control opcodes have the top bit set, the reserved ones included', async (t) => {
  const control = Array.from({ length: 16 }, (_, opcode) => isControl(opcode))
  t.same(control, [...Array<boolean>(8).fill(false), ...Array<boolean>(8).fill(true)])
})
