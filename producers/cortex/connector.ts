// Cortex as the producers see it: its connector with all streams, and the connection test.
import { PipelineError } from '../../contracts/errors.ts'
import type { CheckAnswer } from '../../contracts/ports.ts'
import {
  PROBE_ATTEMPTS_MAX,
  type ProbedSource,
  type VendorConnector,
  checkSources,
  checkStep,
} from '../../runtime/connector.ts'
import { type CortexClient, createCortexClient } from './client.ts'
import { cloudAssets } from './cloud-assets.ts'
import { cloudFindings } from './cloud-findings.ts'
import { cloudIssues } from './cloud-issues.ts'
import type { CortexConnection, SecurityLevel } from './config.ts'
import { keyEndFound } from './key-end.ts'
import { cloudVulnerabilities } from './uvem-vulnerabilities.ts'
import { xdrEndpoints } from './xdr-endpoints.ts'
import { xdrFindings } from './xdr-findings.ts'
import { xdrIncidents } from './xdr-incidents.ts'
import { xpanseAssets } from './xpanse-assets.ts'
import { xpanseServices } from './xpanse-services.ts'

const VALIDATE_PATH = '/api_keys/validate/'

const SOURCES: readonly ProbedSource<CortexClient, unknown>[] = [
  xdrEndpoints,
  xpanseAssets,
  cloudAssets,
  xpanseServices,
  cloudFindings,
  cloudVulnerabilities,
  xdrFindings,
  cloudIssues,
  xdrIncidents,
]

export const cortexConnector: VendorConnector<CortexConnection, CortexClient> = {
  vendor: 'cortex',
  sources: SOURCES,
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
  const streams: Readonly<Record<string, { enabled?: boolean | undefined } | undefined>> =
    client.config.streams ?? {}
  const wanted = SOURCES.filter(({ stream }) => streams[stream]?.enabled !== false)
  return [...answers, ...(await checkSources(client, wanted))]
}

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
  const options = { stage: 'AUTH', attemptsMax: PROBE_ATTEMPTS_MAX } as const
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
