// CSPM's vulnerabilities: one row is one weakness of one package on one asset, which it only names.
import { parse } from 'csv-parse/sync'
import { z } from 'zod'
import type { RawFacts } from '../../contracts/envelope.ts'
import { PipelineError } from '../../contracts/errors.ts'
import type { AssetKind } from '../../contracts/event-meta.ts'
import type { AffectedPackage, Exploit, FindingState } from '../../contracts/finding.ts'
import { assetUid } from '../../contracts/identity.ts'
import type { RawUnit, Transformer } from '../../contracts/ports.ts'
import { cvssOf } from '../cvss.ts'
import { defineRecord, each } from '../drift.ts'
import { findingUidOf } from '../finding-uid.ts'
import { NEW_FINDING, linksOf, weaknessOf } from '../findings.ts'
import { severityOf } from '../severity.ts'
import { isObject, lineOf, numberOf, sortedTexts, textOf, textsOf } from '../text.ts'
import { timeOf } from '../times.ts'
import { fieldNames, unmappedOf } from '../unmapped.ts'
import {
  anything,
  maybeFlag,
  maybeNumber,
  maybeText,
  readRecord,
  requiredId,
} from '../vendor-json.ts'
import { cloudProviderOf } from './cspm-words.ts'

/**
 * One row of the CSV, read by its header row (values made up):
 *
 *     ASSET_ID bb29…  ASSET_TYPE host  CVE_ID CVE-2026-0001  CVE_LINK https://…  SEVERITY medium
 *     CVSS_BASE_SCORE 5.5  EPSS_SCORE 1.7E-4  PACKAGE_NAME linux  INSTALLED_VERSIONS [5.15.0, 5.16]
 *     FIX_VERSION [N/A]  FIX_DATE N/A  PUBLISHED_DATE Jul 25 2025  DISCOVERED_DATE Oct 31 2025
 *     PATCHABLE N  EXPLOITABLE N  CISA_KEV N  3RD_PARTY_EXPLOIT_SOURCE N/A  INTERNET_EXPOSED Y
 *     PACKAGE_IN_USE false  AT_RISK N  CLOUD_ACCOUNT_ID …  SERVICE_PROVIDER azure
 *
 * `N/A` is nothing. Where a download cannot hold one CVE's assets, the unit is what the searches
 * tell instead, as JSON: `{ "asset_type": …, "vulnerability": …, "asset": … }`.
 * @see https://pan.dev/prisma-cloud/api/cspm/ (Download All Vulnerabilities by RQL)
 */
const rowSchema = z.looseObject({
  ASSET_ID: requiredId,
  ASSET_NAME: maybeText,
  ASSET_TYPE: maybeText,
  CVE_ID: requiredId,
  CVE_LINK: maybeText,
  SEVERITY: anything,
  CVSS_BASE_SCORE: anything,
  EPSS_SCORE: maybeNumber,
  PACKAGE_NAME: maybeText,
  PACKAGE_IN_USE: maybeFlag,
  INSTALLED_VERSIONS: anything.transform(listOf),
  FIX_VERSION: anything.transform(listOf),
  FIX_DATE: anything.transform(dateOf),
  PUBLISHED_DATE: anything.transform(dateOf),
  DISCOVERED_DATE: anything.transform(dateOf),
  PATCHABLE: maybeText,
  EXPLOITABLE: maybeFlag,
  CISA_KEV: maybeFlag,
  '3RD_PARTY_EXPLOIT_SOURCE': anything.transform(listOf),
  INTERNET_EXPOSED: maybeFlag,
  AT_RISK: maybeFlag,
  ATTACK_VECTOR: maybeText,
  ATTACK_COMPLEXITY: maybeText,
  PRIVILEGES_REQUIRED: maybeText,
  USER_INTERACTION: maybeText,
  DOS: maybeText,
  RISK_FACTORS: anything,
  CLOUD_ACCOUNT_ID: maybeText,
  SERVICE_PROVIDER: maybeText,
  // Without a home of their own; here so that `N/A` is nothing there, too.
  DISTRIBUTION: maybeText,
  OS_RELEASE: maybeText,
  REGISTRY: maybeText,
})
type Row = z.output<typeof rowSchema>

