// Drives the lifecycle as the transactional core would, with a state log kept in memory.
import type { Asset } from '../../contracts/asset.ts'
import {
  type Order,
  type RawFacts,
  type RunEnd,
  encodeOrder,
  encodeRunEnd,
  placementKey,
  rawHeaders,
  rawKey,
} from '../../contracts/envelope.ts'
import type { PipelineError } from '../../contracts/errors.ts'
import type { Drift } from '../../contracts/ports.ts'
import type { Finding } from '../../contracts/finding.ts'
import { partitionOf } from '../../contracts/placement.ts'
import {
  type KafkaRecord,
  type OutRecord,
  type Step,
  partitionKey,
} from '../../contracts/processing.ts'
import type { Run } from '../../contracts/run.ts'
import { RAW_PARTITIONS } from '../../contracts/topics.ts'
import { readerType } from '../../runtime/codecs.ts'
import { deadLetter } from '../../runtime/dead-letter.ts'
import { CLOSING_DEFAULTS, type ClosingRules } from '../../transformers/lifecycle/listings.ts'
import { createLifecycle } from '../../transformers/lifecycle/processor.ts'
import type { LifecycleStore, LogEntry } from '../../transformers/lifecycle/state.ts'
import { TRANSFORMERS } from '../../transformers/transformers.ts'

const types = {
  assets: readerType('Asset'),
  findings: readerType('Finding'),
  vulnerabilities: readerType('Vulnerability'),
  runs: readerType('Run'),
}

/** One raw partition with its store, its state log and everything it has written. */
export class LifecycleBench {
  readonly log: LogEntry[] = []
  readonly written: OutRecord[] = []
  readonly deadLetters: PipelineError[] = []
  /** `partition run` that was answered without a dead letter. */
  readonly clean: string[] = []
  readonly drifts: (Drift & { day: string })[] = []
  readonly processor
  store: LifecycleStore
  readonly #offsets = new Map<string, bigint>()
  #rawOffset = 0n

  constructor(mappingVersion = '1', closing: Partial<ClosingRules> = {}) {
    this.processor = createLifecycle({
      prefix: '',
      mappingVersion,
      closing: { ...CLOSING_DEFAULTS, ...closing },
      transformers: TRANSFORMERS,
      encode: {
        asset: (value) => types.assets.toBuffer(value),
        finding: (value) => types.findings.toBuffer(value),
        vulnerability: (value) => types.vulnerabilities.toBuffer(value),
        run: (value) => types.runs.toBuffer(value),
      },
      deadLetter: (record, error) => deadLetter('', record, error, 1),
      onDrift: (drift, day) => this.drifts.push({ ...drift, day }),
      onDeadLetter: (error) => this.deadLetters.push(error),
      onCleanPartition: (end, partition) => this.clean.push(`${partition} ${end.runId}`),
      onCommit: () => undefined,
    })
    this.store = this.processor.createStore(0)
  }

