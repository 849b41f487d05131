/** The field syntax that the handshake needs: tokens and lists of RFC 9110, extensions of RFC 6455 section 4.3. */

/** One element of Sec-WebSocket-Extensions. */
export interface Extension {
  readonly name: string
  /** In the order given, repeated names included; null where there is no value. */
  readonly parameters: readonly (readonly [name: string, value: string | null])[]
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** RFC 9110 section 5.6.2. */
export function isToken(text: string): boolean {
  return token.test(text)
}

/** True when `value` may stand in a header: one byte a character, no CR, LF, NUL or other control (RFC 9110 section 5.5). */
export function isFieldValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value)
}

/** Lower case for A to Z only, so that no Unicode letter folds into ASCII (RFC 6455 section 2). */
export function lowerAscii(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text.toLowerCase()
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/**
 * Reads a comma list of tokens; undefined when an element is none. Empty elements are skipped (RFC 9110 section
 * 5.6.1), so the list may come out empty.
 */
export function parseTokens(value: string): string[] | undefined {
  const tokens: string[] = []
  for (const element of value.split(',')) {
    const trimmed = trim(element)
    if (trimmed === '') continue
    if (!isToken(trimmed)) return undefined
    tokens.push(trimmed)
  }
  return tokens
}

/** Reads Sec-WebSocket-Extensions; undefined when it breaks the grammar or names none (RFC 6455 sections 4.3 and 9.1). */
export function parseExtensions(value: string): Extension[] | undefined {
  const extensions: Extension[] = []
  // Quotes protect no comma or semicolon, since a quoted value must be a token too (section 9.1): either way it is malformed.
  for (const element of value.split(',')) {
    if (trim(element) === '') continue
    const [name = '', ...parameters] = element.split(';').map(trim)
    if (!isToken(name)) return undefined
    const parsed: (readonly [string, string | null])[] = []
    for (const parameter of parameters) {
      const pair = parseParameter(parameter)
      if (pair === undefined) return undefined
      parsed.push(pair)
    }
    extensions.push({ name, parameters: parsed })
  }
  return extensions.length === 0 ? undefined : extensions
}

/** Writes what `parseExtensions` reads. */
export function formatExtensions(extensions: readonly Extension[]): string {
  return extensions
    .map(({ name, parameters }) =>
      [name, ...parameters.map(([key, value]) => (value === null ? key : `${key}=${value}`))].join('; '),
    )
    .join(', ')
}

function parseParameter(parameter: string): readonly [string, string | null] | undefined {
  const equals = parameter.indexOf('=')
  if (equals < 0) return isToken(parameter) ? [parameter, null] : undefined
  const name = trim(parameter.slice(0, equals))
  const value = unquote(trim(parameter.slice(equals + 1)))
  return isToken(name) && isToken(value) ? [name, value] : undefined
}

/** What a quoted string stands for (RFC 9110 section 5.6.4). What is not one, or is broken, comes back as it is: no token. */
function unquote(value: string): string {
  return /^"(?:[^"\\]|\\.)*"$/s.test(value) ? value.slice(1, -1).replace(/\\(.)/gs, '$1') : value
}

/** Without the white space around it, which in a header is space and tab only (RFC 9110 section 5.6.3). */
export function trim(text: string): string {
  let start = 0
  let end = text.length
  while (text[start] === ' ' || text[start] === '\t') start++
  while (end > start && (text[end - 1] === ' ' || text[end - 1] === '\t')) end--
  return text.slice(start, end)
}

/** Headers by name; a list of values is sent as a line for each. */
export type Headers = Readonly<Record<string, string | readonly string[]>>

/** @throws TypeError for a name or value that must not be written, so that no header can be smuggled in (RFC 9110 5.5) */
export function checkHeaders(option: string, headers: Headers, reserved: ReadonlySet<string>): void {
  // A Headers of fetch or a Map has no properties of its own: it would pass for none.
  if (typeof headers !== 'object' || headers === null || Symbol.iterator in headers)
    throw new TypeError(`option "${option}" must be an object, with the names for keys`)
  for (const [name, value] of Object.entries(headers)) {
    if (!isToken(name))
      throw new TypeError(
        `option "${option}" holds the name ${JSON.stringify(name)}, which is no token (RFC 9110 5.1)`,
      )
    if (reserved.has(lowerAscii(name)))
      throw new TypeError(`option "${option}" must not hold "${name}": the handshake writes it`)
    for (const each of Array.isArray(value) ? value : [value]) {
      if (typeof each !== 'string' || !isFieldValue(each)) {
        throw new TypeError(
          `option "${option}" holds a value for "${name}" that no header may hold (RFC 9110 5.5)`,
        )
      }
    }
  }
}