const KNOWN = fieldNames(`
  ASSET_ID ASSET_NAME ASSET_TYPE CVE_ID CVE_LINK SEVERITY CVSS_BASE_SCORE EPSS_SCORE PACKAGE_NAME
  PACKAGE_IN_USE INSTALLED_VERSIONS FIX_VERSION FIX_DATE PUBLISHED_DATE DISCOVERED_DATE PATCHABLE
  EXPLOITABLE CISA_KEV 3RD_PARTY_EXPLOIT_SOURCE INTERNET_EXPOSED AT_RISK ATTACK_VECTOR
  ATTACK_COMPLEXITY PRIVILEGES_REQUIRED USER_INTERACTION DOS RISK_FACTORS CLOUD_ACCOUNT_ID
  SERVICE_PROVIDER
`)

const KINDS: Readonly<Record<string, AssetKind>> = {
  host: 'HOST',
  package: 'CODE_REPOSITORY',
  iac: 'CODE_REPOSITORY',
  deployedimage: 'CONTAINER_IMAGE',
  registryimage: 'CONTAINER_IMAGE',
  serverlessfunction: 'SERVERLESS_FUNCTION',
  vmimage: 'CLOUD_RESOURCE',
}

const NUMBERS = ['CVSS_BASE_SCORE', 'EPSS_SCORE']
const driftOf = defineRecord({
  fields: {
    ...each(
      'string|number|boolean|array',
      `3RD_PARTY_EXPLOIT_SOURCE ASSET_ID ASSET_NAME ASSET_TYPE ATTACK_COMPLEXITY ATTACK_VECTOR
       AT_RISK CISA_KEV CLOUD_ACCOUNT_ID CVE_ID CVE_LINK DISCOVERED_DATE DISTRIBUTION DOS
       EXPLOITABLE FIX_DATE FIX_VERSION INSTALLED_VERSIONS INTERNET_EXPOSED OS_RELEASE
       PACKAGE_IN_USE PACKAGE_NAME PATCHABLE PRIVILEGES_REQUIRED PUBLISHED_DATE REGISTRY
       RISK_FACTORS SERVICE_PROVIDER SEVERITY USER_INTERACTION`,
    ),
    ...each('number', NUMBERS.join(' ')),
  },
  values: {
    ASSET_TYPE: Object.keys(KINDS),
    SEVERITY: ['critical', 'high', 'medium', 'low', 'informational', 'none', 'unknown', 'n/a'],
  },
})

export const cspmVulnerabilities: Transformer = {
  vendor: 'prisma-cloud',
  product: 'prisma-cspm',
  stream: 'cspm.vulnerabilities',
  rank: 0,
  transform(raw) {
    const json = raw.facts.contentType === 'text/csv' ? { ...raw, body: jsonOfRow(raw) } : raw
    const { record, drift } = readRecord(json, { schema: rowSchema, driftOf, prepare: rowOf })
    return { assets: [], findings: [findingOf(record, raw.facts)], findingsKnown: true, drift }
  },
}

/** The row as JSON by its header row. @throws PipelineError INVALID_RESPONSE when it is none */
function jsonOfRow({ facts, body }: RawUnit): Buffer {
  // A field too few is a record that lacks something, which its schema tells by name.
  const options = {
    columns: true,
    bom: true,
    relax_column_count: true,
    skip_empty_lines: true,
  } as const
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    const rows = parse(`${facts.columns ?? ''}\n${text}\n`, options)
    if (rows.length === 1) return Buffer.from(JSON.stringify(rows[0]))
  } catch {
    // The parser's own message quotes the payload, which must not reach an error event.
  }
  const message = `a unit of ${facts.stream} is not one row of its CSV`
  throw new PipelineError('INVALID_RESPONSE', 'NORMALIZE', message)
}

