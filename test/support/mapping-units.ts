// Raw records of every stream for the test of the mapping: the simulator's listings in all their
// forms, and samples where there are some.
import { readFileSync } from 'node:fs'
import { parse } from 'csv-parse/sync'
import type { Chunk, Source, Unit } from '../../contracts/ports.ts'
import { CONNECTORS } from '../../producers/sources.ts'
import type { SimulatorOptions } from '../../simulator/simulator.ts'
import { connectCortex, connectPrisma, pullAll } from './connect.ts'
import { sampleJson, samplePath, samplesPresent } from './samples.ts'
import { runSimulator } from './simulator.ts'
import { QUICK } from './sources.ts'

/** One raw record as JSON. */
export type MappedUnit = {
  readonly stream: string
  readonly assetNativeId: string
  readonly json: unknown
  /** The path that gave it, where the simulator did. */
  readonly endpoint: string | null
  /** Written for this test: never left out. */
  readonly isMadeUp: boolean
}

const MACHINES = 30
const RATES = { computeRequestsPer30s: 100_000 }

type Settings = Readonly<Record<string, unknown>>
type Variant = {
  readonly options: Partial<SimulatorOptions>
  readonly settings: Settings
  /** Empty: all of the vendor. */
  readonly streams: readonly string[]
}

const PRISMA_VARIANTS: readonly Variant[] = [
  { options: {}, settings: { overlap: 'keep', enrichment: { budget: 1_000 } }, streams: [] },
  {
    options: { cspm: { downloadRowsMax: 3 } },
    settings: { overlap: 'keep', downloadRowsMax: 3 },
    streams: ['cspm.vulnerabilities'],
  },
]
const both = <T>(one: T): readonly [T, T] => [one, one]
const CORTEX_VARIANTS: readonly Variant[] = [
  { options: {}, settings: { issues: 'always' }, streams: [] },
  {
    options: {
      assetDialect: 'spec',
      cortexTenants: both({ xpanseDialect: 'live' }),
      cortexFindings: both({ datasets: ['uvm_findings'], issues: 'spec' }),
    },
    settings: { issues: 'always' },
    streams: ['cloud.assets', 'cloud.findings', 'cloud.issues', 'xpanse.assets'],
  },
  {
    options: { cortexFindings: both({ datasets: ['va_endpoints', 'va_cves'], issues: 'absent' }) },
    settings: {},
    streams: ['xdr.findings', 'xdr.incidents'],
  },
]

/** What the simulated vendors tell, through HTTP and the sources. */
export async function simulatedUnits(): Promise<MappedUnit[]> {
  const units: MappedUnit[] = []
  for (const { options, settings, streams } of PRISMA_VARIANTS) {
    const { prisma } = await runSimulator({ seed: 11, machines: MACHINES, ...options })
    const { client } = connectPrisma(prisma, { ...RATES, ...settings }, QUICK)
    for (const source of chosen(CONNECTORS['prisma-cloud'].sources, streams)) {
      const pulled = await pullAll(source, client)
      units.push(...mappedUnits(source.stream, pulled.chunks))
    }
  }
  for (const { options, settings, streams } of CORTEX_VARIANTS) {
    const { cortex } = await runSimulator({ seed: 11, machines: MACHINES, ...options })
    const { client } = connectCortex(cortex[0], { tenant: cortex[0].tenant, ...settings }, QUICK)
    for (const source of chosen(CONNECTORS.cortex.sources, streams)) {
      const pulled = await pullAll(source, client)
      units.push(...mappedUnits(source.stream, pulled.chunks))
    }
  }
  return units
}

const chosen = <C>(sources: readonly Source<C, unknown>[], streams: readonly string[]) =>
  sources.filter(({ stream }) => streams.length === 0 || streams.includes(stream))

const mappedUnits = (stream: string, chunks: readonly Chunk<unknown>[]): MappedUnit[] =>
  chunks.flatMap(({ endpoint, units }) => units.map((unit) => mappedUnit(stream, endpoint, unit)))

