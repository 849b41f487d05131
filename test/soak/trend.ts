/** A straight line through samples, and how sure its slope is. */

export interface Trend {
  /** Per unit of `x`. */
  readonly slope: number
  /** Half of the 95 % confidence interval of the slope. */
  readonly margin: number
  readonly mean: number
}

/** The least squares fit through at least three points; samples are taken to be independent of each other. */
export function trendOf(points: readonly (readonly [x: number, y: number])[]): Trend {
  const count = points.length
  if (count < 3) return { slope: NaN, margin: NaN, mean: NaN }
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count
  const mean = points.reduce((sum, [, y]) => sum + y, 0) / count
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - mean), 0) / spread
  const rest = points.reduce((sum, [x, y]) => sum + (y - mean - slope * (x - meanX)) ** 2, 0)
  const error = Math.sqrt(rest / (count - 2) / spread)
  return { slope, margin: quantile(count - 2) * error, mean }
}

/** The 97.5 % quantile of Student's t distribution, by the first terms of its expansion about the normal one. */
function quantile(freedom: number): number {
  const z = 1.959964
  const first = (z ** 3 + z) / 4
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96
  const third = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384
  return z + first / freedom + second / freedom ** 2 + third / freedom ** 3
}
