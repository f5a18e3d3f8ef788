// Apicurio Registry as a process of its own, its schemas in a file database.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { probeRegistry } from './probe.ts'
import { startServer, type Server } from './server.ts'

const READY_TIMEOUT_MS = 120_000

export type NativeRegistry = {
  readonly java: string
  /** Folder with quarkus-run.jar. */
  readonly files: string
  readonly dataDir: string
  readonly port: number
  readonly managementPort: number
}

/** Base address of the registry's Confluent API on 127.0.0.1. */
export function registryUrlOf(port: number): string {
  return `http://127.0.0.1:${port}/apis/ccompat/v7`
}

/** Starts the registry on 127.0.0.1. @throws PipelineError CONFIGURATION when it does not start */
export function startNativeRegistry(options: NativeRegistry): Promise<Server> {
  const home = join(options.dataDir, 'registry')
  mkdirSync(home, { recursive: true })
  return startServer({
    name: 'The registry',
    command: options.java,
    args: ['-Xmx256m', '-jar', join(options.files, 'quarkus-run.jar')],
    env: {
      QUARKUS_HTTP_HOST: '127.0.0.1',
      QUARKUS_HTTP_PORT: String(options.port),
      // Without these it also listens on every address, port 9000.
      QUARKUS_MANAGEMENT_HOST: '127.0.0.1',
      QUARKUS_MANAGEMENT_PORT: String(options.managementPort),
      APICURIO_STORAGE_KIND: 'sql',
      APICURIO_STORAGE_SQL_KIND: 'h2',
      APICURIO_DATASOURCE_URL: `jdbc:h2:file:${join(home, 'schemas')}`,
    },
    dataDir: home,
    logFile: join(options.dataDir, 'registry.log'),
    stopSignal: 'SIGTERM',
    readyTimeoutMs: READY_TIMEOUT_MS,
    ready: () => probeRegistry(registryUrlOf(options.port)),
  })
}
