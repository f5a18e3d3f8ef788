// Counts of open findings as the vendor reports them.
import type { Severity } from '../contracts/event-meta.ts'
import type { AssetState } from '../contracts/asset.ts'
import { isObject, numberOf } from './text.ts'

type Counts = NonNullable<AssetState['finding_counts']>
const COUNT_MAX = 2 ** 31 - 1

/**
 * `{critical, high, medium, low}` with an optional `total`; `total` stands in for one that is
 * missing there. Null when neither is given.
 */
export function severityCountsOf(value: unknown, total: number | null): Counts | null {
  if (!isObject(value)) {
    return total === null ? null : { critical: 0, high: 0, medium: 0, low: 0, total: count(total) }
  }
  const [critical, high] = [count(value['critical']), count(value['high'])]
  const [medium, low] = [count(value['medium']), count(value['low'])]
  const sum = Math.min(critical + high + medium + low, COUNT_MAX)
  const given = value['total'] ?? total
  return { critical, high, medium, low, total: given === null ? sum : count(given) }
}

/** The worst severity that occurs; INFORMATIONAL when none does. */
export function worstOf(counts: Counts): Severity {
  if (counts.critical > 0) return 'CRITICAL'
  if (counts.high > 0) return 'HIGH'
  if (counts.medium > 0) return 'MEDIUM'
  return counts.low > 0 ? 'LOW' : 'INFORMATIONAL'
}

const count = (value: unknown): number =>
  Math.min(Math.max(Math.trunc(numberOf(value) ?? 0), 0), COUNT_MAX)
