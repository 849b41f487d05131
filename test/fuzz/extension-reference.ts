/**
 * Sec-WebSocket-Extensions once more, from the RFCs and without a line of lib/: the grammar of RFC 6455 section 9.1
 * read character by character, and what RFC 7692 section 7.1 says of offers and answers. Where it differs from the real
 * one, one of the two is wrong.
 */

export interface Element {
  readonly name: string
  readonly parameters: readonly (readonly [name: string, value: string | null])[]
}

export interface Terms {
  readonly serverNoContextTakeover: boolean
  readonly clientNoContextTakeover: boolean
  readonly serverMaxWindowBits: number
  readonly clientMaxWindowBits: number
}

/** The elements, at least one; undefined for what the grammar does not have. */
export function readExtensions(value: string): Element[] | undefined {
  const elements: Element[] = []
  let at = 0
  const space = (): void => {
    while (value[at] === ' ' || value[at] === '\t') at++
  }
  const takes = (character: string): boolean => {
    if (value[at] !== character) return false
    at++
    space()
    return true
  }
  const token = (): string => {
    const start = at
    while (at < value.length && isTokenCharacter(value.charCodeAt(at))) at++
    const found = value.slice(start, at)
    space()
    return found
  }
  const quoted = (): string => {
    let found = ''
    for (at++; at < value.length; at++) {
      if (value[at] === '"') {
        at++
        space()
        return found
      }
      if (value[at] === '\\') at++
      found += value[at] ?? ''
    }
    return '' // It does not end.
  }
  // 9.1: what is quoted must be a token all the same.
  const isToken = (text: string): boolean =>
    text !== '' && text.split('').every((character) => isTokenCharacter(character.charCodeAt(0)))

  space()
  while (at < value.length) {
    if (takes(',')) continue
    const name = token()
    if (name === '') return undefined
    const parameters: (readonly [string, string | null])[] = []
    while (takes(';')) {
      const parameter = token()
      if (parameter === '') return undefined
      const given = takes('=') ? (value[at] === '"' ? quoted() : token()) : null
      if (given !== null && !isToken(given)) return undefined
      parameters.push([parameter, given])
    }
    if (at < value.length && !takes(',')) return undefined
    elements.push({ name, parameters })
  }
  return elements.length === 0 ? undefined : elements
}

/** RFC 9110 section 5.6.2: any visible character of ASCII but the delimiters. */
function isTokenCharacter(code: number): boolean {
  return code > 0x20 && code < 0x7f && !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(code))
}

/** What a server with that policy agrees to: the first offer that is one. */
export function agreeTo(offers: readonly Element[], policy: Terms): Terms | undefined {
  const offer = offers.filter(({ name }) => name === 'permessage-deflate').find((each) => isLegal(each, true))
  if (offer === undefined) return undefined
  const asked = valueOf(offer, 'server_max_window_bits') ?? 15
  // Without the parameter the client knows of no such thing, bare it takes any value.
  const can = has(offer, 'client_max_window_bits')
  const client = Math.min(valueOf(offer, 'client_max_window_bits') ?? 15, policy.clientMaxWindowBits)
  return {
    serverNoContextTakeover: has(offer, 'server_no_context_takeover') || policy.serverNoContextTakeover,
    clientNoContextTakeover: has(offer, 'client_no_context_takeover') || policy.clientNoContextTakeover,
    serverMaxWindowBits: Math.min(asked, policy.serverMaxWindowBits),
    clientMaxWindowBits: can ? client : 15,
  }
}

/** What a client that made that offer takes from the answer; undefined where it must fail the connection. */
export function takeAnswer(offer: Element, answer: Element): Terms | undefined {
  if (answer.name !== 'permessage-deflate' || !isLegal(offer, true) || !isLegal(answer, false))
    return undefined
  const [server, askedServer] = [answer, offer].map((each) => valueOf(each, 'server_max_window_bits'))
  const [client, askedClient] = [answer, offer].map((each) => valueOf(each, 'client_max_window_bits'))
  const broken = [
    has(offer, 'server_no_context_takeover') && !has(answer, 'server_no_context_takeover'),
    askedServer !== undefined && !(server !== undefined && server <= askedServer),
    client !== undefined && !has(offer, 'client_max_window_bits'),
    client !== undefined && askedClient !== undefined && client > askedClient,
  ]
  if (broken.includes(true)) return undefined
  return {
    serverNoContextTakeover: has(answer, 'server_no_context_takeover'),
    clientNoContextTakeover: [answer, offer].some((each) => has(each, 'client_no_context_takeover')),
    serverMaxWindowBits: server ?? 15,
    clientMaxWindowBits: Math.min(client ?? 15, askedClient ?? 15),
  }
}

const windowBits: ReadonlySet<string | null> = new Set(['8', '9', '10', '11', '12', '13', '14', '15'])

/** 7.1.1 and 7.1.2; only in an offer may client_max_window_bits be bare. */
function isLegal({ parameters }: Element, offered: boolean): boolean {
  return parameters.every(([name, value], index) => {
    if (parameters.findIndex(([other]) => other === name) !== index) return false
    if (name === 'server_no_context_takeover' || name === 'client_no_context_takeover') return value === null
    if (name === 'client_max_window_bits' && offered && value === null) return true
    return /^(?:client|server)_max_window_bits$/.test(name) && windowBits.has(value)
  })
}

function has({ parameters }: Element, wanted: string): boolean {
  return parameters.some(([name]) => name === wanted)
}

function valueOf({ parameters }: Element, wanted: string): number | undefined {
  const value = parameters.find(([name]) => name === wanted)?.[1] ?? undefined
  return value === undefined ? undefined : Number(value)
}
