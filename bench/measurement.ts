// What every benchmark gets, and what it yields.
import type { RunningStack } from '../stack/stack.ts'

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
/** Where the servers are; empty is the address of one that the benchmark does not name. */
export type Servers = Pick<RunningStack, 'brokers' | 'registryUrl' | 'postgresUrl' | 'how'>
/** `args`: what stands behind its name on the command line. */
export type Benchmark = (servers: Servers, args: readonly string[]) => Promise<Measurement[]>
