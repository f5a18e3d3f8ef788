// A Prisma Cloud connection as exposure.yaml describes it: one access key for CSPM and Compute.
import { z } from 'zod'
import {
  commonConnection,
  pastedUrlAs,
  streamsOf,
  withScheme,
} from '../../runtime/connection-config.ts'
import { secretReference } from '../../runtime/environment.ts'
import { cspmSettings } from './cspm-settings.ts'

export const PRISMA_CLOUD_STREAMS = [
  'compute.hosts',
  'compute.images',
  'compute.registry',
  'compute.vms',
  'compute.serverless',
  'compute.containers',
  'compute.cloud-vms',
  'cspm.config',
  'cspm.inventory',
  'cspm.vulnerabilities',
] as const

/** The vendor caps a page at 50 records and allows 30 requests in 30 s per listing. */
const PAGE_SIZE_MAX = 50
const REQUESTS_PER_30S = 28

const computeSettings = z.strictObject({
  /**
   * `cspm-token`: the token of CSPM's login. `authenticate`: a login at the console itself.
   * `basic`: the key as user and password with every call. Default cspm-token.
   */
  auth: z.enum(['cspm-token', 'authenticate', 'basic']).default('cspm-token'),
  /** Project of a console of one's own, e.g. `Central Console`. */
  project: z.string().min(1).max(200).optional(),
})

const connection = z.strictObject({
  ...commonConnection,
  type: z.literal('prisma-cloud'),
  /**
   * API or console address of the stack; the console's `app` becomes `api`. Absent: there is no
   * CSPM but only a Compute console of one's own, at `computeUrl`.
   */
  url: pastedUrlAs(cspmUrlOf).optional(),
  accessKeyId: secretReference,
  secretKey: secretReference,
  /** Path to Console of Compute; default: as the tenant itself says. */
  computeUrl: pastedUrlAs(baseUrlOf).optional(),
  compute: computeSettings.prefault({}),
  /** Version in the paths of Compute. Default v1: the console's newest. */
  computeVersion: z
    .string()
    .regex(/^v\d{1,3}(\.\d{1,3})?$/, 'must be like v1 or v34.04')
    .default('v1'),
  /** Records per page, one of which the page before had; fewer where hosts carry many findings. */
  pageSize: z.int().min(2).max(PAGE_SIZE_MAX).default(PAGE_SIZE_MAX),
  /** Requests per listing in any 30 s; below the vendor's 30, for others who use the key. */
  computeRequestsPer30s: z.int().min(1).max(100_000).default(REQUESTS_PER_30S),
  ...cspmSettings,
  streams: streamsOf(PRISMA_CLOUD_STREAMS),
})

export const prismaCloudConnection = connection
  .refine(({ url, computeUrl }) => url !== undefined || computeUrl !== undefined, {
    path: ['url'],
    error: 'must be given, or computeUrl for a Compute console without CSPM',
  })
  .refine(({ url, compute }) => url !== undefined || compute.auth !== 'cspm-token', {
    path: ['compute', 'auth'],
    error: 'must be authenticate or basic where url is not given',
  })

export type PrismaCloudConnection = z.infer<typeof prismaCloudConnection>

/** Where the connection leads: CSPM, else the Compute console. */
export const mainUrlOf = ({ url, computeUrl }: PrismaCloudConnection): string =>
  url ?? computeUrl ?? ''

const VENDOR_HOST = /\.prismacloud\.(io|cn)$/

/** `https://app2.eu.prismacloud.io/home` becomes `https://api2.eu.prismacloud.io`. */
function cspmUrlOf(text: string): string {
  const url = new URL(withScheme(text))
  if (!VENDOR_HOST.test(url.hostname)) return baseUrlOf(text)
  url.hostname = url.hostname.replace(/^app(?=\d*\.)/, 'api')
  return url.origin
}

/** Scheme, host and path, without slash at the end, query and fragment. */
function baseUrlOf(text: string): string {
  const url = new URL(withScheme(text))
  return (url.origin + url.pathname).replace(/\/+$/, '')
}
