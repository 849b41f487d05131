/** Figures as people read them. */
export type Unit = 'microseconds' | 'milliseconds' | 'bytes' | 'count' | 'share' | 'ratio'

const KiB = 1024

export function format(value: number, unit: Unit): string {
  if (Number.isNaN(value)) return '–'
  switch (unit) {
    case 'microseconds':
      return value >= 10_000 ? `${digits(value / 1000)} ms` : `${digits(value)} µs`
    case 'milliseconds':
      return `${digits(value)} ms`
    case 'bytes':
      return Math.abs(value) < KiB * KiB ? `${digits(value / KiB)} KiB` : `${digits(value / KiB / KiB)} MiB`
    case 'count':
      return value >= 100 ? Math.round(value).toLocaleString('en') : digits(value)
    case 'share':
      return `${Math.round(100 * value)} %`
    case 'ratio':
      return value.toFixed(2)
  }
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
