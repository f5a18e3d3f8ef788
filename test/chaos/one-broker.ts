// One broker of a scenario's own: killed, and started again on what it had written.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findJava, usualPlaces } from '../../stack/java.ts'
import { startNativeKafka } from '../../stack/native-kafka.ts'
import { defaultCacheDir, getPackage } from '../../stack/packages.ts'
import { freePort } from '../../stack/ports.ts'
import type { Server } from '../../stack/server.ts'

export type OneBroker = {
  /** `host:port`. */
  readonly brokers: string[]
  /** As a power cut: nothing is written out, nobody is told. */
  kill(): Promise<void>
  /** On the same data and ports; resolves when it answers. */
  start(): Promise<void>
  /** Stops it, and removes its data. */
  close(): Promise<void>
}

/** @throws PipelineError CONFIGURATION when there is no Java, or it does not start */
export async function startOneBroker(): Promise<OneBroker> {
  const java = await findJava(usualPlaces())
  const log = (): void => undefined
  const files = await getPackage('kafka', { cacheDir: defaultCacheDir(), java, log })
  const dataDir = mkdtempSync(join(tmpdir(), 'exposure-broker-'))
  const port = await freePort([])
  const controllerPort = await freePort([port])
  let server: Server | null = null
  const start = async (): Promise<void> => {
    server = await startNativeKafka({ java, files, dataDir, port, controllerPort })
  }
  const close = async (): Promise<void> => {
    await server?.stop()
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
  try {
    await start()
  } catch (error) {
    await close()
    throw error
  }
  return {
    brokers: [`127.0.0.1:${port}`],
    async kill() {
      await server?.kill()
      server = null
    },
    start,
    close,
  }
}
