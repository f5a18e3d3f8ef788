// Parts of the stack as containers: the engine is found in time, and nothing outlives its parent.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSocketServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { getContainerRuntimeClient } from 'testcontainers'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { startContainerGuard } from '../../stack/container-guard.ts'
import { IMAGES, startPostgresContainer } from '../../stack/containers.ts'
import { type Engine, engineSocket } from '../../stack/engine.ts'
import { choosePorts } from '../../stack/ports.ts'
import { probePostgres } from '../../stack/probe.ts'
import { waitFor } from '../support/stack.ts'

const GUARD = resolve(import.meta.dirname, '../../stack/container-guard.ts')
const QUERY_TIMEOUT_MS = 15_000

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'exposure-containers-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** An engine that answers every call with one status and keeps a list of them. */
async function fakeEngine(status: number): Promise<{ socket: string; calls: string[] }> {
  const socket = join(folder(), 'engine.sock')
  const calls: string[] = []
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`)
    response.writeHead(status).end()
  }).listen(socket)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { socket, calls }
}

describe('an engine', () => {
  it('that accepts and never answers is none', async () => {
    const socket = join(folder(), 'engine.sock')
    const server = createSocketServer().listen(socket)
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    vi.stubEnv('DOCKER_HOST', `unix://${socket}`)
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(await engineSocket()).toBeNull()
  })

  it('of another machine is none', async () => {
    vi.stubEnv('DOCKER_HOST', 'tcp://127.0.0.1:2375')
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(await engineSocket()).toBeNull()
  })
})

describe("a container's guard", () => {
  const plan = { name: 'of-a-test', volume: 'volume-of-a-test', stopWaitS: 7 }
  const EXPECTED = [
    'POST /containers/of-a-test/stop?t=7',
    'DELETE /containers/of-a-test?force=true&v=true',
    'DELETE /volumes/volume-of-a-test',
  ]

  it('ends the container and its volume when the parent is killed', async () => {
    const { socket, calls } = await fakeEngine(204)
    const script = `import { startContainerGuard } from ${JSON.stringify(GUARD)}
      startContainerGuard(${JSON.stringify({ ...plan, socket })})
      process.stdout.write('up')
      setInterval(() => {}, 60_000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void parent.kill('SIGKILL'))
    await once(parent.stdout, 'data')
    expect(calls).toEqual([])
    parent.kill('SIGKILL')
    await waitFor(() => calls.length >= EXPECTED.length, { what: 'the guard has called' })
    expect(calls).toEqual(EXPECTED)
  })

  it('keeps the volume where data are kept, and stops once', async () => {
    const { socket, calls } = await fakeEngine(204)
    const guard = startContainerGuard({ ...plan, volume: null, socket })
    await Promise.all([guard.stop(), guard.stop()])
    await guard.stop()
    expect(calls).toEqual(EXPECTED.slice(0, 2))
  })

  it('asks once more for a container that was still being made', async () => {
    const { socket, calls } = await fakeEngine(404)
    await startContainerGuard({ ...plan, volume: null, socket }).stop()
    expect(calls).toEqual([...EXPECTED.slice(0, 2), ...EXPECTED.slice(0, 2)])
  })

  it('says so when the engine refuses', async () => {
    const { socket } = await fakeEngine(500)
    const stopped = startContainerGuard({ ...plan, socket }).stop()
    await expect(stopped).rejects.toThrow(/of-a-test did not stop: the engine answered 500/)
  })
})

const engine = await engineWithPostgres()

describe.runIf(engine !== null)('PostgreSQL in a container', () => {
  it('keeps its data between starts, and nothing when it is temporary', async () => {
    if (engine === null) return
    const dataDir = folder()
    const { postgres: port } = await choosePorts(dataDir)
    const lines: string[] = []
    const log = (line: string) => void lines.push(line)
    const common = { ...engine, dataDir, port, log, fresh: false, password: 'of-the-test' }
    const first = await startPostgresContainer({ ...common, temporary: false })
    await query(first.url, "CREATE TABLE kept AS SELECT 'yes' AS answer")
    expect(await containersOf(engine.api, port)).toBe(1)
    await first.container.stop()
    expect(await containersOf(engine.api, port)).toBe(0)
    await expect(probePostgres(first.url)).rejects.toThrow()
    const second = await startPostgresContainer({ ...common, temporary: true })
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 'yes' }])
    await second.container.stop()
    const filters = JSON.stringify({ label: [`exposure-stream.data-dir=${dataDir}`] })
    expect((await engine.api.listVolumes({ filters })).Volumes ?? []).toEqual([])
    expect(lines).toEqual([])
  })
})

async function engineWithPostgres(): Promise<{ socket: string; api: Engine } | null> {
  const socket = await engineSocket()
  if (socket === null) return null
  const api = (await getContainerRuntimeClient()).container.dockerode
  const images = await api.listImages({ filters: { reference: [IMAGES.postgres] } })
  return images.length === 0 ? null : { socket, api }
}

async function containersOf(api: Engine, port: number): Promise<number> {
  const all = await api.listContainers({ all: true })
  return all.filter(({ Ports }) => Ports.some(({ PublicPort }) => PublicPort === port)).length
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url, query_timeout: QUERY_TIMEOUT_MS })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}
