// Cortex as the producers see it: its connector with all streams, and the connection test.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { CheckAnswer } from '../../contracts/ports.ts'
import { type VendorConnector, checkStep } from '../../runtime/connector.ts'
import type { JsonAnswer } from '../../runtime/http.ts'
import { type CortexClient, createCortexClient } from './client.ts'
import { ASSETS_PATH, assetsWindow, cloudAssets } from './cloud-assets.ts'
import { cloudFindings } from './cloud-findings.ts'
import type { CORTEX_STREAMS, CortexConnection, SecurityLevel } from './config.ts'
import { memberAt } from './window-page.ts'
import { ENDPOINTS_PATH, endpointsWindow, xdrEndpoints } from './xdr-endpoints.ts'

const VALIDATE_PATH = '/api_keys/validate/'
const KEYS_PATH = '/public_api/v1/api_keys/get_api_keys/'
const QUOTA_PATH = '/public_api/v1/xql/get_quota/'
/** A check should answer soon. */
const ATTEMPTS_MAX = 3
const WARNING_MS = 7 * 86_400_000

export const cortexConnector: VendorConnector<CortexConnection, CortexClient> = {
  vendor: 'cortex',
  sources: [xdrEndpoints, cloudAssets, cloudFindings],
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
  for (const [stream, step, probe] of PROBES) {
    if (client.config.streams?.[stream]?.enabled === false) continue
    answers.push(await checkStep(step, () => probe(client)))
  }
  return answers
}

type Probe = readonly [
  stream: (typeof CORTEX_STREAMS)[number],
  step: string,
  probe: (client: CortexClient) => Promise<unknown>,
]
const PROBES: readonly Probe[] = [
  [
    'xdr.endpoints',
    'read endpoints',
    (c) => some(post(c, ENDPOINTS_PATH, endpointsWindow(0, 1)), 'endpoints'),
  ],
  [
    'cloud.assets',
    'read cloud assets',
    (c) => some(post(c, ASSETS_PATH, assetsWindow(0, 1)), 'data'),
  ],
  ['cloud.findings', 'read the XQL quota', (c) => post(c, QUOTA_PATH, {})],
]

const post = (client: CortexClient, path: string, data: Readonly<Record<string, unknown>>) =>
  client.http.json('POST', path, { body: { request_data: data }, attemptsMax: ATTEMPTS_MAX })

/** @throws PipelineError MISSING_DATA when the list is there and empty */
async function some(answer: Promise<JsonAnswer>, list: string): Promise<void> {
  const rows = memberAt((await answer).value, ['reply', list])
  if (!Array.isArray(rows) || rows.length > 0) return
  throw new PipelineError('MISSING_DATA', 'FETCH', `this key sees nothing: reply.${list} is empty`)
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
  const options = { stage: 'AUTH', attemptsMax: ATTEMPTS_MAX } as const
  const { value } = await client.http.json('POST', VALIDATE_PATH, options)
  if (value === true) return
  const message = 'the vendor says that the key is not valid: it may have expired'
  throw new PipelineError('AUTHORIZATION_FAILURE', 'AUTH', message)
}

const keyRow = z.looseObject({
  id: z.union([z.string(), z.number()]).transform(String),
  expiration: z.number().nullish().catch(null),
})

/** The key's end, where its role may read it: most may not, which is no fault. */
async function expiryAnswer(client: CortexClient): Promise<CheckAnswer[]> {
  let rows: unknown
  try {
    const options = { body: { request_data: {} }, quiet: true, attemptsMax: 1 }
    const { value } = await client.http.json('POST', KEYS_PATH, options)
    rows = memberAt(value, ['reply', 'DATA'])
  } catch (error) {
    if (error instanceof PipelineError) return []
    throw error
  }
  const keys = (Array.isArray(rows) ? rows : []).map((row) => keyRow.safeParse(row).data)
  const endsAtMs = keys.find((key) => key?.id === client.keyId())?.expiration ?? 0
  if (endsAtMs <= 0 || endsAtMs - client.nowMs() > WARNING_MS) return []
  const message = `the API key ends at ${new Date(endsAtMs).toISOString()}`
  const error = new PipelineError('CREDENTIAL_EXPIRING', 'AUTH', message)
  return [{ step: 'read the end of the key', error }]
}
