// For each row of the troubleshooting tables the faults that bring it about, per vendor.
import type { Failure } from '../contracts/errors.ts'
import type { ListedVendor } from '../contracts/topics.ts'
import type { Fault } from './faults.ts'

export type Provoked = Extract<
  Failure,
  | 'AUTHORIZATION_FAILURE'
  | 'ACCESS_FORBIDDEN'
  | 'NOT_FOUND'
  | 'TOO_MANY_REQUESTS'
  | 'TEMPORARY_FAILURE'
  | 'TEMPORARY_DISCONNECTED'
  | 'MISSING_DATA'
  | 'INVALID_RESPONSE'
  | 'SCHEMA_VIOLATION'
  | 'NOT_LICENSED'
>
type Table = Readonly<Record<Provoked, readonly Fault[]>>

const prisma = { vendor: 'prisma-cloud' } as const
const hosts = { ...prisma, endpoint: 'compute.hosts' } as const
const cortex = { vendor: 'cortex' } as const
const forever = { times: 'forever' } as const
const endpoints = { ...cortex, endpoint: 'xdr.endpoints' } as const

/** Set all faults of a row (`faults.set(...PROVOKE.cortex.NOT_FOUND)`) and run a connector. */
export const PROVOKE: Readonly<Record<ListedVendor, Table>> = {
  'prisma-cloud': {
    AUTHORIZATION_FAILURE: [{ ...prisma, ...forever, kind: 'status', answer: 'unauthorized' }],
    ACCESS_FORBIDDEN: [{ ...hosts, ...forever, kind: 'status', answer: 'forbidden' }],
    NOT_FOUND: [{ ...prisma, ...forever, kind: 'status', answer: 'not-found' }],
    TOO_MANY_REQUESTS: [{ ...hosts, times: 2, kind: 'status', answer: 'too-many-requests' }],
    TEMPORARY_FAILURE: [
      { ...hosts, kind: 'status', answer: 'bad-gateway' },
      { ...hosts, kind: 'status', answer: 'unavailable' },
    ],
    TEMPORARY_DISCONNECTED: [{ ...prisma, ...forever, kind: 'status', answer: 'bad-gateway' }],
    MISSING_DATA: [{ ...hosts, ...forever, kind: 'empty' }],
    INVALID_RESPONSE: [{ ...hosts, kind: 'truncate', form: 'json' }],
    SCHEMA_VIOLATION: [{ ...hosts, ...forever, kind: 'drop-field', field: '_id' }],
    NOT_LICENSED: [
      {
        ...prisma,
        ...forever,
        endpoint: 'cspm.meta-info',
        kind: 'drop-field',
        field: 'twistlockUrl',
      },
    ],
  },
  cortex: {
    AUTHORIZATION_FAILURE: [{ ...cortex, ...forever, kind: 'status', answer: 'unauthorized' }],
    ACCESS_FORBIDDEN: [
      { ...endpoints, ...forever, kind: 'status', answer: 'forbidden' },
      { ...cortex, ...forever, endpoint: 'cloud.assets', kind: 'status', answer: 'forbidden' },
      { ...cortex, ...forever, endpoint: 'xql.start', kind: 'status', answer: 'forbidden' },
    ],
    // A wrong address shows there as this 500, never as a 404.
    NOT_FOUND: [{ ...cortex, ...forever, kind: 'status', answer: 'waitress' }],
    TOO_MANY_REQUESTS: [{ ...cortex, times: 2, kind: 'status', answer: 'too-many-requests' }],
    TEMPORARY_FAILURE: [
      { ...endpoints, kind: 'status', answer: 'bad-gateway' },
      { ...endpoints, kind: 'status', answer: 'unavailable' },
    ],
    TEMPORARY_DISCONNECTED: [{ ...cortex, ...forever, kind: 'status', answer: 'unavailable' }],
    MISSING_DATA: [
      { ...endpoints, ...forever, kind: 'empty' },
      { ...cortex, ...forever, endpoint: 'cloud.assets', kind: 'empty' },
      { ...cortex, ...forever, endpoint: 'xql.start', kind: 'empty' },
    ],
    INVALID_RESPONSE: [{ ...endpoints, kind: 'truncate', form: 'json' }],
    SCHEMA_VIOLATION: [{ ...endpoints, ...forever, kind: 'drop-field', field: 'endpoint_id' }],
    NOT_LICENSED: [{ ...endpoints, ...forever, kind: 'status', answer: 'no-identity-threat' }],
  },
}
