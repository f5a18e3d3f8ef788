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
  const { java, files, dataDir, port, controllerPort } = options
  return startKafkaNode({
    name: 'Kafka',
    java,
    files,
    dataDir,
    port,
    memory: ['-Xms256m', '-Xmx768m'],
    clusterId: newClusterId(),
    settings: {
      // The voter by its present port: one written into the log at formatting would be for ever.
      ...nodeSettings(1, port, [{ id: 1, controllerPort }]),
      ...BROKER_SETTINGS,
    },
  })
}

export type KafkaNode = Omit<NativeKafka, 'controllerPort'> & {
  readonly name: string
  /** Options of the Java machine. */
  readonly memory: readonly string[]
  /** The same for all nodes of a cluster; used when its storage is formatted. */
  readonly clusterId: string
  /** All of server.properties but `log.dirs`. */
  readonly settings: Readonly<Record<string, string | number | boolean>>
}

/**
 * Starts one node of a cluster, which may have more; formats its storage the first time only.
 * @throws PipelineError CONFIGURATION when it does not start
 */
export async function startKafkaNode(node: KafkaNode): Promise<Server> {
  const home = join(node.dataDir, 'kafka')
  mkdirSync(home, { recursive: true })
  const properties = join(home, 'server.properties')
  const lines = Object.entries({ ...node.settings, 'log.dirs': join(home, 'log') })
  writeFileSync(properties, lines.map(([name, value]) => `${name}=${value}\n`).join(''))
  const classPath = ['-cp', join(node.files, '*'), LOGGING]
  if (!existsSync(join(home, 'log/meta.properties'))) {
    await format(node, classPath, properties)
  }
  return startServer({
    name: node.name,
    command: node.java,
    args: [...node.memory, ...classPath, 'kafka.Kafka', properties],
    env: {},
    dataDir: home,
    logFile: join(node.dataDir, 'kafka.log'),
    stopSignal: 'SIGTERM',
    readyTimeoutMs: READY_TIMEOUT_MS,
    ready: () => probeKafka(`127.0.0.1:${node.port}`),
  })
}

/** A Kafka UUID. Never one that begins with a dash, which its tools take for an option. */
export function newClusterId(): string {
  const bytes = randomBytes(16)
  // With the highest bit off, the first of the 22 characters is one of A-Z and a-f.
  bytes.writeUInt8(bytes.readUInt8(0) & 0x7f, 0)
  return bytes.toString('base64url')
}

/** Who a node is and where it listens; every node is a broker and a voter. */
export function nodeSettings(
  id: number,
  port: number,
  voters: readonly { readonly id: number; readonly controllerPort: number }[],
): Record<string, string | number> {
  const addressOf = (node: { controllerPort: number }) => `127.0.0.1:${node.controllerPort}`
  const broker = `PLAINTEXT://127.0.0.1:${port}`
  const own = voters.filter((voter) => voter.id === id).map(addressOf)
  return {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': voters.map((voter) => `${voter.id}@${addressOf(voter)}`).join(),
    listeners: `${broker},CONTROLLER://${own.join()}`,
    'advertised.listeners': broker,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  }
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

async function format(
  { java, clusterId }: KafkaNode,
  classPath: readonly string[],
  properties: string,
): Promise<void> {
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
