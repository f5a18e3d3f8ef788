// Which parts of the vulnerabilities of CSPM are downloaded by themselves, and their queries.
import { PipelineError } from '../../contracts/errors.ts'
import type { PrismaCloudClient } from './client.ts'
import { PRISMA_CLOUD_STREAMS } from './config.ts'
import type { Download } from './cspm-download.ts'
import { ASSET_TYPES, type AssetType, type Cve } from './cspm-searches.ts'
import { isEnabled } from './cspm-source.ts'

/** Asset types that a stream of Compute reads, with what they are made of. */
export const TOLD_BY_COMPUTE: Readonly<Partial<Record<AssetType['name'], string>>> = {
  Host: 'compute.hosts',
  'Deployed Image': 'compute.images',
  'Container Registry Image': 'compute.registry',
  'Serverless Function': 'compute.serverless',
  'VM Image': 'compute.vms',
}

/**
 * Without those that Compute tells in this connection, where that is not wanted twice.
 * @throws PipelineError when it cannot be found out: then nobody knows what to leave out
 */
export async function typesToRead(client: PrismaCloudClient): Promise<readonly AssetType[]> {
  if (client.config.overlap === 'keep' || !(await hasCompute(client))) return ASSET_TYPES
  return ASSET_TYPES.filter(({ name }) => {
    const stream = TOLD_BY_COMPUTE[name]
    const isRead = PRISMA_CLOUD_STREAMS.some((known) => known === stream)
    return stream === undefined || !isRead || !isEnabled(client, stream)
  })
}

async function hasCompute(client: PrismaCloudClient): Promise<boolean> {
  try {
    await client.compute()
    return true
  } catch (error) {
    if (error instanceof PipelineError && error.failure === 'NOT_LICENSED') return false
    throw error
  }
}

/** Those that a query can name; rows may have another word, or none. */
export const SEVERITIES = ['critical', 'high', 'medium', 'low'] as const
/** Queries are URLs of their own in the vendor's console: they should not be longer. */
const CVES_PER_QUERY_MAX = 100

/** What one download is asked for: a type, and of it one severity or some CVEs. */
export type Part = {
  readonly type: AssetType
  readonly severity: (typeof SEVERITIES)[number] | null
  readonly cves: readonly Cve[] | null
}

/**
 * The part in the vendor's query language.
 * @see https://docs.prismacloud.io (vulnerability query attributes; read 2026-11)
 */
export function queryOf({ type, severity, cves }: Part): string {
  const list = (words: readonly string[]) => words.map((word) => `'${word}'`).join(', ')
  return [
    `vulnerability where asset.type IN (${list([type.name])})`,
    ...(severity === null ? [] : [`severity IN (${list([severity])})`]),
    ...(cves === null ? [] : [`cve.id IN (${list(cves.map((cve) => cve.id))})`]),
  ].join(' AND ')
}

/** A part by its type, severity and first CVE. */
export const nameOf = ({ type, severity, cves }: Part): string =>
  [type.name, severity, cves?.[0]?.id].filter((word) => typeof word === 'string').join(', ')

/** CVEs of the rows that came, where the search does not know them: one more may have slipped. */
export function unlisted(listed: readonly Cve[], { units }: Download): Cve[] {
  const known = new Set(listed.map((cve) => cve.id))
  const ids = new Set([...units.keys()].map((id) => id.split('|')[1] ?? ''))
  return [...ids.difference(known)].map((id) => ({ id, assets: 1, bytes: null }))
}

/** Groups whose assets together are few enough, as far as the search knows. */
export function groupsOf(cves: readonly Cve[], assetsMax: number): Cve[][] {
  const groups: Cve[][] = []
  let assets = 0
  for (const cve of cves) {
    const last = groups.at(-1)
    const fits = last !== undefined && last.length < CVES_PER_QUERY_MAX
    if (fits && assets + cve.assets <= assetsMax) {
      last.push(cve)
      assets += cve.assets
    } else {
      groups.push([cve])
      assets = cve.assets
    }
  }
  return groups
}
