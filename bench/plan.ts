/**
 * How long each measurement takes, in ms of the contestant's CPU time, so that a busy machine gives no worse figures.
 * A contestant's code is still being compiled in its first round, which warms up for longer.
 */
export interface Plan {
  readonly rounds: number
  readonly firstWarmUp: number
  readonly warmUp: number
  readonly duration: number
  /** Connections of a round of handshakes, and of closings. */
  readonly handshakes: number
  readonly closings: number
  /** How many of a workload's connections are opened to be idle. */
  readonly idle: number
  /** How long latency is measured, in ms of the clock. */
  readonly latency: number
}

export const quickPlan: Plan = {
  rounds: 3,
  firstWarmUp: 200,
  warmUp: 20,
  duration: 70,
  handshakes: 500,
  closings: 50,
  idle: 0.2,
  latency: 1000,
}

export const fullPlan: Plan = {
  rounds: 5,
  firstWarmUp: 700,
  warmUp: 60,
  duration: 400,
  handshakes: 2000,
  closings: 200,
  idle: 1,
  latency: 2000,
}