/** What the searches tell, in the names of the columns; a row with its numbers as such. */
function rowOf(json: unknown): unknown {
  if (!isObject(json)) return json
  if (!isObject(json['asset'])) return withNumbers(json)
  const { asset, asset_type: type } = json
  const cve = isObject(json['vulnerability']) ? json['vulnerability'] : {}
  return {
    ASSET_ID: asset['id'],
    ASSET_NAME: asset['name'],
    ASSET_TYPE: type,
    CVE_ID: cve['cveId'],
    SEVERITY: cve['severity'],
    CVSS_BASE_SCORE: cve['cvssScore'],
    EPSS_SCORE: cve['completeEpssScore'],
    PUBLISHED_DATE: cve['published'],
    PATCHABLE: cve['patchable'] === true ? 'Y' : 'N',
    EXPLOITABLE: cve['exploitable'],
    INTERNET_EXPOSED: asset['internetExposed'],
    AT_RISK: asset['atRisk'],
    RISK_FACTORS: cve['riskFactors'],
  }
}

/** A text that is no number stays, so that the drift shows. */
function withNumbers(row: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const numbers = NUMBERS.filter((name) => name in row).map((name) => {
    const text = textOf(row[name])
    return [name, numberOf(text) ?? text] as const
  })
  return { ...row, ...Object.fromEntries(numbers) }
}

function findingOf(row: Row, facts: RawFacts): FindingState {
  const nowMs = facts.fetchedAtMs
  const asset_uid = assetUid({ ...facts, nativeId: row.ASSET_ID })
  const weakness = weaknessOf(row.CVE_ID)
  const scores = cvssOf([{ score: row.CVSS_BASE_SCORE, vector: null }])
  const kind = 'VULNERABILITY' as const
  const affected = packageOf(row)
  const published = timeOf(row.PUBLISHED_DATE, 'milliseconds', nowMs)
  const discovered = timeOf(row.DISCOVERED_DATE, 'milliseconds', nowMs)
  const identity = { asset_uid, kind, ...weakness, package: affected, locator: null }
  return {
    ...NEW_FINDING,
    ...weakness,
    ...scores,
    ...severityOf(row.SEVERITY, scores.cvss_score),
    ...exploitOf(row),
    finding_uid: findingUidOf(identity),
    asset_uid,
    asset: assetRefOf(row),
    kind,
    aliases: [],
    cwes: [],
    title: lineOf(`${weakness.vuln_id}${affected ? ` in ${affected.name}` : ''}`),
    description: null,
    vendor_status: row.PATCHABLE,
    epss: epssOf(row.EPSS_SCORE),
    package: affected,
    fix: fixOf(row, nowMs),
    locator: null,
    risk_factors: riskFactorsOf(row),
    references: linksOf([row.CVE_LINK]),
    internet_exposed: row.INTERNET_EXPOSED,
    risk_score: null,
    published_at: published,
    first_seen: Math.min(discovered ?? nowMs, nowMs),
    last_seen: nowMs,
    due_at: null,
    unmapped: unmappedOf(row, KNOWN),
  }
}

/** The row names its asset by id alone; the asset itself comes from the other streams. */
function assetRefOf(row: Row): FindingState['asset'] {
  const provider = cloudProviderOf(row.SERVICE_PROVIDER)
  const kind = KINDS[row.ASSET_TYPE?.toLowerCase() ?? ''] ?? 'UNKNOWN'
  return {
    name: row.ASSET_NAME ?? row.ASSET_ID,
    kind: kind === 'HOST' && provider !== null ? 'VIRTUAL_MACHINE' : kind,
    hostname: null,
    ip: null,
    cloud_provider: provider,
    cloud_account_id: row.CLOUD_ACCOUNT_ID,
    cloud_region: null,
    cloud_resource_id: null,
    image_digest: null,
  }
}

