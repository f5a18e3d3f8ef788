// The stack itself: parts that answer, servers that end with their process, and clear sentences.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import { engineSocket } from '../../stack/engine.ts'
import { findJava } from '../../stack/java.ts'
import { lockDataDir } from '../../stack/lock.ts'
import { startNativePostgres } from '../../stack/native-postgres.ts'
import { getPackage } from '../../stack/packages.ts'
import { choosePorts } from '../../stack/ports.ts'
import { probeKafka, probePostgres, probeRegistry, probeTcp } from '../../stack/probe.ts'
import { startServer } from '../../stack/server.ts'
import { startStack } from '../../stack/stack.ts'
import { stack, waitFor } from '../support/stack.ts'

const QUERY_TIMEOUT_MS = 15_000

afterEach(() => {
  vi.unstubAllEnvs()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'exposure-stack-'))
  // A server that is not root itself has to reach its data.
  chmodSync(path, 0o755)
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function giveStack(): void {
  vi.stubEnv('EXPOSURE_KAFKA_BROKERS', stack().brokers.join(','))
  vi.stubEnv('EXPOSURE_REGISTRY_URL', stack().registryUrl)
  vi.stubEnv('EXPOSURE_POSTGRES_URL', stack().postgresUrl)
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => new Error('it succeeded'),
    (error: unknown) => error,
  )

/** One sentence: no line break, and an end. */
function expectSentence(error: unknown, holding: RegExp): void {
  expect(error).toBeInstanceOf(PipelineError)
  const { message, failure: kind } = error as PipelineError
  expect(kind).toBe('CONFIGURATION')
  expect(message).toMatch(holding)
  expect(message).not.toContain('\n')
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: QUERY_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
  })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

