/** Texts to compress: JSON as services send it, with names that come again and values that do not. */

const words = ['amber', 'birch', 'cedar', 'delta', 'ember', 'fjord', 'grove', 'heron', 'inlet', 'jetty']

/** Two texts of the same size differ in their values. ASCII, of exactly `size` bytes, at least 40. */
export function jsonText(size: number, seed: number): string {
  const next = randomFrom(seed)
  let items = ''
  while (items.length < size) {
    const name = `${words[next(10)] ?? ''}-${words[next(10)] ?? ''}`
    const at = 1_700_000_000_000 + next(10_000_000_000)
    const price = next(1_000_000) / 100
    items += `{"id":${next(1_000_000)},"name":"${name}","price":${price},"at":${at},"open":${next(2) === 0}},`
  }
  const head = `{"n":${seed % 1000},"items":[`
  // What does not fit becomes a note that fills the rest.
  const room = size - head.length - '],"note":""}'.length
  const cut = items.lastIndexOf('},', room - 1) + 1
  return `${head}${items.slice(0, cut)}],"note":"${hex(room - cut, next)}"}`
}

function hex(length: number, next: (below: number) => number): string {
  return Array.from({ length }, () => next(16).toString(16)).join('')
}

/** The same numbers for the same seed: the generator of Park and Miller. */
function randomFrom(seed: number): (below: number) => number {
  let state = (seed % 2_147_483_646) + 1
  return (below) => {
    state = (state * 48_271) % 2_147_483_647
    return state % below
  }
}