/** The row does not say of which type the package is, and its distribution says nothing of it. */
const packageOf = (row: Row): AffectedPackage | null =>
  row.PACKAGE_NAME === null
    ? null
    : {
        name: row.PACKAGE_NAME,
        versions: row.INSTALLED_VERSIONS,
        type: null,
        purl: null,
        cpe: null,
        paths: [],
        source_package: null,
        in_use: row.PACKAGE_IN_USE,
        license: null,
      }

function fixOf(row: Row, nowMs: number): FindingState['fix'] {
  const versions = row.FIX_VERSION
  const patchable = row.PATCHABLE === null ? null : /^(y|yes|true)$/i.test(row.PATCHABLE)
  if (patchable === null && versions.length === 0) return null
  const fixed_at = timeOf(row.FIX_DATE, 'milliseconds', nowMs)
  return { available: patchable ?? true, versions, fixed_at, text: null, url: null }
}

function exploitOf(row: Row): Pick<FindingState, 'known_exploited' | 'exploit'> {
  const named = row['3RD_PARTY_EXPLOIT_SOURCE']
  const inKev = row.CISA_KEV === true
  const known_exploited = row.CISA_KEV
  if (row.EXPLOITABLE === null && named.length === 0 && !inKev) {
    return { known_exploited, exploit: null }
  }
  const available = row.EXPLOITABLE === true || named.length > 0 || inKev
  const sources = sortedTexts([...named, ...(inKev ? ['cisa-kev'] : [])])
  const maturity = inKev ? 'IN_THE_WILD' : maturityOf(available, named)
  return { known_exploited, exploit: { available, maturity, sources, urls: [] } }
}

function maturityOf(available: boolean, sources: readonly string[]): Exploit['maturity'] {
  if (!available) return 'NONE'
  return sources.length > 0 ? 'POC' : 'UNKNOWN'
}

/** `ATTACK_VECTOR: Network`: the vendor's own names and words. */
function riskFactorsOf(row: Row): string[] {
  const named = [
    ['ATTACK_VECTOR', row.ATTACK_VECTOR],
    ['ATTACK_COMPLEXITY', row.ATTACK_COMPLEXITY],
    ['PRIVILEGES_REQUIRED', row.PRIVILEGES_REQUIRED],
    ['USER_INTERACTION', row.USER_INTERACTION],
    ['DOS', row.DOS],
    ['AT_RISK', row.AT_RISK === true ? 'Y' : null],
  ] as const
  const texts = named.flatMap(([name, word]) => (word === null ? [] : [`${name}: ${word}`]))
  return sortedTexts([...texts, ...textsOf(row.RISK_FACTORS)])
}

/** A probability; anything outside 0..1 is none. */
const epssOf = (score: number | null): FindingState['epss'] =>
  score === null || score < 0 || score > 1 ? null : { score, percentile: null, as_of: null }

/** `[a, b]`, `a, b` or a list; sorted and distinct. */
function listOf(value: unknown): string[] {
  return sortedTexts(
    textsOf(value)
      .flatMap((text) => text.replace(/^\[|\]$/g, '').split(','))
      .map((text) => text.trim())
      .filter((text) => text !== '' && text.toUpperCase() !== 'N/A'),
  )
}

const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ')

/** `Oct 31 2025` as `2025-10-31`; other forms of time stay as they are. */
function dateOf(value: unknown): unknown {
  if (typeof value !== 'string') return value
  const [, word = '', day = '', year = ''] =
    /^\s*([a-z]{3})[a-z]*\.? (\d{1,2}),? (\d{4})\s*$/i.exec(value) ?? []
  const month = MONTHS.indexOf(word.toLowerCase())
  if (month === -1) return value
  return `${year}-${String(month + 1).padStart(2, '0')}-${day.padStart(2, '0')}`
}
