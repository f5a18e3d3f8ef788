// The settings of the sink that writes OCSF events as JSON to a Kafka topic.
import { z } from 'zod'
import { TOPICS } from '../../contracts/topics.ts'
import { commonSink, sinkName } from '../../runtime/sink-settings.ts'
import { OCSF_DEFAULT, OCSF_VERSIONS } from '../ocsf/event.ts'

const TOPIC = /^[a-zA-Z0-9._-]{1,200}$/
const OWN = new Set(Object.values(TOPICS).map(({ name }) => name))

/** A member of `sinks.kafka-json` in the settings. */
export const kafkaJsonConfig = z.strictObject({
  ...commonSink,
  name: sinkName.default('kafka-json'),
  /** Behind the prefix of all topics; made when it is missing. */
  topic: z
    .string()
    .regex(TOPIC, 'must be a name of letters, digits, dots, dashes and underscores')
    .refine((name) => name === TOPICS.ocsf.name || !OWN.has(name), 'is a topic of another use')
    .default(TOPICS.ocsf.name),
  ocsfVersion: z.enum(OCSF_VERSIONS).default(OCSF_DEFAULT),
})

export type KafkaJsonConfig = z.infer<typeof kafkaJsonConfig>