describe('the stack', () => {
  it('answers in all three parts', async () => {
    const { brokers, registryUrl, postgresUrl } = stack()
    expect(brokers.length).toBeGreaterThan(0)
    await Promise.all([
      ...brokers.map((broker) => probeKafka(broker)),
      probeRegistry(registryUrl),
      probePostgres(postgresUrl),
    ])
  })

  it('uses what the environment gives and does not stop it', async () => {
    giveStack()
    const given = await startStack({ dataDir: folder(), fresh: false, log: () => {} })
    await given.stop()
    await given.stop()
    expect(given).toMatchObject({ ...stack(), how: { kafka: 'given', registry: 'given' } })
    await Promise.all(stack().brokers.map((broker) => probeKafka(broker)))
  })

  it('neither starts nor tries what is elsewhere', async () => {
    giveStack()
    vi.stubEnv('EXPOSURE_KAFKA_BROKERS', '127.0.0.1:1')
    vi.stubEnv('EXPOSURE_POSTGRES_URL', '')
    const home = folder()
    const options = { dataDir: home, fresh: false, log: () => {} }
    const running = await startStack({ ...options, elsewhere: ['kafka', 'postgres'] })
    await running.stop()
    expect(running).toMatchObject({ brokers: [], registryUrl: stack().registryUrl })
    expect(running.how).toEqual({ kafka: 'given', registry: 'given', postgres: 'given' })
    expect(readdirSync(home)).toEqual([])
  })

  it('says which given address does not answer, without a password in it', async () => {
    giveStack()
    vi.stubEnv('EXPOSURE_POSTGRES_URL', 'postgres://u:canary@127.0.0.1:1/x')
    const options = { dataDir: folder(), fresh: false, log: () => {} }
    const error = await failure(startStack(options))
    expectSentence(error, /^EXPOSURE_POSTGRES_URL is set, but PostgreSQL does not answer/)
    expect((error as Error).message).not.toContain('canary')
  })

  it('takes a process where the engine answers but has no image', async () => {
    const home = folder()
    const socket = join(home, 'engine.sock')
    const engine = createServer((request, response) => {
      const known = /\/(_ping|info)$/.test(request.url ?? '')
      response.writeHead(known ? 200 : 404, { 'content-type': 'application/json' })
      response.end(known ? '{}' : '{"message":"no such image"}')
    }).listen(socket)
    await once(engine, 'listening')
    onTestFinished(() => void engine.close())
    giveStack()
    vi.stubEnv('EXPOSURE_POSTGRES_URL', '')
    vi.stubEnv('DOCKER_HOST', `unix://${socket}`)
    expect(await engineSocket()).toBe(socket)
    const lines: string[] = []
    const log = (line: string) => void lines.push(line)
    const running = await startStack({ dataDir: home, fresh: false, log })
    try {
      expect(running.how.postgres).toBe('native')
      expect(lines.join('\n')).toMatch(/postgres not as a container/)
      expect(await query(running.postgresUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    } finally {
      await running.stop()
    }
    await expect(probePostgres(running.postgresUrl)).rejects.toThrow()
  })

  it('finds no engine where no socket is', async () => {
    vi.stubEnv('DOCKER_HOST', `unix://${join(folder(), 'none.sock')}`)
    expect(await engineSocket()).toBeNull()
  })
})

describe('a server', () => {
  it('ends with a killed parent, and its data is there at the next start', async () => {
    const dataDir = folder()
    const { postgres: port } = await choosePorts(dataDir)
    const worker = resolve(import.meta.dirname, '../support/stack-worker.ts')
    const parent = spawn(process.execPath, [worker, dataDir, String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void parent.kill('SIGKILL'))
    let said = ''
    parent.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const url = await waitFor(() => /^postgres:\S+\n/.exec(said)?.[0].trim(), {
      timeoutMs: 50_000,
      what: 'PostgreSQL is up in another process',
    })
    await query(url, "CREATE TABLE kept AS SELECT 'yes' AS answer")
    parent.kill('SIGKILL')
    await waitFor(() => failure(probeTcp(`127.0.0.1:${port}`)).then(isRefused), {
      what: 'nothing listens any more',
    })
    // What a power cut leaves behind: the lock names a process that lives but is not ours.
    const lock = join(dataDir, 'postgres/cluster/postmaster.pid')
    if (process.platform === 'linux') writeFileSync(lock, `${process.ppid}\n`)
    const again = await startNativePostgres({ dataDir, port })
    try {
      expect(again.url).toBe(url)
      expect(await query(url, 'SELECT answer FROM kept')).toEqual([{ answer: 'yes' }])
    } finally {
      await again.server.stop()
    }
  })

  it('that ends at its start gives one sentence with its log file', async () => {
    const dataDir = folder()
    const logFile = join(dataDir, 'server.log')
    const script = 'console.log("cannot go on"); process.exit(7)'
    const starting = startServer({
      name: 'The server',
      command: process.execPath,
      args: ['-e', script],
      env: {},
      dataDir,
      logFile,
      stopSignal: 'SIGTERM',
      readyTimeoutMs: 30_000,
      ready: () => Promise.reject(new Error('never')),
    })
    const error = await failure(starting)
    expectSentence(error, /^The server ended while it started: .*server\.log$/)
    expect(readFileSync(logFile, 'utf8')).toBe('cannot go on\n')
  })
})

describe('a server that ends by itself', () => {
  it('is told in one sentence with its log file', async () => {
    const dataDir = folder()
    const pidFile = join(dataDir, 'pid')
    const script = `const { writeFileSync } = require('node:fs')
      writeFileSync(${JSON.stringify(pidFile)}, String(process.pid))
      setInterval(() => {}, 1000)`
    const server = await startServer({
      name: 'The server',
      command: process.execPath,
      args: ['-e', script],
      env: {},
      dataDir,
      logFile: join(dataDir, 'server.log'),
      stopSignal: 'SIGTERM',
      readyTimeoutMs: 30_000,
      ready: async () => expect(Number(readFileSync(pidFile, 'utf8'))).toBeGreaterThan(0),
    })
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL')
    expect(await server.exited).toMatch(
      /^The server has ended \(code 137\): see the end of .*server\.log$/,
    )
    await server.stop()
  })
})

describe('a data folder', () => {
  it('belongs to one stack at a time', async () => {
    const dataDir = folder()
    const release = await lockDataDir(dataDir)
    const second = await failure(lockDataDir(dataDir))
    expectSentence(second, /^Another process runs a stack in /)
    expect((second as Error).message).toContain(dataDir)
    await release()
    await (
      await lockDataDir(dataDir)
    )()
  })

  it('keeps its ports between starts', async () => {
    const dataDir = folder()
    const ports = await choosePorts(dataDir)
    expect(new Set(Object.values(ports)).size).toBe(5)
    expect(await choosePorts(dataDir)).toEqual(ports)
    const busy = createServer().listen(ports.postgres, '127.0.0.1')
    await once(busy, 'listening')
    onTestFinished(() => void busy.close())
    const others = await choosePorts(dataDir)
    expect(others).toEqual({ ...ports, postgres: others.postgres })
    expect(others.postgres).not.toBe(ports.postgres)
  })

  it('with spoilt ports gets new ones', async () => {
    const dataDir = folder()
    writeFileSync(join(dataDir, 'ports.json'), '{"kafka": "none", "regis')
    expect((await choosePorts(dataDir)).kafka).toBeGreaterThan(1024)
  })
})

describe('Java', () => {
  const javaSaying = (version: string, home: string): string => {
    mkdirSync(join(home, 'bin'), { recursive: true })
    const script = `#!/bin/sh\necho 'openjdk version "${version}" 2024-01-01' >&2\n`
    writeFileSync(join(home, 'bin/java'), script, { mode: 0o755 })
    return join(home, 'bin/java')
  }
  const nowhere = { javaHome: undefined, path: '', folders: [] }

  it('that is too old gives one sentence with what was found and the remedy', async () => {
    const home = folder()
    const old = javaSaying('17.0.15', join(home, 'jdk-17'))
    javaSaying('1.8.0_392', join(home, 'jvm/jdk-8'))
    const places = { javaHome: join(home, 'jdk-17'), path: '', folders: [join(home, 'jvm')] }
    const error = await failure(findJava(places))
    expectSentence(error, /^Only Java 17 at .*, Java 8 at .* found, .*needs Java 21: install/)
    expect((error as Error).message).toContain(old)
  })

  it('that is absent gives one sentence with the remedy', async () => {
    expectSentence(await failure(findJava(nowhere)), /^No Java was found.*: install a JDK 21/)
  })

  it('is taken from JAVA_HOME, then from the path, then the highest installed', async () => {
    const home = folder()
    const [first, second] = [join(home, 'first'), join(home, 'second')]
    const [inHome, onPath] = [javaSaying('21.0.1', first), javaSaying('22', second)]
    javaSaying('21', join(home, 'jvm/a'))
    const highest = javaSaying('25.0.1', join(home, 'jvm/b'))
    javaSaying('23', join(home, 'jvm/c'))
    const folders = [join(home, 'jvm')]
    const path = join(second, 'bin')
    expect(await findJava({ javaHome: first, path, folders })).toBe(inHome)
    expect(await findJava({ javaHome: undefined, path, folders })).toBe(onPath)
    expect(await findJava({ ...nowhere, folders })).toBe(highest)
  })
})

describe('Maven', () => {
  const options = { java: process.execPath, log: () => {} }

  it('that is absent gives one sentence with the remedy', async () => {
    vi.stubEnv('PATH', folder())
    const error = await failure(getPackage('kafka', { ...options, cacheDir: folder() }))
    expectSentence(error, /^Maven \(mvn\) was not found.*: install Maven/)
  })

  it('that fails gives one sentence and leaves nothing half done', async () => {
    const bin = folder()
    const script = '#!/bin/sh\necho "[ERROR] the network is down"\nexit 1\n'
    writeFileSync(join(bin, 'mvn'), script, { mode: 0o755 })
    vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`)
    const cacheDir = folder()
    const error = await failure(getPackage('registry', { ...options, cacheDir }))
    expectSentence(error, /^Maven could not get .*: the network is down$/)
    writeFileSync(join(bin, 'mvn'), '#!/bin/sh\nexit 0\n', { mode: 0o755 })
    expect(await getPackage('registry', { ...options, cacheDir })).toContain(cacheDir)
  })
})

const isRefused = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'
