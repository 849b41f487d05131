/** Straight lines through what was measured. */

/** The line through the points by least squares, the standard error of its slope, and how well it fits: r². */
export function fit(points: readonly (readonly [x: number, y: number])[]): {
  slope: number
  error: number
  r2: number
} {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const meanX = mean(points.map(([x]) => x))
  const meanY = mean(points.map(([, y]) => y))
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread
  const residue = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0)
  const variance = points.reduce((sum, [, y]) => sum + (y - meanY) ** 2, 0)
  return { slope, error: Math.sqrt(residue / (points.length - 2) / spread), r2: 1 - residue / variance }
}
