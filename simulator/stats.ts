// Counts what clients ask, so that tests can hold them to the vendors' limits.

export type EndpointStats = { requests: number; byStatus: Record<string, number> }
export type SiteStats = {
  readonly vendor: string
  readonly tenant: string
  /** By endpoint name; `unknown` collects all other paths. */
  readonly endpoints: Record<string, EndpointStats>
  /** Requests under way at once. */
  concurrencyMax: number
  /** Requests begun within any one second. */
  perSecondMax: number
}

export type SiteCounter = {
  readonly stats: SiteStats
  /** Counts the start of a request; call the answer with its status when it is over. */
  begin(endpoint: string): (status: number) => void
}

const SECOND_MS = 1_000

/** A counter of one site. Real time counts, whatever clock the simulator was given. */
export function createCounter(vendor: string, tenant: string): SiteCounter {
  const stats: SiteStats = { vendor, tenant, endpoints: {}, concurrencyMax: 0, perSecondMax: 0 }
  let running = 0
  let begunMs: number[] = []
  return {
    stats,
    begin: (endpoint) => {
      const nowMs = performance.now()
      begunMs = [...begunMs.filter((ms) => ms > nowMs - SECOND_MS), nowMs]
      running += 1
      stats.perSecondMax = Math.max(stats.perSecondMax, begunMs.length)
      stats.concurrencyMax = Math.max(stats.concurrencyMax, running)
      const entry = (stats.endpoints[endpoint] ??= { requests: 0, byStatus: {} })
      entry.requests += 1
      return (status) => {
        running -= 1
        entry.byStatus[status] = (entry.byStatus[status] ?? 0) + 1
      }
    },
  }
}

/** True while no more than `count` calls fell into the last `windowMs`; only those count. */
export function createWindow(count: number, windowMs: number): (nowMs: number) => boolean {
  let admittedMs: number[] = []
  return (nowMs) => {
    admittedMs = admittedMs.filter((ms) => ms > nowMs - windowMs)
    if (admittedMs.length >= count) return false
    admittedMs.push(nowMs)
    return true
  }
}

/** A token bucket: `perSecond` calls go on for ever, `burst` at once. */
export function createBucket(perSecond: number, burst: number): (nowMs: number) => boolean {
  let left = burst
  let filledMs: number | null = null
  return (nowMs) => {
    const since = filledMs === null ? 0 : Math.max(0, nowMs - filledMs)
    left = Math.min(burst, left + (since / SECOND_MS) * perSecond)
    filledMs = nowMs
    if (left < 1) return false
    left -= 1
    return true
  }
}
