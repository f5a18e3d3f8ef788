// The lifecycle against a second, simpler one: any history of runs, orders, damage and crashes.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Order } from '../../contracts/envelope.ts'
import type { KafkaRecord, OutRecord } from '../../contracts/processing.ts'
import { replayedHeaders } from '../../contracts/envelope.ts'
import {
  LifecycleBench,
  T0,
  assetsIn,
  findingsIn,
  host,
  hostFacts,
  runEndOf,
  runsIn,
  vulnerability,
} from '../support/lifecycle.ts'
import { type End, LifecycleModel, type Shown, type Sight } from '../support/lifecycle-model.ts'

const HOUR = 3_600_000
const SEED = 20_260_101
const HISTORIES = 400
const TIME_LIMIT_MS = 12_000
const STREAMS = [
  ['prod', 'compute.hosts'],
  ['prod', 'compute.images'],
  ['prod', 'compute.registry'],
  ['spare', 'compute.images'],
] as const
const CVES = ['CVE-2025-0001', 'CVE-2025-0002'] as const
const UNITS = 5

type Look = {
  kind: 'absent' | 'dead' | 'large' | 'blind' | 'unknown' | 'ok'
  cves: number
  level: number
}
type Op =
  | {
      op: 'run'
      stream: number
      looks: Look[]
      verdict: End['verdict']
      scope: number
      hold: boolean
      crash: number
    }
  | { op: 'again'; pick: number; marked: boolean }
  | { op: 'release'; stream: number; back: number; crash: number }
  | { op: 'remove'; connection: 'prod' | 'spare'; keep: boolean; crash: number }
  | { op: 'restore'; how: 'log' | 'compacted' | 'half' | 'marks first' }

const look: fc.Arbitrary<Look> = fc.record({
  kind: fc.oneof(
    { weight: 12, arbitrary: fc.constant('ok' as const) },
    { weight: 5, arbitrary: fc.constant('absent' as const) },
    { weight: 1, arbitrary: fc.constantFrom('dead', 'large', 'blind', 'unknown') },
  ),
  cves: fc.integer({ min: 0, max: 3 }),
  level: fc.constantFrom(0, 0, 0, 1),
})
/** Most histories tell of few streams: what happens to one shows only with several of its runs. */
const stream = fc.constantFrom(0, 0, 0, 1, 2, 3)
const crash = fc.constantFrom(9, 9, 0, 1, 2)
const operation: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      op: fc.constant('run' as const),
      stream,
      looks: fc.array(look, { minLength: UNITS, maxLength: UNITS }),
      verdict: fc.constantFrom('COMPLETE', 'COMPLETE', 'COMPLETE', 'DRIFTED', 'PARTIAL', 'FAILED'),
      scope: fc.constantFrom(0, 0, 0, 0, 1),
      hold: fc.constantFrom(false, false, false, false, true),
      crash,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('again' as const),
      pick: fc.nat(99),
      marked: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('release' as const),
      stream,
      back: fc.constantFrom(0, 0, 1),
      crash,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('remove' as const),
      connection: fc.constantFrom('prod', 'spare'),
      keep: fc.boolean(),
      crash,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('restore' as const),
      how: fc.constantFrom('log', 'compacted', 'half', 'marks first'),
    }),
  },
)
const limits = fc.record({
  closeAfterRuns: fc.constantFrom(1, 1, 2, 3),
  purgeAfterMs: fc.constantFrom(4 * HOUR, 2_000 * HOUR),
  fuseShare: fc.constantFrom(0.3, 1),
  fuseUnits: fc.constantFrom(1, 2),
})

/** One history: the bench that crashes and restores, its calm twin, and the model. */
class History {
  readonly model
  readonly bench
  readonly twin
  readonly #names = new Map<string, string>()
  readonly #sights: { sight: Sight; record: [KafkaRecord, KafkaRecord] }[] = []
  readonly #runs = new Map<string, string[]>()
  #hour = 0
  #seq = 0

  constructor(rules: ConstructorParameters<typeof LifecycleModel>[0]) {
    this.model = new LifecycleModel(rules)
    this.bench = new LifecycleBench('1', { ...rules, walkStepMax: 3 })
    this.twin = new LifecycleBench('1', { ...rules, walkStepMax: 3 })
  }

  play(op: Op): void {
    this.#hour += 1
    this.#seq = 0
    if (op.op === 'run') this.#run(op)
    else if (op.op === 'again') this.#again(op.pick, op.marked)
    else if (op.op === 'release') this.#release(op)
    else if (op.op === 'remove') this.#remove(op)
    else this.#restore(op.how)
  }

