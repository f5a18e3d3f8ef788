// What goes wrong with vendors, by name: the faults that bring it about, and how each run must end.
import type { ErrorType } from '../contracts/errors.ts'
import type { Verdict } from '../contracts/run.ts'
import type { Fault } from './faults.ts'
import { type StreamFacts, factsOfStream } from './scenario-streams.ts'
import type { SimulatorOptions } from './simulator.ts'
import { STREAMS, type StreamName } from './truth.ts'

/** How a run ends under a scenario. */
export type Ending = {
  /** Any of these is right: which one depends on how many rows there are. */
  readonly verdicts: readonly Verdict[]
  /** `all`: what there is, and no more. `all left`: at least what is still there at the end. */
  readonly published: 'all' | 'all left' | 'less' | 'nothing'
  /** What operations are told; null: nothing. */
  readonly told: ErrorType | null
}

export type Scenario = {
  readonly name: string
  /** One sentence: what the client meets. */
  readonly explanation: string
  /** Behaviour of the simulated vendors that no fault can give. */
  readonly options?: Partial<SimulatorOptions>
  /** The faults for one stream; null where it cannot meet this. */
  readonly faults: (stream: StreamFacts) => readonly Fault[] | null
  readonly ending: (stream: StreamFacts) => Ending
}

const cured = (told: ErrorType | null): Ending => ({
  verdicts: ['COMPLETE'],
  published: 'all',
  told,
})
const failed = (told: ErrorType): Ending => ({ verdicts: ['FAILED'], published: 'nothing', told })
const partial: Ending = { verdicts: ['PARTIAL'], published: 'less', told: 'MISSING_DATA' }

