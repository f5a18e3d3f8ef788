// Turns whatever kafkajs throws into a PipelineError, and knows the few kinds the loops act upon.
import { PipelineError, type Failure, type Stage } from '../../contracts/errors.ts'

/** kafkajs wraps: the interesting error is somewhere down the chain of causes. */
const CAUSES_MAX = 10

type Facts = {
  readonly types: Set<string>
  readonly names: Set<string>
  readonly codes: Set<string>
}

function factsOf(error: unknown): Facts {
  const facts: Facts = { types: new Set(), names: new Set(), codes: new Set() }
  const queue: unknown[] = [error]
  for (let seen = 0; seen < CAUSES_MAX && queue.length > 0; seen++) {
    const one = queue.shift()
    if (typeof one !== 'object' || one === null) continue
    const { type, name, code, cause, originalError, errors } = one as Record<string, unknown>
    if (typeof type === 'string') facts.types.add(type)
    if (typeof name === 'string') facts.names.add(name)
    if (typeof code === 'string') facts.codes.add(code)
    queue.push(cause, originalError)
    if (Array.isArray(errors)) queue.push(...errors.slice(0, CAUSES_MAX))
  }
  return facts
}

/** True when the error, or one of its causes, is a protocol error of one of these types. */
export function isOfType(error: unknown, types: readonly string[]): boolean {
  const facts = factsOf(error)
  return types.some((type) => facts.types.has(type))
}

const REBALANCE = [
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'NOT_COORDINATOR_FOR_GROUP',
]

/**
 * The group is being dealt anew, or this member is no longer in it. Only the error itself counts,
 * as kafkajs looks at nothing else.
 */
export function isRebalance(error: unknown): boolean {
  const type = typeof error === 'object' && error !== null && 'type' in error ? error.type : ''
  return typeof type === 'string' && REBALANCE.includes(type)
}

/** The coordinator is busy or moving: the same request is right a moment later. */
export const isCoordinatorBusy = (error: unknown): boolean =>
  isOfType(error, [
    'CONCURRENT_TRANSACTIONS',
    'COORDINATOR_NOT_AVAILABLE',
    'COORDINATOR_LOAD_IN_PROGRESS',
    'NOT_COORDINATOR',
    'GROUP_COORDINATOR_NOT_AVAILABLE',
    'GROUP_LOAD_IN_PROGRESS',
    'NOT_COORDINATOR_FOR_GROUP',
  ])

/** What the client knows of a partition's leader is out of date; a refresh cures it. */
export const isStaleMetadata = (error: unknown): boolean =>
  isOfType(error, [
    'UNKNOWN_TOPIC_OR_PARTITION',
    'LEADER_NOT_AVAILABLE',
    'NOT_LEADER_FOR_PARTITION',
    'FENCED_LEADER_EPOCH',
    'UNKNOWN_LEADER_EPOCH',
  ]) || factsOf(error).names.has('KafkaJSTopicMetadataNotLoaded')

/** Somebody else has opened the transactional id since; or the broker gave the transaction up. */
export const isFenced = (error: unknown): boolean =>
  isOfType(error, ['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'])

const UNREACHABLE_NAMES = [
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSGroupCoordinatorNotFound',
  'KafkaJSLockTimeout',
  'KafkaJSTimeout',
]
const UNREACHABLE_CODES = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ECONNRESET', 'ETIMEDOUT']

export const isUnreachable = (error: unknown): boolean => {
  const { names, codes } = factsOf(error)
  return (
    UNREACHABLE_NAMES.some((name) => names.has(name)) ||
    UNREACHABLE_CODES.some((code) => codes.has(code))
  )
}

type Rule = { readonly types: RegExp; readonly failure: Failure; readonly says: string }

/** First match wins. `says` is the sentence an operator reads. */
const RULES: readonly Rule[] = [
  {
    types: /^(SASL_AUTHENTICATION_FAILED|ILLEGAL_SASL_STATE|UNSUPPORTED_SASL_MECHANISM)$/,
    failure: 'AUTHORIZATION_FAILURE',
    says: 'Kafka refused the SASL user name, password or mechanism',
  },
  {
    types: /_AUTHORIZATION_FAILED$/,
    failure: 'ACCESS_FORBIDDEN',
    says: 'Kafka refuses access: the user lacks an ACL for this topic, group or transactional id',
  },
  {
    types: /^(UNKNOWN_TOPIC_OR_PARTITION|INVALID_TOPIC_EXCEPTION)$/,
    failure: 'CONFIGURATION',
    says: 'a topic is missing: run `exposure topics apply`',
  },
  {
    types: /^(MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE)$/,
    failure: 'PAYLOAD_TOO_LARGE',
    says: "a record exceeds the topic's max.message.bytes",
  },
  {
    types: /^(INVALID_PRODUCER_EPOCH|PRODUCER_FENCED|INVALID_PRODUCER_ID_MAPPING)$/,
    failure: 'TEMPORARY_FAILURE',
    says: 'another instance has taken over this work, or the transaction took too long',
  },
  {
    types: /^(INVALID_REPLICATION_FACTOR|INVALID_CONFIG|POLICY_VIOLATION|INVALID_PARTITIONS)$/,
    failure: 'CONFIGURATION',
    says: 'Kafka refuses the settings of a topic',
  },
]

/**
 * Any error of this folder as a PipelineError; total. A PipelineError in the chain is returned as
 * it is. `brokers` names the addresses in the message.
 */
export function kafkaError(
  error: unknown,
  stage: Stage = 'PUBLISH',
  brokers: readonly string[] = [],
): PipelineError {
  const ours = pipelineErrorIn(error)
  if (ours !== null) return ours
  const { types, names } = factsOf(error)
  const text = error instanceof Error ? error.message : String(error)
  const make = (failure: Failure, says: string): PipelineError =>
    new PipelineError(failure, stage, `${says} (${text})`, { cause: error })

  if (names.has('KafkaJSSASLAuthenticationError')) {
    return make('AUTHORIZATION_FAILURE', 'Kafka refused the SASL user name or password')
  }
  for (const rule of RULES) {
    if ([...types].some((type) => rule.types.test(type))) return make(rule.failure, rule.says)
  }
  if (isUnreachable(error)) {
    const where = brokers.length === 0 ? '' : ` at ${brokers.join(', ')}`
    const says = `Kafka does not answer${where}: check that it runs and that the address is right`
    return make('TEMPORARY_FAILURE', says)
  }
  if (types.size > 0 || [...names].some((name) => name.startsWith('KafkaJS'))) {
    return make('TEMPORARY_FAILURE', 'Kafka could not carry out a request')
  }
  return make('INTERNAL', 'an error of ours')
}

function pipelineErrorIn(error: unknown): PipelineError | null {
  let one = error
  for (let seen = 0; seen < CAUSES_MAX; seen++) {
    if (one instanceof PipelineError) return one
    if (!(one instanceof Error)) return null
    one = one.cause
  }
  return null
}
