// How far a listing by offset can be trusted, by what was counted while it was read.
import type { PullEnd } from '../contracts/ports.ts'
import { DRIFT_SHARE_MAX } from './listing.ts'

/** Steps back, each by a page, until one leads on; pages in a row that may bring nothing new. */
export const STEPS_BACK_MAX = 20

export type OffsetCounts = {
  /** Distinct items. */
  readonly listed: number
  readonly repeats: number
  readonly tooLarge: number
  /** What the vendor declared: on the first page, on the last one, and how far it moved. */
  readonly totalFirst: number | null
  readonly totalLast: number | null
  readonly totalMoved: number
  /** Places by which rows moved between two pages, at most. */
  readonly moved: number
  /** Rows of the largest page. */
  readonly widest: number
  /** Pages taken although they follow nothing that was read. */
  readonly unjoined: number
}

/** `atLeast`: what the listing has at least, by its last page. `stopped`: why it was given up. */
export function offsetEnd(
  counts: OffsetCounts,
  atLeast: number,
  pageSize: number,
  stopped: string | null,
): PullEnd {
  const { listed, tooLarge, totalFirst, totalLast, totalMoved, moved, widest, unjoined } = counts
  // An older total is no longer true where the last page only tells what there is at least.
  const declared = atLeast > 0 ? null : totalLast
  if (stopped !== null) return { verdict: 'PARTIAL', declared, reason: stopped }
  if (tooLarge > 0) {
    return { verdict: 'PARTIAL', declared, reason: `${tooLarge} units above the largest size` }
  }
  const gap = declared === null ? atLeast - listed : Math.abs(declared - listed)
  const drifted = totalMoved > 0 || moved > 0 || counts.repeats > 0
  if (!drifted && gap <= 0) return { verdict: 'COMPLETE', declared, reason: null }
  if (!drifted) {
    const reason = `${listed} items listed, ${declared ?? `at least ${atLeast}`} declared`
    return { verdict: 'PARTIAL', declared, reason }
  }
  // None of the steps back has met a row that was known: so many may have slipped past.
  const unknown = unjoined * (STEPS_BACK_MAX + 1) * pageSize
  const bound = DRIFT_SHARE_MAX * Math.max(totalFirst ?? 0, declared ?? atLeast, listed)
  // Without overlap nobody knows what slipped past.
  const isSmall = widest > 1 && Math.max(totalMoved, moved, gap, unknown) < bound
  return { verdict: isSmall ? 'DRIFTED' : 'PARTIAL', declared, reason: driftOf(counts) }
}

function driftOf({
  listed,
  repeats,
  totalFirst,
  totalLast,
  moved,
  unjoined,
}: OffsetCounts): string {
  const declared =
    totalLast === null ? '' : `declared ${totalFirst} at first, ${totalLast} at last; `
  const boundaries = moved === 0 ? '' : `; rows moved by ${moved} places`
  const unknown =
    unjoined === 0 ? '' : `; ${unjoined} pages joined nothing after ${STEPS_BACK_MAX} steps back`
  return `${declared}${listed} listed, ${repeats} twice${boundaries}${unknown}`
}
