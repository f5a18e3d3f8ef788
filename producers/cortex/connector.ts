// Cortex as the producers see it: its connector with all streams, and the connection test.
import { PipelineError } from '../../contracts/errors.ts'
import type { CheckAnswer } from '../../contracts/ports.ts'
import { type VendorConnector, checkStep } from '../../runtime/connector.ts'
import { type CortexClient, createCortexClient } from './client.ts'
import { assetsProbe, cloudAssets } from './cloud-assets.ts'
import { cloudFindings } from './cloud-findings.ts'
import { cloudIssues } from './cloud-issues.ts'
import type { CORTEX_STREAMS, CortexConnection, SecurityLevel } from './config.ts'
import { keyEndFound } from './key-end.ts'
import {
  CLOUD_LICENCES,
  ENDPOINT_LICENCES,
  type Probe,
  XPANSE_LICENCES,
  tryProbe,
} from './licence.ts'
import { cloudVulnerabilities, vulnerabilitiesProbe } from './uvem-vulnerabilities.ts'
import { endpointsProbe, xdrEndpoints } from './xdr-endpoints.ts'
import { xdrFindings } from './xdr-findings.ts'
import { xdrIncidents } from './xdr-incidents.ts'
import { xpanseAssets, xpanseAssetsProbe } from './xpanse-assets.ts'
import { xpanseServices, xpanseServicesProbe } from './xpanse-services.ts'
import { QUOTA_PATH } from './xql.ts'

const VALIDATE_PATH = '/api_keys/validate/'

/** A check should answer soon. */
const ATTEMPTS_MAX = 3

export const cortexConnector: VendorConnector<CortexConnection, CortexClient> = {
  vendor: 'cortex',
  sources: [
    xdrEndpoints,
    xpanseAssets,
    cloudAssets,
    xpanseServices,
    cloudFindings,
    cloudVulnerabilities,
    xdrFindings,
    cloudIssues,
    xdrIncidents,
  ],
  apiHost: (config) => new URL(config.url).host,
  connect: createCortexClient,
  resolveTenant: ({ config }) => Promise.resolve(config.tenant ?? new URL(config.url).host),
  check,
  close: (client) => client.close(),
}

async function check(client: CortexClient): Promise<CheckAnswer[]> {
  const answers = [await checkStep('validate the key', () => validateKey(client))]
  if (answers[0]?.error !== null) return answers
  answers.push(...(await expiryAnswer(client)))
  for (const [stream, licences, probe] of PROBES) {
    if (client.config.streams?.[stream]?.enabled === false) continue
    const attempt = () => tryProbe(client, stream, licences, probe, ATTEMPTS_MAX)
    answers.push(await checkStep(probe.step, attempt))
  }
  return answers
}

const quotaProbe: Probe = { step: 'read the XQL quota', path: QUOTA_PATH, data: {} }
/** Every stream, the licences of which one is enough, and the request that shows it. */
const PROBES: readonly (readonly [
  stream: (typeof CORTEX_STREAMS)[number],
  licences: readonly string[],
  probe: Probe,
])[] = [
  ['xdr.endpoints', ENDPOINT_LICENCES, endpointsProbe],
  ['xpanse.assets', XPANSE_LICENCES, xpanseAssetsProbe],
  ['xpanse.services', XPANSE_LICENCES, xpanseServicesProbe],
  ['cloud.assets', CLOUD_LICENCES, assetsProbe],
  ['cloud.findings', CLOUD_LICENCES, quotaProbe],
  ['cloud.vulnerabilities', CLOUD_LICENCES, vulnerabilitiesProbe],
]

/** A key of the other level is refused like a wrong one: so the other level is tried, and named. */
async function validateKey(client: CortexClient): Promise<void> {
  try {
    await validate(client)
  } catch (error) {
    if (!(error instanceof PipelineError) || error.failure !== 'AUTHORIZATION_FAILURE') throw error
    const configured = client.config.securityLevel
    const other: SecurityLevel = configured === 'standard' ? 'advanced' : 'standard'
    if (!(await acceptedAs(client, other))) throw error
    throw new PipelineError(
      'AUTHORIZATION_FAILURE',
      'AUTH',
      `the key is refused as ${configured} and accepted as ${other}`,
      {
        cause: error,
        remediation: `Set securityLevel: ${other} for this connection.`,
        ...(error.details.http === undefined ? {} : { http: error.details.http }),
      },
    )
  }
}

async function acceptedAs(client: CortexClient, level: SecurityLevel): Promise<boolean> {
  try {
    await client.withLevel(level, () => validate(client))
    return true
  } catch (error) {
    if (error instanceof PipelineError) return false
    throw error
  }
}

/** The answer is a bare `true`. */
async function validate(client: CortexClient): Promise<void> {
  const options = { stage: 'AUTH', attemptsMax: ATTEMPTS_MAX } as const
  const { value } = await client.http.json('POST', VALIDATE_PATH, options)
  if (value === true) return
  const message = 'the vendor says that the key is not valid: it may have expired'
  throw new PipelineError('AUTHORIZATION_FAILURE', 'AUTH', message)
}

/** The key's end, where its role may read it: most may not, which is no fault. */
async function expiryAnswer(client: CortexClient): Promise<CheckAnswer[]> {
  const error = await keyEndFound(client, new AbortController().signal)
  return error === null ? [] : [{ step: 'read the end of the key', error }]
}
