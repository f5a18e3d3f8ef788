// The ledger of runs: when every raw partition has answered a run, one record says how it ended.
import { z } from 'zod'
import { streamKey } from '../contracts/envelope.ts'
import { PipelineError } from '../contracts/errors.ts'
import type { KafkaRecord, OutRecord, Processor, Step } from '../contracts/processing.ts'
import { runRecord } from '../contracts/run-record.ts'
import { type Run, isRemoval, run as runSchema } from '../contracts/run.ts'

export type LedgerOptions = {
  readonly prefix: string
  /** Loads the schemas that wrote these values. @throws PipelineError when the registry is away */
  readonly prepare: (values: readonly Buffer[]) => Promise<void>
  /** @throws PipelineError SERIALIZATION when the value is no run of a schema loaded */
  readonly decode: (value: Buffer) => Run
  readonly encode: (value: Run) => Buffer
  readonly deadLetter: (record: KafkaRecord, error: PipelineError) => OutRecord
  /**
   * Told after the commit, with the FINISHED record; again by the next process where this one may
   * have died over it.
   */
  readonly onFinished: (run: Run, because: Because) => void
}

/**
 * What else there is to know: the producer itself has held the run and told why, or the operator
 * has released it, the newest of its stream. Null: neither.
 */
export type Because = 'held-by-producer' | 'released' | null

type Tally = NonNullable<Run['tally']>
/** `here`: told by this process. */
type Told = { readonly run: Run; readonly because: Because; readonly here: boolean }

/** Answers of a run that are still coming in, and how the last runs of each stream finished. */
export class LedgerStore {
  /** By `<phase>|<connection>|<stream>|<start or time of the order>|<run>`: sorts by time. */
  readonly answers = new Map<string, Run[]>()
  /** The newest finished run, by `<connection>|<stream>`. */
  readonly finished = new Map<string, Run>()
  /** The run whose closures are held back; runs that listed nothing may have finished since. */
  readonly holding = new Map<string, Run>()
  /** By stream, what was written as FINISHED and has not been read back: not told for sure. */
  readonly unsure = new Map<string, Told>()

  load(key: string, value: Buffer | null): void {
    const id = key.slice(2)
    if (key.startsWith('a|')) {
      if (value === null) this.answers.delete(id)
      else this.answers.set(id, answersSchema.parse(JSON.parse(value.toString())).answers)
    } else if (key.startsWith('f|') || key.startsWith('h|')) {
      const runs = key.startsWith('f|') ? this.finished : this.holding
      if (value === null) runs.delete(id)
      else runs.set(id, finishedSchema.parse(JSON.parse(value.toString())).run)
    } else if (key.startsWith('t|')) {
      if (value === null) this.unsure.delete(id)
      else this.unsure.set(id, { ...toldSchema.parse(JSON.parse(value.toString())), here: false })
    } else throw new Error(`unknown record ${key.slice(0, 2)} in the state of the ledger`)
  }
}

/** Of a time in ms, so that texts sort as times do. */
const TIME_DIGITS = 16
const answersSchema = z.object({ v: z.literal(1), answers: z.array(runSchema) })
const finishedSchema = z.object({ v: z.literal(1), run: runSchema })
const toldSchema = z
  .object({
    v: z.literal(1),
    run: runSchema,
    because: z.enum(['held-by-producer', 'released']).nullable(),
  })
  .transform(({ run, because }) => ({ run, because }))

/**
 * Reads exposure.runs and writes FINISHED to it: totals of all tallies, the reasons why closures
 * are held, the duration. An order of the operator that all partitions have answered finishes anew.
 */
export function createLedger(options: LedgerOptions): Processor<LedgerStore> {
  return {
    createStore: () => new LedgerStore(),
    isControl: () => false,
    prepare: (records) => options.prepare(valuesOf(records)),
    data: (store, records) => new Entry(store, options).take(records),
    *control() {
      // There are none on this topic.
    },
  }
}

