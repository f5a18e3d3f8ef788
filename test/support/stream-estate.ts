// Simulated estates small enough for tests, yet with several pages of the stream to be read.
import type { FindingsBehaviour } from '../../simulator/cortex/xql-behaviour.ts'
import { factsOfStream } from '../../simulator/scenario-streams.ts'
import type { Simulator, SimulatorOptions } from '../../simulator/simulator.ts'
import { STREAMS, type StreamName } from '../../simulator/truth.ts'

/** Machines that make three pages where the size of a page cannot be chosen. */
const MACHINES: Partial<Record<StreamName, number>> = {
  'xdr.endpoints': 700,
  'cloud.assets': 6_500,
  'xdr.incidents': 1_500,
  'compute.vms': 900,
}

/** What tenants have that are read by the older streams. */
const OLDER_TENANTS: Partial<Record<StreamName, Partial<FindingsBehaviour>>> = {
  'xdr.findings': { datasets: ['va_endpoints', 'va_cves'] },
  'xdr.incidents': { issues: 'absent' },
}

/** Three pages of the listing at least; findings then come as a stream. */
export const estateOf = (stream: StreamName): SimulatorOptions => ({
  seed: 3,
  machines: MACHINES[stream] ?? 260,
  pageLimits: { xqlInline: 50, computeHosts: 8 },
  // Pages by token have five hundred rows: too many for an estate of this size.
  cortexTenants: [{ pageRowsMax: 20 }, {}],
  cortexFindings: [OLDER_TENANTS[stream] ?? {}, {}],
  cspm: { configRowsMax: 5, scanRowsMax: 10 },
  rateLimits: false,
})

/** Calls so far to the endpoint that gives the rows of the stream, of the first tenant. */
export function rowCallsOf(simulator: Simulator, stream: StreamName): number {
  const { vendor, rows } = factsOfStream(stream)
  const site = simulator.stats().sites.find((one) => one.vendor === vendor)
  return site?.endpoints[rows]?.requests ?? 0
}

/** @throws Error for a stream that the simulator does not have */
export function streamNamed(name: string): StreamName {
  const found = STREAMS.find((stream) => stream === name)
  if (found === undefined) throw new Error(`the simulator has no ${name}`)
  return found
}
