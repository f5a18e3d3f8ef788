// The events of W3: what the real mapping and lifecycle make of hosts as Compute lists them.
import { eventId } from '../contracts/identity.ts'
import type { ConnectorError } from '../contracts/connector-error.ts'
import type { Finding } from '../contracts/finding.ts'
import type { KafkaRecord, OutRecord } from '../contracts/processing.ts'
import { partitionOf } from '../contracts/placement.ts'
import { RAW_PARTITIONS, TOPICS, topicName } from '../contracts/topics.ts'
import type { Codecs } from '../runtime/codecs.ts'
import { CLOSING_DEFAULTS } from '../transformers/lifecycle/listings.ts'
import { createLifecycle } from '../transformers/lifecycle/processor.ts'
import { TRANSFORMERS } from '../transformers/transformers.ts'
import { noise } from './w1-data.ts'
import { ENTITIES_PER_HOST, hostRecord } from './w2-data.ts'

/** What a worker reads in one go: all new, all changed, and findings of nearly a megabyte. */
export const LOADS = ['first load', 'updates', '0.9 MB texts'] as const
export type Load = (typeof LOADS)[number]

const HOSTS_PER_STEP = 20
/** Above the number of any host of the first load. */
const LARGE_FROM = 10_000_000
const LARGE_CHARACTERS = 900_000

type Body = { readonly vulnerabilities: readonly object[] }
type Maker = {
  /** Records of one load, a step's worth at a time. `entities`: assets and findings in all. */
  events(load: Load, entities: number): Generator<readonly OutRecord[]>
}

/** Its memory is that of the lifecycle, so that updates are updates of what it has made before. */
export function createMaker(codecs: Codecs, prefix: string): Maker {
  const nothing = Buffer.alloc(0)
  let isLarge = false
  const processor = createLifecycle({
    prefix,
    mappingVersion: '1',
    closing: CLOSING_DEFAULTS,
    transformers: TRANSFORMERS,
    encode: {
      asset: (value) => codecs.encode('assets', value),
      // Here, since the mapping cuts descriptions; what others write to the topic may have them.
      finding: (value) => codecs.encode('findings', isLarge ? withLongText(value) : value),
      vulnerability: () => nothing,
      run: () => nothing,
    },
    deadLetter: (_, error) => {
      throw error
    },
    onDrift: () => undefined,
    onDeadLetter: () => undefined,
    onCleanPartition: () => undefined,
    onCommit: () => undefined,
  })
  const stores = Array.from({ length: RAW_PARTITIONS }, (_, i) => processor.createStore(i))
  return {
    *events(load, entities) {
      isLarge = load === '0.9 MB texts'
      const hosts = Math.ceil(entities / (isLarge ? 2 : ENTITIES_PER_HOST))
      for (const [partition, store] of stores.entries()) {
        const records: KafkaRecord[] = []
        for (let host = partition; host < hosts; host += stores.length) {
          records.push(rawOf(load, host, partition))
          if (records.length < HOSTS_PER_STEP && host + stores.length < hosts) continue
          const step = processor.data(store, records.splice(0))
          yield step.outputs
          step.apply(new Map())
        }
      }
    },
  }
}

function rawOf(load: Load, host: number, partition: number): KafkaRecord {
  switch (load) {
    case 'first load':
      return hostRecord(host, 0, partition)
    case 'updates':
      // Every machine and every finding of it has changed.
      return changed(hostRecord(host, 2, partition), ({ vulnerabilities, ...rest }) => ({
        ...rest,
        vulnerabilities: vulnerabilities.map((one) => ({ ...one, cvss: 9.9 })),
      }))
    case '0.9 MB texts':
      return changed(hostRecord(LARGE_FROM + host, 0, partition), (body) => ({
        ...body,
        vulnerabilities: body.vulnerabilities.slice(0, 1),
      }))
  }
}

const withLongText = (finding: Finding): Finding => ({
  ...finding,
  description: noise(finding.meta.revision, LARGE_CHARACTERS),
})

function changed(record: KafkaRecord, change: (body: Body) => object): KafkaRecord {
  const body = JSON.parse(record.value?.toString() ?? '') as Body
  return { ...record, value: Buffer.from(JSON.stringify(change(body))) }
}

/** Conditions that begin, and in the updates end. */
export function* errorsOf(
  codecs: Codecs,
  prefix: string,
  load: Load,
  count: number,
): Generator<readonly OutRecord[]> {
  const topic = topicName(prefix, 'connectorErrors')
  for (let i = 0; i < count; i += 1) {
    const error = errorOf(i, load)
    const { fingerprint: key } = error
    const partition = partitionOf(key, TOPICS.connectorErrors.partitions)
    const value = codecs.encode('connectorErrors', error)
    yield [{ topic, partition, key, value, headers: {} }]
  }
}

function errorOf(index: number, load: Load): ConnectorError {
  const fingerprint = `bench-${index}`
  const isOver = load === 'updates'
  return {
    error_id: eventId(fingerprint, isOver ? 2 : 1),
    fingerprint,
    state: isOver ? 'CLEARED' : 'RAISED',
    error_type: 'AUTHORIZATION_FAILURE',
    stage: 'AUTH',
    severity: isOver ? 'INFORMATIONAL' : 'HIGH',
    retryable: false,
    attempt: 1,
    next_attempt_at: null,
    connection_id: `connection-${index % 50}`,
    vendor: 'cortex',
    product: 'cortex-xdr',
    stream: 'xdr.endpoints',
    run_id: null,
    sink_id: null,
    message: noise(index, 200),
    remediation: noise(index + 1, 100),
    http: null,
    record: null,
    violations: [],
    occurrences: 1,
    first_at: 1_767_225_600_000,
    last_at: 1_767_225_600_000 + (isOver ? 60_000 : 0),
    instance: null,
    version: '0.1.0',
  }
}