const valuesOf = (records: readonly KafkaRecord[]): Buffer[] =>
  records.map(({ value }) => value).filter((value) => value !== null)

/** What one batch changes, applied to the store after the commit. */
class Entry {
  readonly #store: LedgerStore
  readonly #options: LedgerOptions
  readonly #answers = new Map<string, Run[] | null>()
  readonly #finished = new Map<string, Run>()
  readonly #holding = new Map<string, Run | null>()
  readonly #outputs: OutRecord[] = []
  readonly #told: Told[] = []
  readonly #unsure = new Map<string, Told | null>()

  constructor(store: LedgerStore, options: LedgerOptions) {
    this.#store = store
    this.#options = options
  }

  take(records: readonly KafkaRecord[]): Step {
    for (const record of records) {
      if (record.value === null) continue
      try {
        this.#meet(this.#options.decode(record.value))
      } catch (error) {
        if (!(error instanceof PipelineError)) throw error
        this.#outputs.push(this.#options.deadLetter(record, error))
      }
    }
    return {
      outputs: this.#outputs,
      tail: () => [],
      state: () => this.#entries(),
      apply: () => this.#apply(),
    }
  }

  #meet(run: Run): void {
    if (run.phase === 'FINISHED') this.#readBack(run)
    if (run.tally === null) return
    const prefix = `${run.phase}|${streamKey(streamOf(run))}|`
    const rest = `${String(run.started_at).padStart(TIME_DIGITS, '0')}|${run.run_id}`
    const key = prefix + rest
    const known = this.#answers.get(key) ?? this.#store.answers.get(key) ?? []
    const others = known.filter(({ tally }) => tally?.partition !== run.tally?.partition)
    const answers = [...others, run]
    if (answers.length < run.partitions) {
      this.#answers.set(key, answers)
      return
    }
    this.#answers.set(key, null)
    this.#forgetOlder(prefix, rest)
    if (run.phase === 'RELEASED') this.#release(run, answers)
    else this.#finish(finishedOf(run, answers), run.hold === null ? null : 'held-by-producer')
  }

  /** Whoever wrote it has had the time to tell it, and is asked no more. */
  #readBack(run: Run): void {
    const stream = streamKey(streamOf(run))
    const met = this.#unsure.get(stream)
    const told = met === undefined ? this.#store.unsure.get(stream) : met
    if (told?.run.run_id !== run.run_id || told.run.at !== run.at) return
    this.#unsure.set(stream, null)
    if (!told.here) this.#told.push(told)
  }

  /** What some partition never answered is over when a later one is. */
  #forgetOlder(prefix: string, rest: string): void {
    for (const key of [...this.#store.answers.keys(), ...this.#answers.keys()]) {
      if (key.startsWith(prefix) && key.slice(prefix.length) < rest) this.#answers.set(key, null)
    }
  }

  #finish(value: Run, because: Because): void {
    const stream = streamKey(streamOf(value))
    this.#finished.set(stream, value)
    const before = this.#holdingOf(stream)
    const now = holdingAfter(before, value)
    if (now !== before) this.#holding.set(stream, now)
    this.#tell(value, because)
  }

  #holdingOf(stream: string): Run | null {
    const met = this.#holding.get(stream)
    return met === undefined ? (this.#store.holding.get(stream) ?? null) : met
  }

  /** Of a run that nothing is known of, or that a later one has overtaken, nothing is told anew. */
  #release(order: Run, answers: readonly Run[]): void {
    const stream = streamKey(streamOf(order))
    const newest = this.#finished.get(stream) ?? this.#store.finished.get(stream)
    const holding = this.#holdingOf(stream)
    const before = [newest, holding].find((known) => known?.run_id === order.run_id)
    if (before === undefined || before === null) return
    const value = releasedOf(before, finishedOf(order, answers))
    const isNewest = newest?.run_id === value.run_id
    if (isNewest) this.#finished.set(stream, value)
    if (holding?.run_id === value.run_id) this.#holding.set(stream, null)
    this.#tell(value, isNewest ? 'released' : null)
  }

  #tell(run: Run, because: Because): void {
    const { prefix, encode } = this.#options
    this.#outputs.push(runRecord(prefix, run, encode))
    const told = { run, because, here: true }
    this.#told.push(told)
    this.#unsure.set(streamKey(streamOf(run)), told)
  }

  #entries(): { key: string; value: Buffer | null }[] {
    const json = (value: object) => Buffer.from(JSON.stringify({ v: 1, ...value }))
    const runOf = (run: Run | null) => (run === null ? null : json({ run }))
    return [
      ...[...this.#answers].map(([id, answers]) => ({
        key: `a|${id}`,
        value: answers === null ? null : json({ answers }),
      })),
      ...[...this.#finished].map(([id, run]) => ({ key: `f|${id}`, value: runOf(run) })),
      ...[...this.#holding].map(([id, run]) => ({ key: `h|${id}`, value: runOf(run) })),
      ...[...this.#unsure].map(([id, told]) => ({
        key: `t|${id}`,
        value: told === null ? null : json({ run: told.run, because: told.because }),
      })),
    ]
  }

  #apply(): void {
    for (const [id, answers] of this.#answers) {
      if (answers === null) this.#store.answers.delete(id)
      else this.#store.answers.set(id, answers)
    }
    for (const [id, run] of this.#finished) this.#store.finished.set(id, run)
    for (const [id, run] of this.#holding) {
      if (run === null) this.#store.holding.delete(id)
      else this.#store.holding.set(id, run)
    }
    for (const [id, told] of this.#unsure) {
      if (told === null) this.#store.unsure.delete(id)
      else this.#store.unsure.set(id, told)
    }
    for (const { run, because } of this.#told) this.#options.onFinished(run, because)
  }
}

