// What `exposure reconcile` says of each store.
import type { PipelineError } from '../contracts/errors.ts'
import { printable } from './dlq-text.ts'
import type { Difference, KindReport } from './reconcile-compare.ts'
import { AUDIT_TOPICS } from './reconcile-fold.ts'

/** Keys that are named of a kind; the rest is counted. */
const NAMED_MAX = 50
const FILL_AGAIN =
  'look at who else writes to this store; to fill it again: docs/sinks.md, "Filling a store again".'

export type SinkVerdict = {
  readonly name: string
  readonly type: string
  /** Null: it was not compared. */
  readonly kinds: readonly KindReport[] | null
  /** Why it cannot be asked at all. */
  readonly unasked: string | null
  /** Why it could not be asked now. */
  readonly error: PipelineError | null
}

function countsDiffer({ isCounted, isWhole, inTopic, inStore, doubtful }: KindReport): boolean {
  if (!isCounted || isWhole || inTopic === null || inStore === null) return false
  return inStore > inTopic || inStore < inTopic - doubtful
}

/** Keys, or where only some were compared, counts. */
export const differs = ({ kinds }: SinkVerdict): boolean =>
  (kinds ?? []).some((report) => report.differences.length > 0 || countsDiffer(report))

/** What --json prints of one sink. */
export function factsOf(verdict: SinkVerdict, seed: number) {
  const { name, type, kinds, unasked, error } = verdict
  return {
    sink: name,
    type,
    verdict: wordOf(verdict),
    ...(unasked === null ? {} : { reason: unasked }),
    ...(error === null
      ? {}
      : { error: error.failure, message: error.message, nextStep: error.remediation }),
    ...(kinds === null ? {} : { seed, kinds: kinds.map(kindFacts) }),
  }
}

const kindFacts = (report: KindReport) => ({
  kind: report.kind,
  inTopic: report.inTopic,
  inStore: report.inStore,
  compared: report.compared,
  all: report.isWhole,
  lag: report.lag,
  doubtful: report.doubtful,
  countsDiffer: countsDiffer(report),
  differing: report.differences.length,
  differences: report.differences.slice(0, NAMED_MAX),
  deadLettered: report.refused,
  undecided: report.undecided,
})

function wordOf(verdict: SinkVerdict): string {
  if (verdict.error !== null) return 'not reached'
  if (verdict.kinds === null || verdict.kinds.length === 0) return 'not compared'
  return differs(verdict) ? 'differs' : 'equal'
}

/** The lines of one sink. */
export function verdictLines(verdict: SinkVerdict, seed: number): string[] {
  const { name, kinds, unasked, error } = verdict
  const head = `${name}: ${wordOf(verdict)}`
  if (error !== null) {
    return [`${head}: ${printable(error.message)}`, `  next step: ${error.remediation}`]
  }
  if (unasked !== null) return [`${head}: ${unasked}`]
  if (kinds === null || kinds.length === 0) return [`${head}: it gets neither assets nor findings`]
  const lines = kinds.flatMap((report) => kindLines(report, seed))
  return [head, ...lines, ...(differs(verdict) ? [`  next step: ${FILL_AGAIN}`] : [])]
}

function kindLines(report: KindReport, seed: number): string[] {
  const { kind, inTopic, inStore, compared, isWhole, lag, differences } = report
  const known = (count: number | null) => (count === null ? 'not counted' : String(count))
  const keys = isWhole ? `all ${compared} keys compared` : `${compared} keys compared, seed ${seed}`
  const notes = [
    lag === 0 ? null : `${lag} records behind, which are not compared`,
    countsDiffer(report) ? 'the counts differ' : null,
    report.refused === 0 ? null : `${report.refused} refused by the store: exposure dlq list`,
    isWhole || report.doubtful === 0 ? null : `${report.doubtful} of the topic were refused`,
    report.undecided === 0 ? null : `${report.undecided} from before its start, or too old to tell`,
  ].filter((note) => note !== null)
  const topic = AUDIT_TOPICS[kind]
  const more = differences.length - NAMED_MAX
  return [
    `  ${topic}: topic ${known(inTopic)}, store ${known(inStore)}; ${[keys, ...notes].join('; ')}`,
    ...differences.slice(0, NAMED_MAX).map((one) => `    ${differenceLine(one)}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
  ]
}

function differenceLine({ type, uid, expected, held }: Difference): string {
  const revisions = {
    missing: `revision ${expected}`,
    extra: `revision ${held}`,
    'other revision': `${held} in the store, ${expected} in the topic`,
  }
  return `${type}  ${printable(uid)}  ${revisions[type]}`
}
