// OpenSearch as a process of its own, one node: for tests alone, `exposure start` does not know it.
import { randomBytes, randomInt } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { startFault, startServer, type Server } from './server.ts'

const READY_TIMEOUT_MS = 120_000
const PROBE_TIMEOUT_MS = 5_000
const HEAP = '512m'
// The runner takes no port above 9299: it looks from its base on for one that is free.
const PORT_MIN = 9_201
const PORT_MAX = 9_299
const PORTS_TRIED_MAX = 200
const STARTS_MAX = 3

export type NativeOpenSearch = {
  readonly java: string
  /** Folder with the runner and its libraries. */
  readonly files: string
  readonly dataDir: string
}

/**
 * Starts one node on 127.0.0.1, without security.
 * @throws PipelineError CONFIGURATION when it does not start
 */
export async function startNativeOpenSearch(
  options: NativeOpenSearch,
): Promise<{ server: Server; url: string }> {
  for (let start = 1; ; start += 1) {
    try {
      return await startOnce(options)
    } catch (error) {
      // Somebody else may have taken the port between our look and the node's.
      if (start >= STARTS_MAX) throw error
    }
  }
}

async function startOnce(options: NativeOpenSearch): Promise<{ server: Server; url: string }> {
  const port = await freePort()
  const cluster = `exposure-${randomBytes(4).toString('hex')}`
  const home = join(options.dataDir, cluster)
  mkdirSync(home, { recursive: true })
  const url = `http://127.0.0.1:${port}`
  const server = await startServer({
    name: 'OpenSearch',
    command: options.java,
    args: [
      `-Xms${HEAP}`,
      `-Xmx${HEAP}`,
      '-cp',
      join(options.files, '*'),
      'org.codelibs.opensearch.runner.OpenSearchRunner',
      '-numOfNode',
      '1',
      '-basePath',
      home,
      '-clusterName',
      cluster,
      '-baseHttpPort',
      // It adds the number of the node, which is 1.
      String(port - 1),
    ],
    env: {},
    dataDir: home,
    logFile: join(options.dataDir, `${cluster}.log`),
    stopSignal: 'SIGTERM',
    readyTimeoutMs: READY_TIMEOUT_MS,
    ready: () => probe(url, cluster),
  })
  return { server, url }
}

/** @throws until the node of this cluster answers */
async function probe(url: string, cluster: string): Promise<void> {
  const path = '/_cluster/health?wait_for_status=yellow&timeout=1s'
  const answer = await fetch(url + path, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) })
  const health = (await answer.json()) as { cluster_name?: string; timed_out?: boolean }
  if (health.cluster_name !== cluster || health.timed_out !== false) throw new Error('not yet')
}

async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < PORTS_TRIED_MAX; attempt += 1) {
    const port = randomInt(PORT_MIN, PORT_MAX + 1)
    if (!(await answers(port))) return port
  }
  throw startFault(`no free port was found between ${PORT_MIN} and ${PORT_MAX} on 127.0.0.1`)
}

// The runner looks in the same way, so that both think the same of a port.
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: PROBE_TIMEOUT_MS })
    const end = (isTaken: boolean) => {
      socket.destroy()
      resolve(isTaken)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(true))
    socket.once('error', () => end(false))
  })
}