const streamOf = ({ connection_id, stream }: Run) => ({ connection: connection_id, stream })

/**
 * The run of a stream that holds closures back once `run` has finished; null when there is none.
 * A later listing that holds nothing ends a hold, one that failed or lacks something does not. A
 * listing without rows is held although nothing of it is open: it may be released as the measure.
 */
export function holdingAfter(before: Run | null, run: Run): Run | null {
  if ((run.totals?.held ?? 0) > 0) return run
  if (isRemoval(run)) return null
  if (run.verdict !== 'COMPLETE' && run.verdict !== 'DRIFTED') return before
  return run.hold === null ? null : run
}

/** The sum of the answers. Its time is that of the last of them. */
function finishedOf(run: Run, answers: readonly Run[]): Run {
  const tallies = answers.map(({ tally }) => tally).filter((tally) => tally !== null)
  const sum = (count: (tally: Tally) => number) =>
    tallies.reduce((total, tally) => total + count(tally), 0)
  const holds = [...new Set([run.hold, ...tallies.map(({ hold }) => hold)])]
  const hold = holds
    .filter((text) => text !== null)
    .toSorted()
    .join('; ')
  const at = Math.max(...answers.map((answer) => answer.at))
  return {
    ...run,
    phase: 'FINISHED',
    at,
    hold: hold === '' ? null : hold,
    tally: null,
    totals: {
      units_seen: sum((tally) => tally.units_seen),
      dead_lettered: sum((tally) => tally.dead_lettered),
      closed: sum((tally) => tally.closed),
      held: sum((tally) => tally.held),
      purged: sum((tally) => tally.purged),
      duration_ms: Math.max(0, at - run.started_at),
    },
  }
}

/** The run as it was, with what its release has closed; nothing of it is held any more. */
function releasedOf(before: Run, released: Run): Run {
  if (before.totals === null) return before
  const closed = before.totals.closed + (released.totals?.closed ?? 0)
  return {
    ...before,
    at: released.at,
    hold: null,
    totals: { ...before.totals, closed, held: 0 },
  }
}