  get #startMs(): number {
    return T0 + this.#hour * HOUR
  }

  #run(op: Op & { op: 'run' }): void {
    const [connection, name] = STREAMS[op.stream] ?? STREAMS[0]
    const startMs = this.#startMs
    const runId = `${startMs}-000001`
    op.looks.forEach((one, unit) => this.#look(connection, name, unit, runId, one))
    const endMs = startMs + 600_000
    const scope = String(op.scope).repeat(16)
    const hold = op.hold ? 'far fewer' : null
    const { verdict } = op
    const facts = { connection, stream: name, runId, verdict, scope, hold }
    const record = () => runEndOf({ ...facts, startedAtMs: startMs, endedAtMs: endMs })
    const stream = `${connection}|${name}`
    this.#runs.set(stream, [...(this.#runs.get(stream) ?? []), runId])
    const end = { stream, runId, startMs, endMs, verdict, scope, hold: op.hold }
    const answer = this.model.end(end)
    const outputs = this.#control((bench) => bench.runEnd(record()), op.crash)
    const tally = runsIn(outputs).at(-1)?.tally
    expect({
      seen: tally?.units_seen,
      dead: tally?.dead_lettered,
      closed: tally?.closed,
      held: tally?.held,
      purged: tally?.purged,
      isHeld: tally?.hold !== null,
    }).toEqual(answer)
  }

  #look(connection: string, stream: string, unit: number, runId: string, one: Look): void {
    if (one.kind === 'absent') return
    const atMs = this.#startMs + 1_000 + this.#seq++
    const isHost = stream === 'compute.hosts'
    const digest = `sha256:${String(unit).repeat(64)}`
    const id = isHost ? `web-${unit}` : digest
    const asset = isHost ? id : `team/shop-${unit}:1`
    const native = `${isHost ? 'host' : 'image'}|${id}`
    const facts = hostFacts({
      connection,
      stream,
      unit: id,
      assetNativeId: native,
      runId,
      fetchedAtMs: atMs,
      tooLargeBytes: one.kind === 'large' ? 9_000_000 : null,
    })
    const level = isHost ? one.level : 0
    const cves = CVES.filter((_, i) => (one.cves & (1 << i)) !== 0)
    const over = level === 0 ? {} : { cvss: 9.8, severity: 'critical' }
    const list = one.kind === 'unknown' ? null : cves.map((cve) => vulnerability(cve, over))
    const type = stream === 'compute.registry' ? 'registry' : 'image'
    const image = { _id: id, id, type, repoTag: { repo: `team/shop-${unit}`, tag: '1' } }
    const body = host(list, isHost ? { _id: id, hostname: id } : image)
    const content = one.kind === 'large' ? null : one.kind === 'dead' ? Buffer.from('{') : body
    const both = [this.bench, this.twin].map((bench) => bench.record(facts, content))
    const [first, second] = one.kind === 'blind' ? both.map((r) => ({ ...r, headers: {} })) : both
    if (first === undefined || second === undefined) return
    const key = `${connection}|${stream}|${id}`
    if (one.kind === 'blind') {
      this.model.blind()
      this.#data([first, second])
      return
    }
    const findings = one.kind === 'unknown' ? null : cves
    const shown: Shown =
      one.kind === 'dead' || one.kind === 'large'
        ? { kind: one.kind }
        : { kind: 'ok', findings, level }
    const sight = { key, asset, runId, atMs, shown, again: false }
    this.#sights.push({ sight, record: [first, second] })
    this.model.sight(sight)
    this.#data([first, second])
  }

  /** An old record comes again: from a replay, or because some producer was late. */
  #again(pick: number, marked: boolean): void {
    const old = this.#sights[pick % Math.max(1, this.#sights.length)]
    if (old === undefined) return
    // Only a replay can bring what has been forgotten.
    const again = marked || !this.model.units.has(old.sight.key)
    this.model.sight({ ...old.sight, again })
    const [first, second] = old.record.map((record, i) => {
      const { offset } = [this.bench, this.twin][i]?.runEnd(runEndOf()) ?? record
      const headers = again ? replayedHeaders(record.headers, 'r1') : record.headers
      return { ...record, offset, headers }
    })
    if (first !== undefined && second !== undefined) this.#data([first, second])
  }

  #release({ stream, back, crash: crashed }: Op & { op: 'release' }): void {
    const [connection, name] = STREAMS[stream] ?? STREAMS[0]
    const runId = this.#runs.get(`${connection}|${name}`)?.at(-1 - back) ?? 'none'
    const closed = this.model.release(`${connection}|${name}`, runId, this.#startMs)
    const facts = { control: 'release', product: 'prisma-compute', stream: name, runId } as const
    const order = { ...facts, ...this.#order(connection) }
    const outputs = this.#control((bench) => bench.order(order), crashed)
    expect(runsIn(outputs).at(-1)).toMatchObject({ phase: 'RELEASED', tally: { closed } })
  }

  #remove({ connection, keep, crash: crashed }: Op & { op: 'remove' }): void {
    const closed = this.model.remove(connection, keep, this.#startMs)
    const order: Order = { control: 'remove', keep, ...this.#order(connection) }
    const outputs = this.#control((bench) => bench.order(order), crashed)
    expect(runsIn(outputs).at(-1)).toMatchObject({ phase: 'REMOVED', tally: { closed } })
  }

  #order = (connection: string) => ({
    orderId: `order-${this.#hour}`,
    connection,
    vendor: 'prisma-cloud' as const,
    tenant: 'acme',
    orderedAtMs: this.#startMs,
  })

  #data([first, second]: [KafkaRecord, KafkaRecord]): void {
    this.#compare(this.bench.commit(first), this.twin.commit(second), true)
  }

  /** With a crash after so many of its transactions, a restore, and all of it again. */
  #control(recordOf: (bench: LifecycleBench) => KafkaRecord, crashed: number): OutRecord[] {
    const record = recordOf(this.bench)
    const before = this.bench.written.length
    if (crashed < 9) {
      this.bench.commitControl(record, crashed)
      this.bench.restore()
    }
    // The crash may have come after the last transaction: its offset is committed then.
    const answered = this.bench.written.slice(before).some(({ topic }) => topic.endsWith('runs'))
    if (!answered) this.bench.commitControl(record)
    const calm = this.twin.commitControl(recordOf(this.twin))
    const outputs = this.bench.written.slice(before)
    this.#compare(outputs, calm, 'verdict' in record.headers || 'x-verdict' in record.headers)
    return outputs
  }

  #restore(how: 'log' | 'compacted' | 'half' | 'marks first'): void {
    const live = this.bench.store
    this.bench.restore(how)
    if (how !== 'marks first') expect(dump(this.bench.store)).toEqual(dump(live))
  }

  #compare(outputs: readonly OutRecord[], calm: readonly OutRecord[], withBackfill: boolean): void {
    const wanted = this.model.take()
    const got = this.#told(outputs)
    // Sorted: an entity has one event of a record at most, and which comes first is no promise.
    const sorted = (list: string[]) =>
      list.map((text) => (withBackfill ? text : text.replace(/ !$/, ''))).toSorted()
    expect(sorted(got)).toEqual(sorted(wanted))
    expect(textOf(outputs)).toBe(textOf(calm))
  }

  #told(outputs: readonly OutRecord[]): string[] {
    return outputs.flatMap((output) => {
      if (output.topic === 'exposure.runs' || output.topic === 'exposure.dlq') return []
      if (output.value === null) return [`PURGED ${this.#names.get(output.key) ?? output.key}`]
      const [asset] = assetsIn([output])
      const [finding] = findingsIn([output])
      const name = asset?.name ?? `${finding?.vuln_id} of ${finding?.asset.name}`
      const meta = asset?.meta ?? finding?.meta
      this.#names.set(output.key, name)
      const type = meta?.change_type ?? ''
      // What several contributors say together is not the model's.
      if (type === 'UPDATED' && name.includes('team/')) return []
      return [`${type} ${name}${meta?.backfill === true ? ' !' : ''}`]
    })
  }
}

