/** Draws what a soak has measured: one panel above the other, all over the same minutes. */

export interface Panel {
  readonly title: string
  readonly lines: readonly Line[]
}

export interface Line {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

const colours = ['#0969da', '#cf222e']
const width = 800
const panelHeight = 150
const left = 60
const right = 20
const top = 30
const bottom = 25

export function plotOf(title: string, panels: readonly Panel[]): string {
  const longest = Math.max(
    ...panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([x]) => x))),
  )
  const height = top + panels.length * panelHeight
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    label(left, 18, title, 'font-weight="bold"'),
    ...panels.flatMap((panel, at) => panelOf(panel, top + at * panelHeight, longest)),
    '</svg>',
    '',
  ].join('\n')
}

function panelOf({ title, lines }: Panel, y: number, longest: number): string[] {
  const highest = roundUp(Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value))))
  const inner = { width: width - left - right, height: panelHeight - top - bottom }
  const base = y + top + inner.height
  const place = ([x, value]: readonly [number, number]): string =>
    `${(left + (x / longest) * inner.width).toFixed(1)},${(base - (value / highest) * inner.height).toFixed(1)}`
  return [
    label(left, y + 18, title),
    `<path d="M${left} ${y + top}V${base}H${left + inner.width}" fill="none" stroke="#8c959f"/>`,
    label(left - 6, y + top + 4, String(highest), 'text-anchor="end"'),
    label(left - 6, base + 4, '0', 'text-anchor="end"'),
    label(left + inner.width, base + 16, `${longest.toFixed(longest < 10 ? 1 : 0)} min`, 'text-anchor="end"'),
    ...lines.flatMap(({ name, points }, at) => {
      const colour = colours[at % colours.length]
      return [
        `<polyline points="${points.map(place).join(' ')}" fill="none" stroke="${colour}"/>`,
        label(left + inner.width - 160 + 90 * at, y + 18, name, `fill="${colour}"`),
      ]
    }),
  ]
}

function label(x: number, y: number, text: string, more = ''): string {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x}" y="${y}"${more === '' ? '' : ` ${more}`}>${escaped}</text>`
}

/** To one or two figures. */
function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)))
  return Math.ceil((value / unit) * 2) * (unit / 2)
}
