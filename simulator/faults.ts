// Faults to set on any endpoint, so that every row of the troubleshooting tables can be shown.
import { z } from 'zod'
import { VENDOR_ID, type VendorId } from '../contracts/topics.ts'

const common = {
  vendor: z.string().regex(VENDOR_ID),
  /** A tenant's name; absent: every tenant of the vendor. */
  tenant: z.string().min(1).optional(),
  /** Matched against the name (`compute.hosts`) and the path; `*` stands for anything. */
  endpoint: z.string().min(1).default('*'),
  /** How many requests it hits. */
  times: z.union([z.int().min(1).max(1_000_000), z.literal('forever')]).default(1),
  /** How many matching requests pass first. */
  skip: z.int().min(0).max(1_000_000).default(0),
}

export const STATUS_ANSWERS = [
  'unauthorized',
  'forbidden',
  'not-found',
  'too-many-requests',
  'too-many-requests-with-headers',
  'too-many-requests-html',
  'waitress',
  'no-identity-threat',
  'bad-gateway',
  'unavailable',
  'html-ok',
  'payload-too-large',
  'uri-too-long',
  'parallel-queries',
  'quota-exhausted',
] as const
export type StatusAnswer = (typeof STATUS_ANSWERS)[number]

const DELAY_MS_MAX = 600_000
/** Keys of an object within a row, divided by `/`; lists stand for all of their elements. */
const fieldPath = z.string().min(1)

const faultSchema = z.discriminatedUnion('kind', [
  z.strictObject({ ...common, kind: z.literal('status'), answer: z.enum(STATUS_ANSWERS) }),
  /** Every token given so far is worthless from now on. */
  z.strictObject({ ...common, kind: z.literal('expire-token') }),
  /** The connection breaks in the middle of the body. */
  z.strictObject({ ...common, kind: z.literal('reset') }),
  /** `json`: the body ends early yet closes well; `length`: shorter than announced; `gzip`: the
   * body ends well in the middle of its gzip. */
  z.strictObject({
    ...common,
    kind: z.literal('truncate'),
    form: z.enum(['json', 'length', 'gzip']).default('json'),
  }),
  z.strictObject({ ...common, kind: z.literal('not-json') }),
  z.strictObject({
    ...common,
    kind: z.literal('slow'),
    delayMs: z.int().min(1).max(DELAY_MS_MAX),
  }),
  /** The body comes in `pieces`, with a pause before each. */
  z.strictObject({
    ...common,
    kind: z.literal('slow-body'),
    delayMs: z.int().min(1).max(DELAY_MS_MAX),
    pieces: z.int().min(2).max(1_000).default(8),
  }),
  /** The body of the answer before, once more: the same page, and the same token for the next. */
  z.strictObject({ ...common, kind: z.literal('repeat-page') }),
  /** 200 without a row. */
  z.strictObject({ ...common, kind: z.literal('empty') }),
  /** `share` of the rows is left out; `declared` says whether totals still count them. */
  z.strictObject({
    ...common,
    kind: z.literal('missing-rows'),
    share: z.number().min(0).max(1).default(0.5),
    declared: z.enum(['shown', 'all']).default('shown'),
  }),
  /** The answer's row number `nth` (from 0) lacks `field`. */
  z.strictObject({
    ...common,
    kind: z.literal('drop-field'),
    field: z.string().min(1),
    nth: z.int().min(0).max(100_000).default(0),
  }),
  /** The first `by` rows of the listing have gone, and all others have moved up. */
  z.strictObject({
    ...common,
    kind: z.literal('shift-rows'),
    by: z.int().min(1).max(100_000).default(1),
  }),
  /** Every row has a field that nobody knows. */
  z.strictObject({ ...common, kind: z.literal('new-field'), field: fieldPath }),
  /** In every row the field has another word than ever before. */
  z.strictObject({
    ...common,
    kind: z.literal('new-value'),
    field: fieldPath,
    value: z.string().min(1).default('NEVER_HEARD_OF'),
  }),
  /** In every row the field has another type: a number as text, a text as an object. */
  z.strictObject({ ...common, kind: z.literal('type-change'), field: fieldPath }),
  /** The same rows in other words: lists the other way round, fractions a hair off. */
  z.strictObject({ ...common, kind: z.literal('jitter') }),
  /** Cortex only: the key counts as one of the other security level. */
  z.strictObject({ ...common, kind: z.literal('wrong-level') }),
])

/** A fault as one sets it: `endpoint`, `times`, `skip` may be left out. */
export type Fault = z.input<typeof faultSchema>
/** A fault with every choice made. */
export type SetFault = z.infer<typeof faultSchema>
export type FaultKind = SetFault['kind']

/** Kinds that only an endpoint with rows, keys or tokens can show; it names those it knows. */
const SPECIAL: ReadonlySet<FaultKind> = new Set<FaultKind>([
  'empty',
  'missing-rows',
  'drop-field',
  'wrong-level',
])
/** Kinds that every listing shows: whatever pages rows and lacks some can also show these. */
const OF_LISTINGS: ReadonlySet<FaultKind> = new Set<FaultKind>([
  'shift-rows',
  'new-field',
  'new-value',
  'type-change',
  'jitter',
])
const FAULTS_MAX = 1_000

export type Target = {
  readonly vendor: VendorId
  readonly tenant: string
  readonly endpoint: string
  readonly path: string
  /** Special kinds the endpoint can show. */
  readonly shows: ReadonlySet<FaultKind>
}

export type FaultControl = {
  /** Adds one or more. @throws ZodError when one is not a fault; RangeError above 1,000 */
  set(...faults: readonly Fault[]): void
  clear(): void
  /** Those still to come. */
  list(): readonly SetFault[]
  /** The fault for this request, counted as shown; null for none. */
  take(target: Target): SetFault | null
}

/** An empty list of faults. */
export function createFaults(): FaultControl {
  let pending: { fault: SetFault; skip: number; left: number }[] = []
  return {
    set: (...faults) => {
      const parsed = faults.map((f) => faultSchema.parse(f))
      if (pending.length + parsed.length > FAULTS_MAX) {
        throw new RangeError(`at most ${FAULTS_MAX} faults at a time`)
      }
      const added = parsed.map((fault) => ({
        fault,
        skip: fault.skip,
        left: fault.times === 'forever' ? Infinity : fault.times,
      }))
      pending.push(...added)
    },
    clear: () => {
      pending = []
    },
    list: () => pending.map((p) => p.fault),
    take: (target) => {
      for (const entry of pending) {
        if (!matches(entry.fault, target)) continue
        if (entry.skip > 0) {
          entry.skip -= 1
          continue
        }
        entry.left -= 1
        pending = pending.filter((p) => p.left > 0)
        return entry.fault
      }
      return null
    },
  }
}

function matches(fault: SetFault, target: Target): boolean {
  if (fault.vendor !== target.vendor) return false
  if (fault.tenant !== undefined && fault.tenant !== target.tenant) return false
  if (SPECIAL.has(fault.kind) && !target.shows.has(fault.kind)) return false
  if (OF_LISTINGS.has(fault.kind) && !isListing(target)) return false
  return glob(fault.endpoint, target.endpoint) || glob(fault.endpoint, target.path)
}

const isListing = ({ shows }: Target): boolean =>
  shows.has('missing-rows') && shows.has('drop-field')

function glob(pattern: string, text: string): boolean {
  const parts = pattern.split('*').map((p) => p.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(text)
}
