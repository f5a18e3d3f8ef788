// The words in which the rest of the product speaks of Kafka; no kafkajs type leaves this folder.

export type KafkaSettings = {
  readonly brokers: readonly string[]
  /** Put before every topic, group and transactional id, e.g. `prod.`; may be empty. */
  readonly prefix: string
  readonly replicationFactor: number
  /** As kafkajs takes it: true, or TLS options with PEM texts. */
  readonly ssl: boolean | { readonly ca?: string; readonly cert?: string; readonly key?: string }
  readonly sasl: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  } | null
}

export { partitionKey } from '../../contracts/processing.ts'
export type {
  KafkaRecord,
  OutRecord,
  PartitionStore,
  Processor,
  Step,
  WrittenOffsets,
} from '../../contracts/processing.ts'
