import t from 'tap'
import { CloseCode, isWireCloseCode } from '../../frames/close-code.ts'
import { vectors } from '../vectors/vectors.ts'

await t.test('closeCodes of the vectors: what may be received may be sent', async (t) => {
  for (const { code, receive, send } of vectors.closeCodes) {
    t.equal(isWireCloseCode(code), receive === 1, `receive ${code}`)
    t.equal(isWireCloseCode(code), send === 1, `send ${code}`)
  }
})

const titles: Record<string, [codes: number[], legal: boolean]> = {
  '6455-7.4.1-defined-codes': [[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011], true],
  'iana-close-codes-1012-1014': [[1012, 1013, 1014], true],
  '6455-7.4.1-reserved-1004': [[1004], false],
  '6455-7.4.1-reserved-1005': [[1005], false],
  '6455-7.4.1-reserved-1006': [[1006], false],
  '6455-7.4.1-reserved-1015': [[1015], false],
  '6455-7.4.2-range-0-999': [range(0, 999), false],
  '6455-7.4.2-range-1000-2999': [range(1016, 2999), false],
  '6455-7.4.2-range-3000': [range(3000, 3999), true],
  '6455-7.4.2-range-4000': [range(4000, 4999), true],
  '6455-7.4.2-above-4999': [range(5000, 65535), false],
}

const seen = new Set<number>()
for (const [title, [codes, legal]] of Object.entries(titles)) {
  await t.test(`${title}: ${legal ? 'may' : 'must not'} stand in a Close frame`, async (t) => {
    const wrong = codes.filter((code) => isWireCloseCode(code) !== legal)
    t.same(wrong, [])
    for (const code of codes) seen.add(code)
  })
}

await t.test('RFC 6455 7.4: every 16-bit code was judged above', async (t) => {
  t.equal(seen.size, 65536)
})

await t.test('RFC 6455 5.5.1: what is no 16-bit integer is no close code', async (t) => {
  for (const code of [
    -1,
    -1000,
    1000.5,
    3000.5,
    4999.5,
    65536,
    2 ** 32 + 1000,
    Number.NaN,
    Infinity,
    -Infinity,
  ]) {
    t.equal(isWireCloseCode(code), false, String(code))
  }
})

await t.test('RFC 6455 7.4.1 and IANA: the names', async (t) => {
  t.same(CloseCode, {
    normal: 1000,
    goingAway: 1001,
    protocolError: 1002,
    unsupportedData: 1003,
    noStatus: 1005,
    abnormal: 1006,
    invalidData: 1007,
    policyViolation: 1008,
    messageTooBig: 1009,
    mandatoryExtension: 1010,
    internalError: 1011,
    serviceRestart: 1012,
    tryAgainLater: 1013,
    badGateway: 1014,
    tlsHandshake: 1015,
  })
})

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
