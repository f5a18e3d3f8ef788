// What our clients say and hear where every listing has several pages: whole pulls, and the check.
import { CONNECTORS } from '../../producers/sources.ts'
import type { SimulatorOptions } from '../../simulator/simulator.ts'
import type { StreamName } from '../../simulator/truth.ts'
import { connectCortex, connectPrisma } from './connect.ts'
import { type Exchange, recordingProxy } from './recording-proxy.ts'
import { runSimulator } from './simulator.ts'
import { QUICK, type Settings, type Subject } from './sources.ts'
import { estateOf, streamNamed } from './stream-estate.ts'

/** Bytes of a page token that fits into no URL. */
const TOKEN_BYTES_MIN = 9_000
/** So few that every download is cut, and its CVEs and their assets are asked for instead. */
const DOWNLOAD_ROWS_MAX = 3

const ESTATES: Partial<Record<StreamName, Partial<SimulatorOptions>>> = {
  'cspm.vulnerabilities': {
    machines: 20,
    cspm: { downloadRowsMax: DOWNLOAD_ROWS_MAX, searchRowsMax: 2 },
  },
}
const SETTINGS: Partial<Record<StreamName, Settings>> = {
  'cspm.inventory': { enrichment: { budget: 5 } },
  'cspm.vulnerabilities': { overlap: 'keep', downloadRowsMax: DOWNLOAD_ROWS_MAX },
}

/** A whole pull of the stream, and whether the tenant has it. */
export async function recordPull(subject: Subject, settings: Settings = {}) {
  const stream = streamNamed(subject.stream)
  const estate = { ...estateOf(stream), ...ESTATES[stream] }
  const cspm = { tokenBytesMin: TOKEN_BYTES_MIN, ...estate.cspm }
  const simulator = await runSimulator({ ...estate, cspm })
  const prisma = await recordingProxy(simulator.prisma.url)
  const cortex = await recordingProxy(simulator.cortex[0].url)
  const through = { prisma: prisma.url, cortex: cortex.url }
  const opened = subject.open(simulator, through, { ...SETTINGS[stream], ...settings })
  await opened.available()
  const { end } = await opened.pull()
  const exchanges: readonly Exchange[] = [...prisma.exchanges, ...cortex.exchanges]
  return { end, exchanges }
}

/** The check of a connection of each vendor; the Cortex tenant has bought only a part. */
export async function recordChecks(): Promise<readonly Exchange[]> {
  const simulator = await runSimulator({
    machines: 40,
    cortexTenants: [{ licences: ['xdr', 'cloud'] }, {}],
  })
  const prisma = await recordingProxy(simulator.prisma.url)
  const cortex = await recordingProxy(simulator.cortex[0].url)
  const settings = { computeRequestsPer30s: 100_000, compute: { auth: 'authenticate' } }
  const reader = connectPrisma({ ...simulator.prisma, url: prisma.url }, settings, QUICK)
  const other = connectCortex({ ...simulator.cortex[0], url: cortex.url }, {}, QUICK)
  await CONNECTORS['prisma-cloud'].resolveTenant(reader.client)
  await CONNECTORS['prisma-cloud'].check(reader.client)
  await CONNECTORS.cortex.check(other.client)
  const signal = new AbortController().signal
  for (const source of CONNECTORS.cortex.sources) {
    await source.available?.(other.client, { signal, nowMs: Date.now, report: () => {} })
  }
  return [...prisma.exchanges, ...cortex.exchanges]
}