function mappedUnit(stream: string, endpoint: string, unit: Unit): MappedUnit {
  const { assetNativeId, body, columns } = unit
  const text = body?.toString() ?? ''
  const json: unknown = columns === null ? JSON.parse(text) : csvRows(`${columns}\n${text}\n`)[0]
  return { stream, assetNativeId, json, endpoint, isMadeUp: false }
}

const csvRows = (text: string): unknown[] => parse(text, { columns: true, bom: true })

type Json = Readonly<Record<string, unknown>>
type Read = () => readonly unknown[]
const COMPUTE = 'prisma-cloud/compute'

/** The elements at a path of a sample; a single one stands for a list of one. */
const sampled =
  (file: string, ...path: string[]): Read =>
  () => {
    const found = path.reduce<unknown>((value, key) => (value as Json)[key], sampleJson(file))
    return Array.isArray(found) ? (found as unknown[]) : [found]
  }
const constructed = (...path: string[]) => sampled('cortex/constructed/rows.json', ...path)
const lines =
  (file: string): Read =>
  () =>
    readFileSync(samplePath(file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)

const SAMPLES: readonly (readonly [stream: string, read: Read])[] = [
  ['compute.hosts', sampled(`${COMPUTE}/hosts.recorded-23.01.735.json`)],
  ['compute.hosts', sampled(`${COMPUTE}/hosts.windows-no-vulnerabilities-key.json`)],
  ['compute.images', sampled(`${COMPUTE}/images.recorded-23.01.735.0.json`)],
  ['compute.images', sampled(`${COMPUTE}/images.debian9-appembedded.json`)],
  ['compute.containers', sampled(`${COMPUTE}/containers.demisto.0.json`)],
  ['compute.containers', sampled(`${COMPUTE}/containers.gke.json`)],
  ['compute.containers', sampled(`${COMPUTE}/containers.recorded-23.01.735.0.json`)],
  ['cspm.config', sampled('prisma-cloud/cspm/search_config.item.cloudtrail.json')],
  ['cspm.inventory', sampled('prisma-cloud/cspm/scan_info.resources.json')],
  [
    'cspm.vulnerabilities',
    () => csvRows(readFileSync(samplePath('prisma-cloud/cspm/uve_download.csv'), 'utf8')),
  ],
  ['xdr.endpoints', sampled('cortex/xdr.get_endpoint.reply.json', 'reply', 'endpoints')],
  ['cloud.assets', constructed('asset_inventory')],
  ['cloud.assets', constructed('assets_live_wire')],
  ['cloud.findings', constructed('findings')],
  ['cloud.findings', constructed('uvm_findings')],
  ['cloud.issues', constructed('issues_live_wire', 'reply', 'DATA')],
  [
    'xdr.findings',
    () =>
      constructed('va_endpoints')().map((endpoint) => ({
        endpoint,
        cves: constructed('va_cves')(),
      })),
  ],
  [
    'xdr.incidents',
    () => lines('cortex/xdr.incidents.ndjson')().map((incident) => ({ incident, extra: null })),
  ],
  [
    'xpanse.assets',
    sampled(
      'cortex/xpanse.get_assets_internet_exposure.reply.json',
      'reply',
      'assets_internet_exposure',
    ),
  ],
  [
    'cloud.vulnerabilities',
    sampled('cortex/uvem.get_vulnerabilities.reply.json', 'reply', 'vulnerabilities'),
  ],
]

/** Recorded and constructed answers; none where the samples are not there. */
export const sampleUnits = (): MappedUnit[] =>
  samplesPresent
    ? SAMPLES.flatMap(([stream, read]) =>
        read().map((json) => ({
          stream,
          assetNativeId: 'asset-1',
          json,
          endpoint: null,
          isMadeUp: false,
        })),
      )
    : []
