// What every benchmark yields.

/** One measurement of a benchmark. */
export type Measurement = {
  readonly what: string
  readonly records: number
  readonly seconds: number
  readonly recordsPerSecond: number
  /** User and system time of the measuring process. */
  readonly cpuSeconds: number
  readonly peakRssBytes: number
}
/** `args`: what stands behind its name on the command line. */
export type Benchmark = (
  brokers: readonly string[],
  args: readonly string[],
) => Promise<Measurement[]>
