// What of a Prisma Cloud connection concerns CSPM alone; all of it has a default.
import { z } from 'zod'

/** The search behind `azure-vm-list` reads interfaces and addresses beside it by itself. */
const CONFIG_APIS = ['aws-ec2-describe-instances', 'azure-vm-list', 'gcloud-compute-instances-list']
const CONFIG_APIS_MAX = 50
const CONFIG_PAGE_SIZE = 100
const PAGE_SIZE_MAX = 1_000
/** Two in a second, as its other listings; those who use the console with the key come on top. */
const REQUESTS_PER_5S = 10
const BUDGET_MAX = 100_000
/** The vendor's own bound of one download. */
const DOWNLOAD_ROWS_MAX = 10_000

export const cspmSettings = {
  /** Names of the configuration search whose resources are read: `api.name` of the vendor's RQL. */
  configApis: z
    .array(z.string().regex(/^[a-z0-9-]{1,120}$/, 'must be a name of the configuration search'))
    .min(1)
    .max(CONFIG_APIS_MAX)
    .default(CONFIG_APIS),
  /** Resources per page of the search; some tenants give up to 1,000. */
  configPageSize: z.int().min(1).max(PAGE_SIZE_MAX).default(CONFIG_PAGE_SIZE),
  /** Resources per page of the inventory; less by itself where the vendor takes too long. */
  inventoryPageSize: z.int().min(1).max(PAGE_SIZE_MAX).default(PAGE_SIZE_MAX),
  /** Rows at which the vendor cuts a download of vulnerabilities without saying so. */
  downloadRowsMax: z.int().min(1).max(DOWNLOAD_ROWS_MAX).default(DOWNLOAD_ROWS_MAX),
  /**
   * `drop`: vulnerabilities of asset types that an enabled stream of Compute reads are left out of
   * CSPM's download. `keep`: both products tell them. Default drop.
   */
  overlap: z.enum(['drop', 'keep']).default('drop'),
  /** Assets of the inventory for which details are asked, one request each, per run. */
  enrichment: z.strictObject({ budget: z.int().min(0).max(BUDGET_MAX).default(0) }).prefault({}),
  /** Requests to CSPM in any 5 s. */
  cspmRequestsPer5s: z.int().min(1).max(100_000).default(REQUESTS_PER_5S),
}
