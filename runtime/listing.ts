// What listings share, however they are paged: bounds, keys of rejected items, a lost place.
import { createHash } from 'node:crypto'
import { PipelineError } from '../contracts/errors.ts'

/** Of a unit's id. */
export const ID_CHARACTERS_MAX = 1_024
/** Below this share of a listing, what moved while it was read is drift. */
export const DRIFT_SHARE_MAX = 0.01
/** Pages without a row in a row, each with a new token, before a listing is given up. */
export const EMPTY_PAGES_MAX = 3
/** Why a listing ends that has come to EMPTY_PAGES_MAX. */
export const EMPTY_PAGES = `${EMPTY_PAGES_MAX} pages without a row, and still a token`

/** Tells items without an id apart. Never the id of a unit that a vendor gives. */
export const rejectedKey = (body: Buffer): string =>
  `rejected:${createHash('sha256').update(body).digest('hex')}`

/** Retriable: the next run begins at the start. */
export const placeLost = (why: string, cause?: unknown): PipelineError =>
  new PipelineError('TEMPORARY_FAILURE', 'FETCH', `cannot go on where the run stood: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    remediation: 'Nothing to do: the listing begins again by itself.',
  })
