// exposure.yaml as a whole: the common part, every vendor's connections, every store's settings.
import { z } from 'zod'
import { cortexConnection } from '../producers/cortex/config.ts'
import { prismaCloudConnection } from '../producers/prisma-cloud/config.ts'
import { kafkaConfig, registryConfig } from '../runtime/config.ts'
import { duration } from '../runtime/connection-config.ts'
import { postgresConfig } from '../sinks/postgres/config.ts'

const connections = z
  .array(z.discriminatedUnion('type', [prismaCloudConnection, cortexConnection]))
  .superRefine((list, context) => {
    const names = new Set<string>()
    list.forEach(({ name }, index) => {
      if (names.has(name)) {
        const message = `the name ${name} is used twice; names are unique`
        context.addIssue({ code: 'custom', path: [index, 'name'], message })
      }
      names.add(name)
    })
  })

export const exposureConfig = z.strictObject({
  kafka: kafkaConfig,
  registry: registryConfig,
  connections: connections.default([]),
  sinks: z.strictObject({ postgres: postgresConfig.optional() }).default({}),
  /** A temporary failure that lasts this long without one success is a disconnection. */
  disconnectedAfter: duration.default(15 * 60_000),
})

export type ExposureConfig = z.infer<typeof exposureConfig>
export type Connection = ExposureConfig['connections'][number]

/** For `npm start`, where the stack gives the addresses unless the file names its own. */
export const startConfig = exposureConfig.partial({ kafka: true, registry: true })
