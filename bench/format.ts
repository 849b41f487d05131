/** Figures as people read them. */
const KiB = 1024

const formats = {
  microseconds: (value: number) => (value >= 10_000 ? `${digits(value / 1000)} ms` : `${digits(value)} µs`),
  milliseconds: (value: number) => `${digits(value)} ms`,
  bytes: (value: number) =>
    Math.abs(value) < KiB * KiB ? `${digits(value / KiB)} KiB` : `${digits(value / KiB / KiB)} MiB`,
  count: digits,
  share: (value: number) => `${Math.round(100 * value)} %`,
  ratio: (value: number) => value.toFixed(2),
} as const

export type Unit = keyof typeof formats

export function format(value: number, unit: Unit): string {
  return Number.isNaN(value) ? '–' : formats[unit](value)
}

/** Three of them at least, none behind the point from 100 on. */
function digits(value: number): string {
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}

/** A table in Markdown. The first columns, as many as named, are text. */
export function markdownTable(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  textColumns: number,
): string {
  const rules = heads.map((_, at) => (at < textColumns ? '---' : '--:'))
  return [heads, rules, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