const forever = { times: 'forever' } as const
/** The first call for the stream's own data. */
const entry = ({ vendor, entry: endpoint }: StreamFacts) => ({ vendor, endpoint })
/** The call that gives rows. */
const rows = ({ vendor, rows: endpoint }: StreamFacts) => ({ vendor, endpoint })
const isPaged = ({ paging }: StreamFacts): boolean => paging !== 'one answer'

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'expired-token-mid-page',
    explanation: 'the log-in token ends between two pages; a new log-in goes on with the next page',
    faults: (s) =>
      s.vendor === 'prisma-cloud' ? [{ ...rows(s), kind: 'expire-token', skip: s.later }] : null,
    ending: () => cured(null),
  },
  {
    name: 'repeated-token',
    explanation: 'the second page is the first one again, and so is every page after it',
    faults: (s) =>
      isPaged(s) ? [{ ...rows(s), ...forever, kind: 'repeat-page', skip: s.later }] : null,
    ending: () => partial,
  },
  {
    name: 'repeated-last-token',
    explanation: 'the last page names its own token as the next one; nothing is missing',
    options: {
      cspm: { lastToken: 'repeated' },
      cortexTenants: [{ lastToken: 'repeated' }, { lastToken: 'repeated' }],
    },
    faults: (s) => (s.paging === 'token' ? [] : null),
    ending: () => cured(null),
  },
  {
    name: 'trailing-empty-page',
    explanation: 'the last full page names one more page, which is empty',
    options: { cspm: { lastToken: 'one-more' } },
    faults: (s) => (s.name === 'cspm.config' ? [] : null),
    ending: () => cured(null),
  },
  {
    name: 'moved-page-boundary',
    explanation:
      'a row of the first page vanishes while the listing is read, and all others move up',
    faults: (s) =>
      s.paging === 'offset'
        ? [{ ...rows(s), ...forever, kind: 'shift-rows', skip: s.later }]
        : null,
    ending: () => ({ verdicts: ['DRIFTED', 'PARTIAL'], published: 'all left', told: null }),
  },
  {
    name: 'too-many-requests',
    explanation: 'two calls are answered by 429 without any header',
    faults: (s) => [{ ...entry(s), times: 2, kind: 'status', answer: 'too-many-requests' }],
    ending: () => cured('TOO_MANY_REQUESTS'),
  },
  {
    name: 'too-many-requests-html',
    explanation: 'a proxy answers 429 with a web page',
    faults: (s) => [{ ...entry(s), kind: 'status', answer: 'too-many-requests-html' }],
    ending: () => cured('TOO_MANY_REQUESTS'),
  },
  {
    name: 'html-200',
    explanation: 'a log-in page comes with status 200 in place of data',
    faults: (s) => [{ ...rows(s), kind: 'status', answer: 'html-ok' }],
    ending: () => cured('TEMPORARY_FAILURE'),
  },
  {
    name: 'not-json-200',
    explanation: 'text comes with status 200, announced as JSON',
    faults: (s) => [{ ...rows(s), kind: 'not-json' }],
    ending: () => cured('INVALID_RESPONSE'),
  },
  {
    name: 'truncated-gzip',
    explanation: 'the answer ends well in the middle of its gzip',
    faults: (s) => [{ ...rows(s), kind: 'truncate', form: 'gzip' }],
    ending: () => cured('TEMPORARY_FAILURE'),
  },
  {
    name: 'truncated-json',
    explanation: 'the answer ends well in the middle of its JSON',
    faults: (s) => [{ ...rows(s), kind: 'truncate', form: 'json' }],
    // A result in one answer has a gzip of its own, which is cut then.
    ending: (s) => cured(s.paging === 'one answer' ? 'TEMPORARY_FAILURE' : 'INVALID_RESPONSE'),
  },
  {
    name: 'uri-too-long',
    explanation: 'every call is refused with 414',
    faults: (s) => [{ ...entry(s), ...forever, kind: 'status', answer: 'uri-too-long' }],
    ending: () => failed('BAD_REQUEST'),
  },
  {
    name: 'payload-too-large',
    explanation: 'every call is refused with 413',
    faults: (s) => [{ ...entry(s), ...forever, kind: 'status', answer: 'payload-too-large' }],
    ending: () => failed('BAD_REQUEST'),
  },
  {
    name: 'reset-mid-body',
    explanation: 'the connection breaks in the middle of a body',
    faults: (s) => [{ ...rows(s), kind: 'reset' }],
    ending: () => cured('TEMPORARY_FAILURE'),
  },
  {
    name: 'slow-body',
    explanation: 'a body comes in small pieces with pauses between them',
    faults: (s) => [{ ...rows(s), kind: 'slow-body', delayMs: 10, pieces: 12 }],
    ending: () => cured(null),
  },
  {
    name: '5xx-burst',
    explanation: 'three calls meet 503 and 502 of a gateway',
    faults: (s) => [
      { ...entry(s), times: 2, kind: 'status', answer: 'unavailable' },
      { ...entry(s), kind: 'status', answer: 'bad-gateway' },
    ],
    ending: () => cured('TEMPORARY_FAILURE'),
  },
  {
    name: 'wrong-key-level',
    explanation: 'the API key is one of the other security level',
    faults: (s) =>
      s.vendor === 'cortex' ? [{ vendor: 'cortex', ...forever, kind: 'wrong-level' }] : null,
    ending: () => failed('AUTHORIZATION_FAILURE'),
  },
  {
    name: 'unlicensed-module',
    explanation: 'the tenant has not bought the module that the stream belongs to',
    faults: unlicensed,
    ending: () => failed('NOT_LICENSED'),
  },
  {
    name: 'drift-new-field',
    explanation: 'every row has a field that nobody knows',
    faults: ({ drift }) => [
      { ...drift.place, ...forever, kind: 'new-field', field: 'brandNewField' },
    ],
    ending: () => cured('CONTRACT_DRIFT'),
  },
  {
    name: 'drift-new-value',
    explanation: 'a known enumeration has a word that nobody knows',
    faults: ({ drift }) => [{ ...drift.place, ...forever, kind: 'new-value', field: drift.word }],
    ending: () => cured('CONTRACT_DRIFT'),
  },
  {
    name: 'drift-type-change',
    explanation: 'a field of every row has another type than before',
    faults: ({ drift }) => [
      { ...drift.place, ...forever, kind: 'type-change', field: drift.typed },
    ],
    ending: () => cured('CONTRACT_DRIFT'),
  },
  {
    name: 'missing-rows',
    explanation: 'a part of the rows never comes, although the vendor counts them',
    faults: (s) =>
      s.declares
        ? [{ ...rows(s), ...forever, kind: 'missing-rows', share: 0.3, declared: 'all' }]
        : null,
    // Without a place to go on from, a result with fewer rows than counted is asked for anew.
    ending: (s) => (s.paging === 'one answer' ? failed('TEMPORARY_FAILURE') : partial),
  },
  {
    name: 'empty-200',
    explanation: 'the listing is there, and has no rows',
    faults: (s) => [{ vendor: s.vendor, ...forever, endpoint: s.emptied, kind: 'empty' }],
    ending: () => ({ verdicts: ['COMPLETE'], published: 'nothing', told: 'MISSING_DATA' }),
  },
  {
    name: 'xql-concurrency',
    explanation: 'other queries of the tenant take all places, three times',
    faults: (s) =>
      s.entry === 'xql.start'
        ? [{ ...entry(s), times: 3, kind: 'status', answer: 'parallel-queries' }]
        : null,
    ending: () => cured('TOO_MANY_REQUESTS'),
  },
  {
    name: 'quota-exhausted',
    explanation: "the tenant's quota of queries is used up",
    faults: (s) =>
      s.entry === 'xql.start'
        ? [{ ...entry(s), ...forever, kind: 'status', answer: 'quota-exhausted' }]
        : null,
    ending: () => failed('QUOTA_EXHAUSTED'),
  },
]

function unlicensed(stream: StreamFacts): readonly Fault[] | null {
  if (stream.vendor === 'cortex') {
    const answer = 'no-identity-threat'
    return [{ ...entry(stream), ...forever, kind: 'status', answer }]
  }
  if (!stream.name.startsWith('compute.')) return null
  const field = 'twistlockUrl'
  const place = { vendor: 'prisma-cloud', endpoint: 'cspm.meta-info' } as const
  return [{ ...place, ...forever, kind: 'drop-field', field }]
}

/** The scenario of that name; undefined when there is none. */
export const scenarioNamed = (name: string): Scenario | undefined =>
  SCENARIOS.find((scenario) => scenario.name === name)

/** The streams that can meet it. */
export const streamsOf = ({ faults }: Scenario): StreamName[] =>
  STREAMS.filter((stream) => faults(factsOfStream(stream)) !== null)

/** Its faults for all streams, each once. */
export function faultsOf({ faults }: Scenario): readonly Fault[] {
  const all = STREAMS.flatMap((stream) => faults(factsOfStream(stream)) ?? [])
  return [...new Map(all.map((fault) => [JSON.stringify(fault), fault])).values()]
}
