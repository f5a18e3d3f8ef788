// Where the commands find Kafka: dialled once, before anything waits for one of its logs.
import { PipelineError } from '../contracts/errors.ts'
import { kafkaSettings } from '../runtime/config.ts'
import { dialKafka } from '../runtime/kafka/admin.ts'
import type { KafkaSettings } from '../runtime/kafka/types.ts'
import { createLogger } from '../runtime/log.ts'
import { type ExposureConfig, isOfLastStart } from './config.ts'

const START_IT = 'Start it: npm start, in another terminal; this is the address it last had.'

/**
 * The settings, once Kafka has answered.
 * @throws PipelineError when it does not within ten seconds, or a secret cannot be read
 */
export async function reachKafka({ kafka }: Pick<ExposureConfig, 'kafka'>): Promise<KafkaSettings> {
  const settings = kafkaSettings(kafka)
  try {
    await dialKafka(settings, createLogger('reach'))
    return settings
  } catch (error) {
    if (!(error instanceof PipelineError && error.retriable && isOfLastStart(kafka))) throw error
    const { failure, stage, message } = error
    throw new PipelineError(failure, stage, message, { cause: error, remediation: START_IT })
  }
}