  /** A raw record at the next offset. */
  record(facts: RawFacts, body: unknown): KafkaRecord {
    const value =
      body === null ? null : Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
    return this.#at({
      key: rawKey(facts),
      value,
      headers: rawHeaders(facts),
      timestampMs: facts.fetchedAtMs + 5,
    })
  }

  runEnd(end: RunEnd): KafkaRecord {
    return this.#at({ ...encodeRunEnd(end), timestampMs: end.endedAtMs })
  }

  order(order: Order): KafkaRecord {
    return this.#at({ ...encodeOrder(order), timestampMs: order.orderedAtMs })
  }

  #at(record: Pick<KafkaRecord, 'key' | 'value' | 'headers' | 'timestampMs'>): KafkaRecord {
    return { topic: 'raw.test', partition: 0, offset: this.#rawOffset++, ...record }
  }

  /** What one batch would write; nothing is committed. */
  plan(records: readonly KafkaRecord[]): Step {
    return this.processor.data(this.store, records)
  }

  /** One batch, committed. Returns what it wrote to the exposure topics and the DLQ. */
  commit(...records: KafkaRecord[]): OutRecord[] {
    return this.#commit(this.plan(records))
  }

  /**
   * With `crashAfter` only so many of its transactions are committed. Each, as in the core, when
   * the one after it is known.
   */
  commitControl(record: KafkaRecord, crashAfter = Infinity): OutRecord[] {
    const outputs: OutRecord[] = []
    let committed = 0
    let pending: Step | null = null
    for (const step of this.processor.control(this.store, record)) {
      if (pending !== null && committed++ < crashAfter) outputs.push(...this.#commit(pending))
      if (committed >= crashAfter) return outputs
      pending = step
    }
    if (pending !== null && committed < crashAfter) outputs.push(...this.#commit(pending))
    return outputs
  }

  #commit(step: Step): OutRecord[] {
    const offsets = new Map<string, bigint>()
    for (const { topic, partition } of step.outputs) {
      const key = partitionKey(topic, partition)
      const next = (this.#offsets.get(key) ?? -1n) + 1n
      this.#offsets.set(key, next)
      offsets.set(key, next)
    }
    const outputs = [...step.outputs, ...step.tail(offsets)]
    this.log.push(...step.state(offsets))
    step.apply(offsets)
    this.written.push(...outputs)
    return outputs
  }

  /**
   * Throws the memory away and reads the log: as it is, compacted to the last record of each key
   * (deletions too are gone then), compacted up to its middle, or so with the marks in front.
   */
  restore(how: 'log' | 'compacted' | 'half' | 'marks first' = 'compacted'): void {
    const isMark = (entry: LogEntry) => entry.key.startsWith('s|')
    const middle = Math.floor(this.log.length / 2)
    const entries = {
      log: () => this.log,
      compacted: () => compacted(this.log),
      half: () => [...compacted(this.log.slice(0, middle)), ...this.log.slice(middle)],
      'marks first': () =>
        compacted(this.log).toSorted((a, b) => Number(isMark(b)) - Number(isMark(a))),
    }
    this.store = this.processor.createStore(0)
    for (const { key, value } of entries[how]()) this.store.load(key, value)
  }
}

function compacted(log: readonly LogEntry[]): LogEntry[] {
  const last = new Map<string, LogEntry>()
  for (const entry of log) {
    last.delete(entry.key)
    last.set(entry.key, entry)
  }
  return [...last.values()].filter(({ value }) => value !== null)
}

type Decoded =
  | { topic: 'exposure.assets'; value: Asset }
  | { topic: 'exposure.findings'; value: Finding }
  | { topic: 'exposure.runs'; value: Run }

const decode = (record: OutRecord): Decoded => {
  const kind = record.topic.replace('exposure.', '') as keyof typeof types
  const value: unknown = types[kind].fromBuffer(record.value ?? Buffer.alloc(0))
  return { topic: record.topic, value: JSON.parse(JSON.stringify(value)) } as Decoded
}

export const assetsIn = (records: readonly OutRecord[]): Asset[] =>
  records.filter((r) => r.topic === 'exposure.assets').map((r) => decode(r).value as Asset)
export const findingsIn = (records: readonly OutRecord[]): Finding[] =>
  records.filter((r) => r.topic === 'exposure.findings').map((r) => decode(r).value as Finding)
export const runsIn = (records: readonly OutRecord[]): Run[] =>
  records.filter((r) => r.topic === 'exposure.runs').map((r) => decode(r).value as Run)

/** 2026-01-01T00:00:00Z */
export const T0 = 1_767_225_600_000
export const RUN_1 = '1767225600000-000001'
export const RUN_2 = '1767229200000-000002'
export const RUN_3 = '1767232800000-000003'

export const hostFacts = (over: Partial<RawFacts> = {}): RawFacts => ({
  connection: 'prod',
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  tenant: 'acme',
  stream: 'compute.hosts',
  unit: 'web-1',
  assetNativeId: 'host|web-1',
  runId: RUN_1,
  fetchedAtMs: T0,
  endpoint: '/api/v1/hosts',
  page: 1,
  contentType: 'application/json',
  columns: null,
  tooLargeBytes: null,
  ...over,
})

export const rawPartitionOf = (facts: RawFacts): number =>
  partitionOf(placementKey(facts.product, facts.assetNativeId), RAW_PARTITIONS)

/** A Compute vulnerability in the documented shape. */
export const vulnerability = (cve: string, over: object = {}) => ({
  cve,
  severity: 'high',
  cvss: 7.5,
  status: 'fixed in 1.2.4',
  packageName: 'openssl',
  packageVersion: '1.2.3',
  published: 1_660_162_500,
  fixDate: 1_660_162_500,
  discovered: '2025-12-01T00:00:00Z',
  link: `https://nvd.nist.gov/vuln/detail/${cve}`,
  description: 'a flaw',
  vecStr: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H',
  riskFactors: { 'Has fix': {} },
  exploit: '',
  exploits: [],
  type: 'image',
  ...over,
})

export const host = (vulnerabilities: unknown, over: object = {}) => ({
  _id: 'web-1',
  type: 'host',
  hostname: 'web-1',
  scanTime: '2025-12-31T23:00:00Z',
  firstScanTime: '2025-11-01T00:00:00Z',
  osDistro: 'debian',
  osDistroVersion: '12',
  distro: 'Debian GNU/Linux 12 (bookworm)',
  hostDevices: [{ name: 'ens5', ip: '10.0.0.5' }],
  cloudMetadata: {
    provider: 'aws',
    resourceID: 'i-0abcdef1234567890',
    accountID: '123456789012',
    region: 'eu-west-1',
  },
  packages: [],
  vulnerabilities,
  vulnerabilitiesCount: Array.isArray(vulnerabilities) ? vulnerabilities.length : 0,
  ...over,
})

export const runEndOf = (over: Partial<RunEnd> = {}): RunEnd => ({
  connection: 'prod',
  vendor: 'prisma-cloud',
  product: 'prisma-compute',
  tenant: 'acme',
  stream: 'compute.hosts',
  runId: RUN_1,
  kind: 'SNAPSHOT',
  verdict: 'COMPLETE',
  scope: '0123456789abcdef',
  startedAtMs: T0,
  endedAtMs: T0 + 60_000,
  declared: 1,
  pages: 1,
  fetched: 1,
  published: 1,
  tooLarge: 0,
  reason: null,
  hold: null,
  ...over,
})
