// A second lifecycle, small and slow: sets of units, counters of absence, no log and no marks.

/** What one raw record shows of its unit. */
export type Shown =
  | { readonly kind: 'ok'; readonly findings: readonly string[] | null; readonly level: number }
  | { readonly kind: 'dead' | 'large' }

export type Sight = {
  /** `connection|stream|unit` */
  readonly key: string
  readonly asset: string
  readonly runId: string
  readonly atMs: number
  readonly shown: Shown
  /** Written again by a replay. */
  readonly again: boolean
}

export type End = {
  /** `connection|stream` */
  readonly stream: string
  readonly runId: string
  readonly startMs: number
  readonly endMs: number
  readonly verdict: 'COMPLETE' | 'DRIFTED' | 'PARTIAL' | 'FAILED'
  readonly scope: string
  readonly hold: boolean
}

export type Limits = {
  readonly closeAfterRuns: number
  readonly purgeAfterMs: number
  readonly fuseShare: number
  readonly fuseUnits: number
}

type Unit = {
  runId: string
  atMs: number
  gone: boolean
  dead: boolean
  shows: string[]
  /** Weight of listings without it since it was seen: sure, and that of a row of drifted ones. */
  sure: number
  trail: number
  /** Only other filters have listed it. */
  outside: boolean
}
type Thing = {
  readonly isAsset: boolean
  open: boolean
  by: Set<string>
  level: number
  closedMs: number
  /** The stream that gave the content when it closed. */
  owner: string
}
type Stream = {
  scope: string
  complete: boolean
  sure: number
  trail: number
  /** Units held back with the run of their last sight. */
  held: { runId: string; startMs: number; units: Map<string, string> } | null
  blindSince: boolean
}

export type Answer = {
  readonly seen: number
  readonly dead: number
  readonly closed: number
  readonly held: number
  readonly purged: number
  readonly isHeld: boolean
}

const streamOf = (key: string): string => key.split('|').slice(0, 2).join('|')
/** Images give the content before the registry does. */
const rankOf = (key: string): string => `${key.includes('registry') ? 1 : 0}${key}`

/** Tells events as `TYPE name`, with `!` where the stream is still in its first load. */
export class LifecycleModel {
  readonly units = new Map<string, Unit>()
  readonly things = new Map<string, Thing>()
  readonly streams = new Map<string, Stream>()
  readonly #limits: Limits
  readonly #told: string[] = []

  constructor(limits: Limits) {
    this.#limits = limits
  }

  take(): string[] {
    return this.#told.splice(0)
  }

  blind(): void {
    this.#blind = true
    for (const stream of this.streams.values()) stream.blindSince = true
  }
  /** A stream that ends its first run is blind too when there ever was such a record. */
  #blind = false

  sight(s: Sight): void {
    const known = this.units.get(s.key)
    if (s.again && (known === undefined || known.gone)) return
    if (known !== undefined && s.atMs < known.atMs) return
    const unit: Unit = known ?? {
      runId: '',
      atMs: 0,
      gone: false,
      dead: false,
      shows: [],
      sure: 0,
      trail: 0,
      outside: false,
    }
    this.units.set(s.key, unit)
    if (s.runId > unit.runId) {
      Object.assign(unit, { runId: s.runId, sure: 0, trail: 0, outside: false })
    }
    unit.atMs = s.atMs
    unit.gone = false
    unit.dead = s.shown.kind === 'dead'
    if (s.shown.kind === 'ok') this.#content(s, unit, s.shown)
  }

