// An Acme Scanner connection as exposure.yaml describes it: one token, one listing.
import { z } from 'zod'
import {
  commonConnection,
  pastedUrlAs,
  streamsOf,
  withScheme,
} from '../../../../runtime/connection-config.ts'
import { secretReference } from '../../../../runtime/environment.ts'

const ACME_SCANNER_STREAMS = ['scanner.hosts'] as const

/** The vendor caps a page at 200 hosts and allows 5 requests a second to a token. */
const PAGE_SIZE_MAX = 200
const REQUESTS_PER_SECOND = 4

export const acmeScannerConnection = z.strictObject({
  ...commonConnection,
  type: z.literal('acme-scanner'),
  url: pastedUrlAs((text) => new URL(withScheme(text)).origin),
  token: secretReference,
  /** Hosts per page. */
  pageSize: z.int().min(2).max(PAGE_SIZE_MAX).default(PAGE_SIZE_MAX),
  requestsPerSecond: z.int().min(1).max(1_000).default(REQUESTS_PER_SECOND),
  streams: streamsOf(ACME_SCANNER_STREAMS),
})

export type AcmeScannerConnection = z.infer<typeof acmeScannerConnection>
