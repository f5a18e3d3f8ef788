// Counters of the running process, per connection and stream: what the status line shows.

export type StreamCounters = {
  pages: number
  /** Units published to the raw topic. */
  units: number
  /** Exposure events emitted. */
  events: number
  /** Dead letters and faults reported. */
  errors: number
  runs: number
  state: 'waiting' | 'running'
  verdict: string | null
}

export type Metrics = {
  /** `stream` is `<connection>|<stream>`. */
  of(stream: string): StreamCounters
  entries(): readonly (readonly [stream: string, counters: StreamCounters])[]
}

export function createMetrics(): Metrics {
  const counters = new Map<string, StreamCounters>()
  return {
    of(stream) {
      const known = counters.get(stream)
      if (known) return known
      const fresh: StreamCounters = {
        pages: 0,
        units: 0,
        events: 0,
        errors: 0,
        runs: 0,
        state: 'waiting',
        verdict: null,
      }
      counters.set(stream, fresh)
      return fresh
    },
    entries: () => [...counters].toSorted(([a], [b]) => (a < b ? -1 : Number(a > b))),
  }
}