  #content(s: Sight, unit: Unit, shown: Shown & { kind: 'ok' }): void {
    const names = (shown.findings ?? []).map((finding) => `${finding} of ${s.asset}`)
    const kept = shown.findings === null ? unit.shows.filter((name) => name !== s.asset) : []
    this.#contribute(s, s.asset, true, 0)
    for (const name of names) this.#contribute(s, name, false, shown.level)
    const before = unit.shows
    unit.shows = [s.asset, ...names, ...kept.filter((name) => !names.includes(name))]
    for (const name of before) {
      if (!unit.shows.includes(name)) this.#withdraw(name, [s.key], s.atMs, streamOf(s.key))
    }
  }

  #contribute({ key }: Sight, name: string, isAsset: boolean, level: number): void {
    const thing = this.things.get(name)
    if (thing === undefined) {
      const by = new Set([key])
      this.things.set(name, { isAsset, open: true, by, level, closedMs: 0, owner: '' })
      this.#tell('CREATED', name, streamOf(key))
      return
    }
    if (!thing.open) {
      Object.assign(thing, { open: true, by: new Set([key]), level })
      this.#tell('REOPENED', name, streamOf(key))
      return
    }
    thing.by.add(key)
    // Content of several contributors is not this model's.
    if (thing.level !== level && key.includes('hosts')) this.#tell('UPDATED', name, streamOf(key))
    thing.level = level
  }

  /** True when it closes by it. */
  #withdraw(name: string, keys: readonly string[], atMs: number, stream: string): boolean {
    const thing = this.things.get(name)
    if (thing === undefined || !thing.open) return false
    const left = [...thing.by].filter((key) => !keys.includes(key))
    if (left.length === thing.by.size) return false
    if (left.length > 0) {
      thing.by = new Set(left)
      return false
    }
    const [first = ''] = [...thing.by].toSorted((a, b) => (rankOf(a) < rankOf(b) ? -1 : 1))
    Object.assign(thing, { open: false, closedMs: atMs, owner: streamOf(first) })
    this.#tell(thing.isAsset ? 'GONE' : 'RESOLVED', name, stream)
    return true
  }

  #tell(type: string, name: string, stream: string): void {
    this.#told.push(`${type} ${name}${this.streams.get(stream)?.complete === true ? '' : ' !'}`)
  }

  end(e: End): Answer {
    const stream = this.#streamAt(e)
    const units = [...this.units].filter(([key, unit]) => streamOf(key) === e.stream && !unit.gone)
    const seen = units.filter(([, unit]) => unit.runId === e.runId)
    const dead = seen.filter(([, unit]) => unit.dead).length
    const isBlind = stream.blindSince
    stream.blindSince = false
    const judged = this.#judge(e, stream, units, isBlind)
    const closed = this.#close(judged.closing, e.endMs, e.stream, (u) =>
      Math.max(u.atMs, e.startMs),
    )
    const held = this.#heldThings(judged.held, judged.closing)
    if (e.verdict === 'COMPLETE') stream.complete = true
    const purged = e.verdict === 'COMPLETE' ? this.#purge(e) : 0
    return { seen: seen.length, dead, closed, held, purged, isHeld: judged.held.length > 0 }
  }

  #streamAt(e: End): Stream {
    let stream = this.streams.get(e.stream)
    if (stream === undefined) {
      const blindSince = this.#blind
      const fresh = { scope: e.scope, complete: false, sure: 0, trail: 0, held: null, blindSince }
      this.streams.set(e.stream, (stream = fresh))
    }
    if (stream.scope === e.scope) return stream
    Object.assign(stream, { scope: e.scope, sure: 0, trail: 0 })
    for (const [key, unit] of this.units) {
      if (streamOf(key) !== e.stream) continue
      Object.assign(unit, { sure: 0, trail: 0 })
      if (unit.runId !== e.runId) unit.outside = true
    }
    return stream
  }

  #judge(e: End, stream: Stream, units: readonly [string, Unit][], isBlind: boolean) {
    if (e.verdict === 'PARTIAL' || e.verdict === 'FAILED') {
      stream.trail = 0
      for (const [, unit] of units) unit.trail = 0
      return { closing: [], held: [] }
    }
    const weight = e.verdict === 'COMPLETE' ? 1 : 0.5
    const { closeAfterRuns, fuseShare, fuseUnits } = this.#limits
    const reached = (of: { sure: number; trail: number }) =>
      of.sure + of.trail + weight >= closeAfterRuns
    const missing = units.filter(([, unit]) => unit.runId !== e.runId)
    const late = reached(stream) ? missing.filter(([, unit]) => reached(unit)) : []
    const outside = late.filter(([, unit]) => unit.outside)
    const absent = late.filter(([, unit]) => !unit.outside)
    const among = units.length - outside.length
    const blows = absent.length > fuseUnits && absent.length > among * fuseShare
    const keep = e.hold || isBlind || blows
    const isSaying = reached(stream)
    if (!isBlind) for (const of of [stream, ...missing.map(([, u]) => u)]) add(of, e.verdict)
    const still = isSaying || stream.held === null ? [] : this.#stillHeld(stream.held.units)
    const held = isSaying ? [...(keep ? absent : []), ...outside].map(([key]) => key) : still
    const { runId, startMs } = e
    const sights = new Map(held.map((key) => [key, this.units.get(key)?.runId ?? '']))
    const since = isSaying ? startMs : (stream.held?.startMs ?? 0)
    stream.held = held.length === 0 ? null : { runId, startMs: since, units: sights }
    return { closing: keep ? [] : absent.map(([key]) => key), held }
  }

  #stillHeld(held: ReadonlyMap<string, string>): string[] {
    return [...held].flatMap(([key, runId]) => {
      const unit = this.units.get(key)
      return unit === undefined || unit.gone || unit.runId !== runId ? [] : [key]
    })
  }

  #close(
    keys: readonly string[],
    atMs: number,
    stream: string,
    goneMs: (unit: Unit) => number,
  ): number {
    const told = new Set<string>()
    let closed = 0
    for (const key of keys.toSorted()) {
      for (const name of this.units.get(key)?.shows ?? []) {
        if (told.has(name)) continue
        told.add(name)
        if (this.#withdraw(name, keys, atMs, stream)) closed += 1
      }
    }
    for (const key of keys) {
      const unit = this.units.get(key)
      if (unit) Object.assign(unit, { gone: true, dead: false, shows: [], atMs: goneMs(unit) })
    }
    return closed
  }

  #heldThings(held: readonly string[], closing: readonly string[]): number {
    const going = [...held, ...closing]
    return [...this.things.values()].filter(
      ({ open, by }) =>
        open && [...by].every((k) => going.includes(k)) && [...by].some((k) => held.includes(k)),
    ).length
  }

  #purge(e: End): number {
    const beforeMs = e.endMs - this.#limits.purgeAfterMs
    let purged = 0
    for (const [name, { open, closedMs, owner }] of this.things) {
      if (open || closedMs >= beforeMs) continue
      if (owner !== e.stream && this.streams.has(owner)) continue
      this.things.delete(name)
      this.#told.push(`PURGED ${name}`)
      purged += 1
    }
    for (const [key, unit] of this.units) {
      if (unit.gone && unit.atMs < beforeMs) this.units.delete(key)
    }
    return purged
  }

  /** Closes what `runId` holds back; returns entities closed. */
  release(stream: string, runId: string, atMs: number): number {
    const held = this.streams.get(stream)?.held ?? null
    if (held === null || held.runId !== runId) return 0
    const { startMs } = held
    const keys = this.#stillHeld(held.units)
    const closed = this.#close(keys, atMs, stream, (unit) => Math.max(unit.atMs, startMs))
    const known = this.streams.get(stream)
    if (known) known.held = null
    return closed
  }

  /** Ends a connection; returns entities closed. */
  remove(connection: string, keep: boolean, atMs: number): number {
    const keys = [...this.units.keys()].filter((key) => key.startsWith(`${connection}|`))
    let closed = 0
    if (keep) {
      for (const [name, thing] of this.things) {
        if (!thing.open) continue
        const left = [...thing.by].filter((key) => !keys.includes(key))
        if (left.length === 0) this.things.delete(name)
        else thing.by = new Set(left)
      }
    } else closed = this.#close(keys, atMs, '', (unit) => unit.atMs)
    for (const key of keys) this.units.delete(key)
    for (const stream of this.streams.keys()) {
      if (stream.startsWith(`${connection}|`)) this.streams.delete(stream)
    }
    return closed
  }
}

function add(of: { sure: number; trail: number }, verdict: End['verdict']): void {
  if (verdict === 'DRIFTED') of.trail += 0.5
  else Object.assign(of, { sure: of.sure + of.trail + 1, trail: 0 })
}
