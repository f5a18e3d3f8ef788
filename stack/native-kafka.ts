// Kafka in KRaft mode as a process of its own: one node, broker and controller in one.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { probeKafka } from './probe.ts'
import { startFault, startServer, type Server } from './server.ts'

const READY_TIMEOUT_MS = 90_000
const FORMAT_TIMEOUT_MS = 60_000
const LOGGING = `-Dlog4j2.configurationFile=${join(import.meta.dirname, 'log4j2.properties')}`

export type NativeKafka = {
  readonly java: string
  /** Folder with the jars. */
  readonly files: string
  readonly dataDir: string
  readonly port: number
  readonly controllerPort: number
}

/**
 * Starts the broker on 127.0.0.1; formats its storage the first time only.
 * @throws PipelineError CONFIGURATION when it does not start
 */
export async function startNativeKafka(options: NativeKafka): Promise<Server> {
  const home = join(options.dataDir, 'kafka')
  mkdirSync(home, { recursive: true })
  const properties = join(home, 'server.properties')
  writeFileSync(properties, settings(options, join(home, 'log')))
  const classPath = ['-cp', join(options.files, '*'), LOGGING]
  if (!existsSync(join(home, 'log/meta.properties'))) {
    await format(options.java, classPath, properties)
  }
  return startServer({
    name: 'Kafka',
    command: options.java,
    args: ['-Xms256m', '-Xmx768m', ...classPath, 'kafka.Kafka', properties],
    env: {},
    dataDir: home,
    logFile: join(options.dataDir, 'kafka.log'),
    stopSignal: 'SIGTERM',
    readyTimeoutMs: READY_TIMEOUT_MS,
    ready: () => probeKafka(`127.0.0.1:${options.port}`),
  })
}

function settings(options: NativeKafka, logDir: string): string {
  const broker = `PLAINTEXT://127.0.0.1:${options.port}`
  const controller = `127.0.0.1:${options.controllerPort}`
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': 1,
    // The voter by its present port: one written into the log at formatting would be for ever.
    'controller.quorum.voters': `1@${controller}`,
    listeners: `${broker},CONTROLLER://${controller}`,
    'advertised.listeners': broker,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': logDir,
    ...BROKER_SETTINGS,
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}

/** What one node needs, and what makes development and tests quick; containers have it too. */
export const BROKER_SETTINGS = {
  'offsets.topic.replication.factor': 1,
  'offsets.topic.num.partitions': 6,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'transaction.state.log.num.partitions': 6,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
  'group.initial.rebalance.delay.ms': 0,
  'auto.create.topics.enable': false,
  'log.cleaner.backoff.ms': 300,
} as const

async function format(java: string, classPath: string[], properties: string): Promise<void> {
  const clusterId = randomBytes(16).toString('base64url')
  const tool = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', properties]
  try {
    await promisify(execFile)(java, ['-Xmx256m', ...classPath, ...tool], {
      timeout: FORMAT_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    })
  } catch (cause) {
    throw startFault(`Kafka's storage could not be formatted with ${properties}`, cause)
  }
}
