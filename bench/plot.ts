/** Bars as an SVG picture, which is readable on a light and on a dark page. */

export interface Bar {
  readonly name: string
  readonly value: number
  /** The value as people read it. */
  readonly text: string
  /** Ours, a limit, or a peer. */
  readonly rank: 'own' | 'limit' | 'peer'
}

export interface Panel {
  readonly title: string
  readonly subtitle: string
  readonly bars: readonly Bar[]
}

const columns = 3
const panelWidth = 340
const gap = 24
const headHeight = 44
const rowHeight = 19
const nameWidth = 118
const textWidth = 66
const barWidth = panelWidth - nameWidth - textWidth
/** A bar that is so many times as long as ours is cut, so that the short ones can be compared. */
const longest = 4

const style = `
  text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 13px }
  .quiet { fill: #59636e; font-size: 11px }
  .own { fill: #0969da } .limit { fill: #afb8c1 } .peer { fill: #d4a72c }
  text.own { fill: #0969da; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .quiet { fill: #9198a1 }
    .own { fill: #4493f8 } .limit { fill: #656c76 } .peer { fill: #9e6a03 }
    text.own { fill: #4493f8 }
  }
`

export function plotOf(panels: readonly Panel[], caption: readonly string[]): string {
  const rows = Array.from({ length: Math.ceil(panels.length / columns) }, (_, row) =>
    panels.slice(row * columns, (row + 1) * columns),
  )
  const parts: string[] = []
  let top = gap
  for (const row of rows) {
    row.forEach((panel, column) => {
      parts.push(`<g transform="translate(${gap + column * (panelWidth + gap)} ${top})">${drawn(panel)}</g>`)
    })
    top += headHeight + rowHeight * Math.max(...row.map(({ bars }) => bars.length)) + gap
  }
  for (const line of caption) {
    parts.push(`<text class="quiet" x="${gap}" y="${top}">${escaped(line)}</text>`)
    top += rowHeight
  }
  const width = gap + columns * (panelWidth + gap)
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" width="${width}" height="${top}">\n` +
    `<style>${style}</style>\n${parts.join('\n')}\n</svg>\n`
  )
}

function drawn({ title, subtitle, bars }: Panel): string {
  const own = bars.find(({ rank }) => rank === 'own')?.value ?? Infinity
  const scale = Math.min(longest * own, Math.max(...bars.map(({ value }) => value)))
  const rows = bars.map(({ name, value, text, rank }, at) => {
    const y = headHeight + at * rowHeight
    const width = (Math.max(0, Math.min(value, scale)) / scale) * barWidth
    // What is cut ends in a point.
    const point =
      value > scale ? ` l8 ${(rowHeight - 6) / 2} l-8 ${(rowHeight - 6) / 2}` : ` v${rowHeight - 6}`
    const bar = `M${nameWidth} ${y} h${round(width - (value > scale ? 8 : 0))}${point} H${nameWidth} z`
    const middle = y + rowHeight / 2 + 1
    const label = `<text${rank === 'own' ? ' class="own"' : ''} x="${nameWidth - 8}" y="${middle}" text-anchor="end">${escaped(name)}</text>`
    const end = `<text class="quiet" x="${round(nameWidth + width + 6)}" y="${middle}">${escaped(text)}</text>`
    return `${label}<path class="${rank}" d="${bar}"/>${end}`
  })
  return (
    `<text class="title" y="12">${escaped(title)}</text><text class="quiet" y="29">${escaped(subtitle)}</text>` +
    rows.join('')
  )
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
