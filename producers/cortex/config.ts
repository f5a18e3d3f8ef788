// A Cortex connection as exposure.yaml describes it: one API key for XDR, Xpanse and Cortex Cloud.
import { z } from 'zod'
import {
  commonConnection,
  duration,
  pastedUrlAs,
  streamsOf,
  withScheme,
} from '../../runtime/connection-config.ts'
import { secretReference } from '../../runtime/environment.ts'

export const CORTEX_STREAMS = [
  'xdr.endpoints',
  'xpanse.assets',
  'xpanse.services',
  'cloud.assets',
  'cloud.findings',
  'cloud.vulnerabilities',
  'xdr.findings',
  'cloud.issues',
  'xdr.incidents',
] as const

const DAY_MS = 86_400_000
/** The vendor allows 10 in a second for the whole tenant. */
const REQUESTS_PER_SECOND = 8
const CONCURRENT_MAX = 4
const FINDINGS_SLICE_ROWS = 900_000

export const cortexConnection = z.strictObject({
  ...commonConnection,
  type: z.literal('cortex'),
  /** Address of the tenant, with or without `api-`, also the console's. */
  url: pastedUrlAs(cortexUrlOf),
  apiKey: secretReference,
  /** The number in the ID column of the key table, or a reference to it. */
  apiKeyId: z.union([z.int().min(0), z.string().regex(/^\d{1,18}$/), secretReference], {
    error: 'must be the number in the ID column of the key table, or a reference to it',
  }),
  securityLevel: z.enum(['standard', 'advanced']).default('standard'),
  requestsPerSecond: z.int().min(1).max(1_000).default(REQUESTS_PER_SECOND),
  concurrency: z.int().min(1).max(64).default(CONCURRENT_MAX),
  /** How far back the findings query looks, in ms. Default 30 d. */
  findingsWindow: duration.default(30 * DAY_MS),
  /** Rows of one query; more are read in slices by id. The vendor gives 1,000,000 at most. */
  findingsSliceRows: z.int().min(1).max(FINDINGS_SLICE_ROWS).default(FINDINGS_SLICE_ROWS),
  /** Issues repeat findings: read them only where the tenant has no findings, or always. */
  issues: z.enum(['fallback', 'always']).default('fallback'),
  streams: streamsOf(CORTEX_STREAMS),
})

export type CortexConnection = z.infer<typeof cortexConnection>
export type SecurityLevel = CortexConnection['securityLevel']

const VENDOR_HOST = /\.paloaltonetworks\.com$/

/** `acme.xdr.us.paloaltonetworks.com/x` becomes `https://api-acme.xdr.us.paloaltonetworks.com`. */
function cortexUrlOf(text: string): string {
  const url = new URL(withScheme(text))
  if (!VENDOR_HOST.test(url.hostname)) return (url.origin + url.pathname).replace(/\/+$/, '')
  // Added once only: api-api-... is a name that nobody can resolve.
  if (!url.hostname.startsWith('api-')) url.hostname = `api-${url.hostname}`
  return url.origin
}
