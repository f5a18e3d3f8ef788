// What a Cortex tenant has bought, what its key may do, and how it answers where nobody knows.
import { type Answer, json } from '../delivery.ts'
import { notFound, replyError, statusAnswer, waitress } from './answers.ts'
import type { ApiKey } from './auth.ts'

export const LICENCES = ['xdr', 'asm', 'cloud', 'uvem'] as const
export type Licence = (typeof LICENCES)[number]

export type TenantBehaviour = {
  /** Default: all of them. */
  readonly licences: readonly Licence[]
  /** How an endpoint answers that is not licensed; `waitress` says nothing of licences. */
  readonly unlicensed: 'payment-required' | 'no-identity-threat' | 'not-found' | 'waitress'
  /** Whether the key's role may list keys; `agents-only` reads nothing but endpoints. */
  readonly role: 'viewer' | 'viewer-without-keys' | 'agents-only'
  readonly tenantInfo: 'told' | 'refused'
  /** `named`: the first page too must name a token, an empty one. */
  readonly firstToken: 'absent' | 'named'
  /** What the last page says of the next one. */
  readonly lastToken: 'null' | 'absent' | 'empty' | 'repeated'
  /** Rows of a page by token, however many are asked for: the vendor's own example has 499. */
  readonly pageRowsMax: number
  /** `total_count` of Xpanse listings counts no further. */
  readonly totalMax: number
  /** Field names of Xpanse assets: as published, or as a client of live tenants reads them. */
  readonly xpanseDialect: 'spec' | 'live'
}

export const TENANT_BEHAVIOUR: TenantBehaviour = {
  licences: LICENCES,
  unlicensed: 'no-identity-threat',
  role: 'viewer',
  tenantInfo: 'told',
  firstToken: 'absent',
  lastToken: 'null',
  pageRowsMax: 500,
  totalMax: 9_999,
  xpanseDialect: 'spec',
}

/** By the first part of an endpoint's name, or the whole of it; others need none. */
const LICENCE_OF: Readonly<Record<string, Licence>> = {
  'xdr.endpoints': 'xdr',
  'xpanse.assets': 'asm',
  'xpanse.services': 'asm',
  'xpanse.service-details': 'asm',
  'cloud.assets': 'cloud',
  'cloud.assets-schema': 'cloud',
  'cloud.vulnerabilities': 'uvem',
}
const EVERY_ROLE: ReadonlySet<string> = new Set([
  'api-keys.validate',
  'healthcheck',
  'tenant-info',
  'xdr.endpoints',
  'unknown',
])

/** The refusal of an endpoint to this tenant; null when it serves it. */
export function refusalOf(behaviour: TenantBehaviour, endpoint: string): Answer | null {
  const { role, licences, tenantInfo } = behaviour
  const isDenied =
    (role === 'viewer-without-keys' && endpoint === 'api-keys.list') ||
    (role === 'agents-only' && !EVERY_ROLE.has(endpoint)) ||
    (tenantInfo === 'refused' && endpoint === 'tenant-info')
  if (isDenied) return statusAnswer('forbidden')
  const licence = LICENCE_OF[endpoint]
  return licence === undefined || licences.includes(licence) ? null : unlicensed(behaviour)
}

function unlicensed({ unlicensed: how }: TenantBehaviour): Answer {
  switch (how) {
    case 'payment-required': {
      const message = 'User does not have the required license type to run this API'
      return replyError(402, message, null)
    }
    case 'no-identity-threat':
      return statusAnswer('no-identity-threat')
    case 'not-found':
      return notFound('No such collector')
    case 'waitress':
      return waitress()
  }
}

/** Streams of the truth that a tenant with these licences shows. */
export const isShown = ({ licences }: TenantBehaviour, stream: string): boolean => {
  const licence = LICENCE_OF[stream]
  return licence === undefined || licences.includes(licence)
}

/** The one key of the tenant, without its secret. */
export const keyList = ({ apiKeyId, securityLevel, endsMs }: ApiKey): Answer =>
  json(200, {
    reply: {
      DATA: [
        {
          id: apiKeyId,
          creation_time: 1_740_000_000_000,
          user_name: 'Simulated Reader',
          roles: ['Viewer'],
          security_level: securityLevel.toUpperCase(),
          comment: '',
          expiration: endsMs,
        },
      ],
      FILTER_COUNT: 1,
      TOTAL_COUNT: 1,
    },
  })

const ALL = LICENCES.length

/** Ends of licences come in every form: 0, seconds, milliseconds, words. */
export function tenantInfo(name: string, { licences }: TenantBehaviour): Answer {
  const has = (licence: Licence) => licences.includes(licence)
  const hasAll = licences.length === ALL
  return json(200, {
    reply: {
      tenant_name: name,
      xsiam_premium_expiration: hasAll ? 1_900_000_000_000 : 0,
      purchased_xsiam_premium: hasAll ? { users: 100, gb: 100, agents: 500 } : 0,
      pro_per_endpoint_expiration: has('xdr') ? 'Nov 7th 2035 07:59:59' : 0,
      attack_surface_management_expiration: has('asm') ? 1_900_000_000 : 0,
      pro_cloud_expiration: has('cloud') ? 1_900_000_000_000 : 'Aug 13th 2023 11:03:41',
      host_insights_expiration: 'Nov 7th 2035 07:59:59',
      enabled_host_insights: 1,
      forensics_expiration: 0,
    },
  })
}
