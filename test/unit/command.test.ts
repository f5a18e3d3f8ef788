// The command line's words, signals and output, without any of the product's parts.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { aborted, repeatedSignal } from '../../cli/command.ts'
import { exposureConfig } from '../../cli/config.ts'
import { givenConfig, partsOf, wholeConfig } from '../../cli/start-config.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { readConfig } from '../../runtime/config.ts'
import type { RunningStack } from '../../stack/stack.ts'

const MAIN = resolve(import.meta.dirname, '../../cli/main.ts')

/** Far below the minutes for which readers try. */
const SOON_MS = 30_000

const start = (...args: string[]) => startIn(undefined, ...args)

function startIn(cwd: string | undefined, ...args: string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Nothing of the surroundings is to be found or taken.
    env: { PATH: process.env['PATH'] },
    cwd,
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => ({ code: code as unknown, stdout, stderr }))
  return { child, ended }
}

describe('a stop signal', () => {
  it('that came before is not waited for', async () => {
    const controller = new AbortController()
    const later = aborted(controller.signal)
    controller.abort()
    await later
    await aborted(controller.signal)
  })

  it('counts once within a second, and a signal of another name for itself', () => {
    let nowMs = 5_000
    const isRepeated = repeatedSignal(() => nowMs)
    expect(isRepeated('SIGINT')).toBe(false)
    nowMs += 999
    expect(isRepeated('SIGINT')).toBe(true)
    expect(isRepeated('SIGTERM')).toBe(false)
    nowMs += 1_000
    expect(isRepeated('SIGTERM')).toBe(false)
  })
})

describe('the command', () => {
  it('tells its version', async () => {
    const told = { code: 0, stdout: `${packageJson.version}\n`, stderr: '' }
    expect(await start('--version').ended).toEqual(told)
  })

  it('explains a first word that several commands could share', async () => {
    const { code, stdout } = await start('topics', '--help').ended
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^exposure topics apply /)])
    expect((await start('help').ended).stdout).toContain('exposure COMMAND')
  })

  it('ends quietly when nobody reads any more', async () => {
    const { child, ended } = start('simulate', 'list')
    child.stdout.destroy()
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  })
})

function folder(files: Record<string, object>): string {
  const path = mkdtempSync(join(tmpdir(), 'exposure-command-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  mkdirSync(join(path, '.exposure'))
  for (const [name, document] of Object.entries(files)) {
    writeFileSync(join(path, name), stringify(document))
  }
  return path
}

const SERVERS = {
  kafka: { brokers: ['127.0.0.1:1'] },
  registry: { url: 'http://127.0.0.1:1' },
} as const
const CONNECTION = {
  name: 'one',
  type: 'cortex',
  url: 'http://127.0.0.1:1',
  apiKey: 'env:NOT_SET',
  apiKeyId: 1,
}

describe('an operating command without Kafka', () => {
  it(
    'says so soon, and to start it where the last start here had it',
    async () => {
      const path = folder({ '.exposure/exposure.yaml': SERVERS })
      const commands = [
        ['connections', 'list'],
        ['dlq', 'list'],
      ]
      const ends = await Promise.all(commands.map((words) => startIn(path, ...words).ended))
      for (const { code, stdout, stderr } of ends) {
        expect([code, stdout]).toEqual([1, ''])
        expect(stderr).toContain('Kafka does not answer at 127.0.0.1:1')
        expect(stderr).toContain('next step: Start it: npm start, in another terminal')
      }
    },
    SOON_MS,
  )

  it(
    'sends nobody to npm start for a Kafka of their own',
    async () => {
      const path = folder({ 'exposure.yaml': SERVERS, '.exposure/exposure.yaml': SERVERS })
      const { code, stderr } = await startIn(path, 'connections', 'list').ended
      expect([code, stderr]).toEqual([1, expect.stringContaining('Kafka does not answer')])
      expect(stderr).not.toContain('npm start')
    },
    SOON_MS,
  )
})

describe('the configuration', () => {
  const run = (path: string) => startIn(path, 'run', 'producers').ended
  const firstLine = (text: string) => text.split('\n')[0]

  it('is that of the last start where there is no file', async () => {
    const { stderr } = await run(folder({ '.exposure/exposure.yaml': SERVERS }))
    expect(stderr).toMatch(/^exposure: no exposure\.yaml here, so \.exposure\/exposure\.yaml, /)
    expect(stderr).toContain('exposure.yaml has no connections to poll')
    const without = await run(folder({}))
    expect(firstLine(without.stderr)).toBe('exposure: there is no exposure.yaml here')
  })

  it('has what the file leaves out from the last start', async () => {
    const kept = { '.exposure/exposure.yaml': SERVERS }
    const { stderr } = await run(folder({ ...kept, 'exposure.yaml': { connections: [] } }))
    expect(stderr).toMatch(/^exposure: what exposure\.yaml leaves out is from \.exposure/)
    expect(stderr).toContain('exposure.yaml has no connections to poll')
    const whole = await run(folder({ ...kept, 'exposure.yaml': SERVERS }))
    expect(firstLine(whole.stderr)).toBe('exposure: exposure.yaml has no connections to poll')
  })

  it('needs no servers of its own to check connections', async () => {
    const path = folder({ 'exposure.yaml': { connections: [CONNECTION] } })
    const { code, stdout, stderr } = await startIn(path, 'check').ended
    expect([code, stderr]).toEqual([3, ''])
    expect(stdout).toContain('the secret env:NOT_SET is not set or empty')
  })

  it('is kept by a start for others, with what the stack adds and no secret', async () => {
    const path = folder({ 'exposure.yaml': { connections: [CONNECTION], disconnectedAfter: '1h' } })
    const dataDir = join(path, '.exposure')
    const given = givenConfig(join(path, 'exposure.yaml'))
    const config = wholeConfig(given, STACK, null, dataDir)
    const file = join(dataDir, 'exposure.yaml')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file, 'utf8')).not.toContain('canary')
    expect(readConfig(file, exposureConfig)).toEqual(config)
    expect(config).toMatchObject({
      kafka: { brokers: STACK.brokers },
      disconnectedAfter: 3_600_000,
    })
    expect(partsOf(given)).toEqual([])
    expect(partsOf(givenConfig(join(folder({ a: SERVERS }), 'a')))).toEqual(['kafka', 'registry'])
  })
})

const STACK: RunningStack = {
  brokers: ['127.0.0.1:2'],
  registryUrl: 'http://127.0.0.1:3',
  postgresUrl: 'postgres://u:canary@127.0.0.1:4/x',
  how: { kafka: 'native', registry: 'native', postgres: 'native' },
  exited: new Promise(() => {}),
  stop: async () => {},
}
