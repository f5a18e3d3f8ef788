// A small stateful Processor whose right answer can be worked out without Kafka.
import { partitionOf } from '../../contracts/placement.ts'
import type { KafkaRecord, OutRecord, Processor, Step } from '../../runtime/kafka/types.ts'

export const OUT_PARTITIONS = 3
/** Closures of one transaction: a walk over more takes several. */
const CLOSURES_MAX = 5

type Unit = { revision: number; value: string; run: number; open: boolean }
type Topics = { readonly out: string; readonly tallies: string }

class CountingStore {
  readonly units = new Map<string, Unit>()

  load(key: string, value: Buffer | null): void {
    if (value === null) this.units.delete(key)
    else this.units.set(key, JSON.parse(value.toString()) as Unit)
  }
}

/** Headers: `run`, and `control` on a run-end. Emits CREATED, UPDATED, REOPENED, RESOLVED. */
export function countingProcessor(topics: Topics): Processor<CountingStore> {
  return {
    createStore: () => new CountingStore(),
    isControl: (record) => record.headers['control'] !== undefined,
    data(store, records) {
      const draft = new Draft(store, topics)
      for (const record of records) draft.see(record)
      return draft.step([])
    },
    control(store, record) {
      const run = Number(record.headers['run'])
      const gone = [...store.units].filter(([, u]) => u.open && u.run < run).map(([key]) => key)
      return walk(store, topics, gone, record.partition, run)
    },
  }
}

function* walk(
  store: CountingStore,
  topics: Topics,
  gone: readonly string[],
  partition: number,
  run: number,
): Generator<Step> {
  const open = [...store.units.values()].filter((unit) => unit.open).length - gone.length
  for (let at = 0; at <= gone.length; at += CLOSURES_MAX) {
    const draft = new Draft(store, topics)
    for (const key of gone.slice(at, at + CLOSURES_MAX)) draft.close(key)
    const last = at + CLOSURES_MAX > gone.length
    const value = Buffer.from(JSON.stringify({ run, partition, open }))
    const key = `run-${run}/${partition}`
    const tally = { topic: topics.tallies, partition: 0, key, value, headers: {} }
    yield draft.step(last ? [tally] : [])
  }
}

class Draft {
  readonly store: CountingStore
  readonly topics: Topics
  readonly changed = new Map<string, Unit>()
  readonly events: OutRecord[] = []

  constructor(store: CountingStore, topics: Topics) {
    this.store = store
    this.topics = topics
  }

  see(record: KafkaRecord): void {
    const { key } = record
    const run = Number(record.headers['run'])
    const value = record.value?.toString() ?? ''
    const before = this.changed.get(key) ?? this.store.units.get(key)
    const type =
      before === undefined
        ? 'CREATED'
        : !before.open
          ? 'REOPENED'
          : before.value === value
            ? null
            : 'UPDATED'
    const revision = (before?.revision ?? 0) + (type === null ? 0 : 1)
    this.changed.set(key, { revision, value, run, open: true })
    if (type !== null) this.emit(key, type, revision, value)
  }

  close(key: string): void {
    const before = this.store.units.get(key)
    if (before === undefined) return
    const revision = before.revision + 1
    this.changed.set(key, { ...before, revision, open: false })
    this.emit(key, 'RESOLVED', revision, before.value)
  }

  emit(key: string, type: string, revision: number, text: string): void {
    const value = Buffer.from(JSON.stringify({ key, type, revision, text }))
    const partition = partitionOf(key, OUT_PARTITIONS)
    this.events.push({ topic: this.topics.out, partition, key, value, headers: { type } })
  }

  step(tail: readonly OutRecord[]): Step {
    return {
      outputs: this.events,
      tail: () => tail,
      state: () =>
        [...this.changed].map(([key, unit]) => ({
          key,
          value: Buffer.from(JSON.stringify(unit)),
        })),
      apply: () => {
        for (const [key, unit] of this.changed) this.store.units.set(key, unit)
      },
    }
  }
}

/** The input: `runs` listings of the same units, each with changes, losses and a run-end. */
export function countingInput(
  topic: string,
  partitions: number,
  units: number,
  runs: number,
): OutRecord[] {
  const records: OutRecord[] = []
  for (let run = 1; run <= runs; run++) {
    const headers = { run: String(run) }
    for (let unit = 0; unit < units; unit++) {
      // Every second unit is missing from even runs: a walk of several steps, then REOPENED.
      if (run % 2 === 0 && unit % 2 === 0) continue
      const key = `unit-${unit}`
      const value = Buffer.from(unit % 3 === 0 ? `value of run ${run}` : 'always the same')
      records.push({ topic, partition: partitionOf(key, partitions), key, value, headers })
    }
    for (let partition = 0; partition < partitions; partition++) {
      const control = { ...headers, control: 'run-end' }
      records.push({ topic, partition, key: 'end', value: Buffer.from('{}'), headers: control })
    }
  }
  return records
}

/** What must come out: the same processor fed straight from memory, nothing going wrong. */
export function expectedOutputs(topics: Topics, input: readonly OutRecord[]): OutRecord[] {
  const processor = countingProcessor(topics)
  const outputs: OutRecord[] = []
  const stores = new Map<number, CountingStore>()
  const commit = (step: Step): void => {
    const written = new Map<string, bigint>()
    outputs.push(...step.outputs, ...step.tail(written))
    step.apply(written)
  }
  let offset = 0n
  for (const { partition, ...rest } of input) {
    const store = stores.get(partition) ?? processor.createStore(partition)
    stores.set(partition, store)
    const record = { ...rest, partition, offset: offset++, timestampMs: 0 }
    if (!processor.isControl(record)) commit(processor.data(store, [record]))
    else for (const step of processor.control(store, record)) commit(step)
  }
  return outputs
}

/** Records as comparable lines, in order within a key. */
export const linesOf = (
  records: readonly { key: string; value: Buffer | null }[],
): Map<string, string[]> => {
  const lines = new Map<string, string[]>()
  for (const { key, value } of records) {
    lines.set(key, [...(lines.get(key) ?? []), value?.toString() ?? '(tombstone)'])
  }
  return lines
}
