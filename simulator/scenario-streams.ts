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
  /** Fields by which a row can drift; null where the rows are not held against a definition. */
  readonly drift: {
    readonly place: { readonly vendor: ListedVendor; readonly endpoint: string }
    /** A field with an enumeration, keys divided by `/`. */
    readonly word?: string
    /** A field that can change its type without the record losing what it needs. */
    readonly typed?: string
  } | null
}

type Special = Partial<Omit<StreamFacts, 'name' | 'vendor' | 'drift'>> & {
  /** False where rows are no JSON that a fault could change. */
  readonly drifts?: false
  readonly word?: string
  readonly typed?: string
}

const QUERY = {
  entry: 'xql.start',
  rows: 'xql.stream',
  emptied: 'xql.start',
  paging: 'one answer',
  later: 0,
} as const
const SCAN_RESULT = { word: 'vulnerabilities/severity', typed: 'vulnerabilitiesCount' }

/** Where a stream differs from a listing by offset at an endpoint of its own name. */
const SPECIAL: Partial<Record<StreamName, Special>> = {
  'compute.hosts': SCAN_RESULT,
  'compute.images': SCAN_RESULT,
  'compute.registry': SCAN_RESULT,
  'compute.vms': SCAN_RESULT,
  'compute.serverless': SCAN_RESULT,
  'xdr.endpoints': { word: 'os_type', typed: 'last_seen' },
  'cspm.config': { paging: 'token', rows: 'cspm.config-page', emptied: 'cspm.config' },
  'cspm.inventory': { paging: 'token' },
  'cspm.vulnerabilities': { paging: 'one answer', later: 0, drifts: false, declares: false },
  'xpanse.assets': { paging: 'token' },
  'xpanse.services': { paging: 'token' },
  'cloud.vulnerabilities': { paging: 'token' },
  'cloud.assets': { typed: 'xdm.asset.related_issues.critical_issues' },
  'cloud.findings': { ...QUERY, typed: 'xdm.finding.is_active' },
  'xdr.findings': QUERY,
  // The first call only finds out what the tenant calls the list.
  'cloud.issues': { later: 2 },
  // The total need not match the rows.
  'xdr.incidents': { declares: false },
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
  const { word, typed, drifts = true, ...special } = SPECIAL[name] ?? {}
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
  const place = { vendor, endpoint: facts.rows } as const
  const fields = {
    ...(word === undefined ? {} : { word }),
    ...(typed === undefined ? {} : { typed }),
  }
  return { ...facts, drift: drifts ? { place, ...fields } : null }
}
