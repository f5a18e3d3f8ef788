// What scenarios must know of a stream: its endpoints, how it is paged, which fields can drift.
import type { ListedVendor } from '../contracts/topics.ts'
import type { StreamName } from './truth.ts'

export type StreamFacts = {
  readonly name: StreamName
  readonly vendor: ListedVendor
  /** The endpoint asked first, and the one that gives the rows. */
  readonly entry: string
  readonly rows: string
  /** The endpoint whose listing can be empty. */
  readonly emptied: string
  /** `one answer`: all rows come at once, so that there is no second page. */
  readonly paging: 'offset' | 'token' | 'one answer'
  /** Calls to `rows` that pass before a fault in the middle of a run. */
  readonly later: number
  /** True where the vendor says how many rows there are. */
  readonly declares: boolean
  /** Fields by which a row can drift. */
  readonly drift: {
    readonly place: { readonly vendor: ListedVendor; readonly endpoint: string }
    /** A field with an enumeration, keys divided by `/`. */
    readonly word: string
    /** A field that can change its type without the record losing what it needs. */
    readonly typed: string
  }
}

type Special = Partial<Omit<StreamFacts, 'name' | 'vendor' | 'drift'>> &
  Pick<StreamFacts['drift'], 'word' | 'typed'>

const QUERY = {
  entry: 'xql.start',
  rows: 'xql.stream',
  emptied: 'xql.start',
  paging: 'one answer',
  later: 0,
} as const
const SCAN_RESULT = { word: 'vulnerabilities/severity', typed: 'vulnerabilitiesCount' }

/** By which fields it drifts, and where it differs from a listing by offset at its own endpoint. */
const SPECIAL: Readonly<Record<StreamName, Special>> = {
  'compute.hosts': SCAN_RESULT,
  'compute.images': SCAN_RESULT,
  'compute.registry': SCAN_RESULT,
  'compute.vms': SCAN_RESULT,
  'compute.serverless': SCAN_RESULT,
  'compute.containers': {
    word: 'info/cloudMetadata/provider',
    typed: 'info/complianceIssuesCount',
  },
  'compute.cloud-vms': { word: 'provider', typed: 'hasDefender' },
  'xdr.endpoints': { word: 'os_type', typed: 'last_seen' },
  'cspm.config': {
    paging: 'token',
    rows: 'cspm.config-page',
    emptied: 'cspm.config',
    word: 'riskGrade',
    typed: 'hasNetwork',
  },
  'cspm.inventory': { paging: 'token', word: 'cloudType', typed: 'overallPassed' },
  'cspm.vulnerabilities': {
    paging: 'one answer',
    later: 0,
    declares: false,
    word: 'SEVERITY',
    // All of a CSV is text; this column holds numbers.
    typed: 'CVSS_BASE_SCORE',
  },
  'xpanse.assets': { paging: 'token', word: 'asset_type', typed: 'first_observed' },
  'xpanse.services': { paging: 'token', word: 'is_active', typed: 'first_observed' },
  'cloud.vulnerabilities': { paging: 'token', word: 'cvss_severity', typed: 'epss_score' },
  'cloud.assets': {
    word: 'xdm.asset.type.class',
    typed: 'xdm.asset.related_issues.critical_issues',
  },
  'cloud.findings': {
    ...QUERY,
    word: 'xdm.finding.normalized_fields/xdm.vulnerability.severity',
    typed: 'xdm.finding.is_active',
  },
  'xdr.findings': { ...QUERY, word: 'severity', typed: 'severity' },
  // The first call only finds out what the tenant calls the list.
  'cloud.issues': { later: 2, word: 'severity', typed: 'is_starred' },
  'xdr.incidents': { word: 'severity', typed: 'starred' },
}

type Part<S extends string> = S extends `${infer Head}.${string}` ? Head : never
/** Whose product it is that the name of a stream begins with. */
const VENDOR_OF: Readonly<Record<Part<StreamName>, ListedVendor>> = {
  compute: 'prisma-cloud',
  cspm: 'prisma-cloud',
  xdr: 'cortex',
  xpanse: 'cortex',
  cloud: 'cortex',
}

/** The facts of a stream; a new one is a listing by offset at an endpoint of its own name. */
export function factsOfStream(name: StreamName): StreamFacts {
  const { word, typed, ...special } = SPECIAL[name]
  const vendor = VENDOR_OF[name.split('.', 1)[0] as Part<StreamName>]
  const facts = {
    name,
    vendor,
    entry: name,
    rows: name,
    emptied: special.rows ?? name,
    paging: 'offset',
    later: 1,
    declares: true,
    ...special,
  } as const
  return { ...facts, drift: { place: { vendor, endpoint: facts.rows }, word, typed } }
}