/** To the byte, and far faster than comparing objects. */
const textOf = (records: readonly OutRecord[]): string =>
  records
    .map(({ value, ...rest }) => `${JSON.stringify(rest)} ${value?.toString('base64')}`)
    .join('\n')

const dump = (store: LifecycleBench['store']) => ({
  units: [...store.units].toSorted(([a], [b]) => (a < b ? -1 : 1)),
  entities: [...store.entities].toSorted(([a], [b]) => (a < b ? -1 : 1)),
  streams: [...store.streams].toSorted(([a], [b]) => (a < b ? -1 : 1)),
  seen: [...store.seenKeys].toSorted(),
  written: [...store.written].toSorted(([a], [b]) => (a < b ? -1 : 1)),
  blind: store.blindOffset,
  next: store.nextOrdinal,
})

describe('the lifecycle', () => {
  it('tells of any history what a second, simpler one tells', () => {
    const history = fc.tuple(limits, fc.array(operation, { minLength: 3, maxLength: 25 }))
    fc.assert(
      fc.property(history, ([rules, operations]) => {
        const one = new History(rules)
        for (const op of operations) one.play(op)
      }),
      {
        seed: SEED,
        numRuns: HISTORIES,
        interruptAfterTimeLimit: TIME_LIMIT_MS,
        // A slow machine sees fewer histories.
        markInterruptAsFailure: false,
      },
    )
  }, 60_000)
})
