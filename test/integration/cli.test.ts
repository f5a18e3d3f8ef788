// The command line as operators meet it: help, wrong calls, wrong settings, things that are away.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { COMMANDS } from '../../cli/command.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import { Kafka, logLevel } from '../../runtime/kafka/kafkajs.ts'
import { type ProductOptions, runExposure, startProduct } from '../support/product.ts'
import { randomPrefix, stack, waitFor } from '../support/stack.ts'

const TEST_TIMEOUT_MS = 180_000
const AWAY_MS_MAX = 60_000
const STOP_MS_MAX = 60_000
const CANARY = 'canary-5d1f0c'
/** The ports of tcpmux and discard, which no machine of today serves. */
const NOBODY = '127.0.0.1:1'

type OnFinished = NonNullable<ProductOptions['onFinished']>

async function fileOf(document: object | string, onFinished: OnFinished): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'exposure-cli-'))
  onFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'exposure.yaml')
  await writeFile(file, typeof document === 'string' ? document : stringify(document))
  return file
}

/** One sentence, perhaps the next step below it; no trace of where it came from. */
function expectSentence(stderr: string, sentence: RegExp): void {
  const [first = '', ...rest] = stderr.trimEnd().split('\n')
  expect(first).toMatch(sentence)
  expect(first).toMatch(/^exposure: /)
  expect(stderr).not.toMatch(/^\s+at /m)
  expect(rest.length).toBeLessThanOrEqual(1)
}

describe('the words of the command line', { timeout: TEST_TIMEOUT_MS }, () => {
  it.concurrent('are explained as a whole and per command', async () => {
    const whole = await runExposure(['--help'], {})
    expect([whole.code, whole.stderr]).toEqual([0, ''])
    for (const command of COMMANDS) expect(whole.stdout).toContain(command)
    const helps = COMMANDS.map(async (command) => {
      const asked = await runExposure([...command.split(' '), '--help'], {})
      expect([asked.code, asked.stderr]).toEqual([0, ''])
      expect(asked.stdout).toMatch(new RegExp(`^exposure ${command} ?.*\n(exposure .*\n)*\n`))
    })
    await Promise.all(helps)
    const none = await runExposure([], {})
    expect([none.code, none.stdout]).toEqual([2, whole.stdout])
  })

  it.concurrent.for([
    [['frobnicate'], 'no command "frobnicate"', ''],
    [['topics'], 'topics takes apply', 'topics '],
    [['topics', 'drop'], 'topics takes apply', 'topics '],
    [['dlq'], 'dlq takes list, show, replay or purge', 'dlq '],
    [['run', 'everything'], 'no stage "everything": producers, transformers, sinks', 'run '],
    [['run', '--frob'], "Unknown option '--frob'", 'run '],
    [['check', '--config'], "Option '--config <value>' argument missing", 'check '],
    [['start', 'again'], '"again" is one word too many', 'start '],
    [['start', '--machines', 'many'], '--machines takes a whole number from 1 to 100000', 'start '],
    [['topics', 'apply', 'now'], '"now" is one word too many', 'topics apply '],
    [['tail'], 'tail takes one topic', 'tail '],
    [['tail', 'a', 'b'], '"b" is one word too many', 'tail '],
    [['tail', 'a', '--limit', 'few'], '--limit takes a whole number above 0', 'tail '],
    [['runs', 'release'], 'runs release takes one run', 'runs release '],
    [
      ['runs', 'list', '--limit', '0'],
      '--limit takes a whole number from 1 to 10000',
      'runs list ',
    ],
  ] as const)('refuse %j with one sentence', async ([args, sentence, command]) => {
    const ended = await runExposure(args, {})
    expect([ended.code, ended.stdout]).toEqual([2, ''])
    expect(ended.stderr).toBe(`exposure: ${sentence}. Try: exposure ${command}--help\n`)
  })

  it.concurrent.for([
    [['--trace', 'run', 'everything']],
    [['run', 'everything', '--trace']],
  ] as const)('show where an error came from: %j', async ([args]) => {
    const ended = await runExposure(args, {})
    expect(ended.code).toBe(2)
    expect(ended.stderr).toMatch(/^\s+at .*run\.ts/m)
    expect(ended.stderr).toContain('exposure: no stage "everything"')
  })
})

describe('wrong settings', { timeout: TEST_TIMEOUT_MS }, () => {
  it.concurrent('are all named at once by field, and nothing starts', async (context) => {
    const cortex = { type: 'cortex', url: 'https://acme.xdr.eu.paloaltonetworks.com' }
    const config = await fileOf(
      {
        kafka: { prefix: randomPrefix() },
        registry: { url: 'nowhere' },
        connections: [
          { ...cortex, name: 'Bad Name', apiKey: CANARY, apiKeyId: 1 },
          { ...cortex, name: 'twin', apiKey: 'env:K', apiKeyId: 2, every: 'often' },
          { ...cortex, name: 'twin', apiKey: 'env:K', apiKeyId: 3, colour: 'red' },
        ],
      },
      context.onTestFinished,
    )
    const commands = ['check', 'run', 'start --once', 'topics apply', 'schemas apply', 'tail x']
    const endings = commands.map(async (command) => {
      const args = [...command.split(' '), '--config', config]
      const ended = await runExposure(args, { EXPOSURE_LOG_LEVEL: 'trace' })
      expect([ended.code, ended.stdout]).toEqual([1, ''])
      const lines = ended.stderr.trimEnd().split('\n')
      expect(lines[0]).toBe(`exposure: ${config} has 7 problems`)
      expect(lines.slice(1, -1).map((line) => line.trim().split(':')[0])).toEqual([
        'kafka.brokers',
        'registry.url',
        'connections.0.name',
        'connections.0.apiKey',
        'connections.1.every',
        'connections.2',
        'connections',
      ])
      expect(ended.stderr).not.toContain(CANARY)
    })
    await Promise.all(endings)
  })

  it.concurrent('name a file that is not there or is no YAML', async ({ onTestFinished }) => {
    const missing = await runExposure(['run', '--config', '/nowhere/exposure.yaml'], {})
    expect(missing.code).toBe(1)
    expectSentence(missing.stderr, /\/nowhere\/exposure\.yaml cannot be read: ENOENT/)
    const config = await fileOf(`kafka: [\n  a: ${CANARY}: c\n`, onTestFinished)
    const bad = await runExposure(['run', '--config', config], {})
    expect(bad.code).toBe(1)
    expectSentence(bad.stderr, /exposure\.yaml cannot be read: .+ line 2/)
    expect(bad.stderr).not.toContain(CANARY)
  })
})

describe('what is away or not ready', { timeout: TEST_TIMEOUT_MS }, () => {
  const settings = (change: { brokers?: readonly string[]; registry?: string }) => ({
    kafka: { brokers: change.brokers ?? stack().brokers, prefix: randomPrefix() },
    registry: { url: change.registry ?? stack().registryUrl },
    sinks: { postgres: { url: 'env:EXPOSURE_POSTGRES_URL' } },
  })

  it.concurrent.for([
    ['topics apply', { brokers: [NOBODY] }, /Kafka does not answer at 127\.0\.0\.1:1: check that/],
    [
      'schemas apply',
      { registry: `http://${NOBODY}` },
      /the registry does not answer: check that it runs, and registry\.url/,
    ],
    [
      'run transformers sinks',
      { registry: `http://${NOBODY}` },
      /the registry does not answer: check that it runs, and registry\.url/,
    ],
    ['run transformers sinks', {}, /run `exposure schemas apply`/],
    ['tail exposure.findings', {}, /run `exposure schemas apply`/],
  ] as const)('is said in one sentence by %s', async ([command, change, sentence], context) => {
    const config = await fileOf(settings(change), context.onTestFinished)
    const began = performance.now()
    const ended = await runExposure([...command.split(' '), '--config', config], {})
    expect(performance.now() - began).toBeLessThan(AWAY_MS_MAX)
    expect([ended.code, ended.stdout]).toEqual([1, ''])
    expectSentence(ended.stderr, sentence)
    expect(ended.stderr).not.toContain('it is tried again')
  })
})

describe('exposure topics apply', { timeout: TEST_TIMEOUT_MS }, () => {
  it.concurrent('creates all topics once', async ({ onTestFinished }) => {
    const product = await startProduct({ connections: [], onFinished: onTestFinished })
    const first = await product.exposure(['topics', 'apply'])
    const count = Object.keys(TOPICS).length
    expect([first.code, first.stdout.split('\n')[0]]).toEqual([
      0,
      `topics created: ${count}, settings mended: 0, checked: all`,
    ])
    const second = await product.exposure(['topics', 'apply'])
    expect([second.code, second.stdout]).toEqual([
      0,
      'topics created: 0, settings mended: 0, checked: all\n',
    ])
  })

  it.concurrent('refuses a topic with another partition count', async ({ onTestFinished }) => {
    const product = await startProduct({ connections: [], onFinished: onTestFinished })
    const topic = topicName(product.prefix, 'findings')
    const admin = new Kafka({ brokers: stack().brokers, logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    try {
      await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: false })
    } finally {
      await admin.disconnect()
    }
    const refused = await product.exposure(['topics', 'apply'])
    expect([refused.code, refused.stdout]).toEqual([1, ''])
    const lines = refused.stderr.trimEnd().split('\n')
    expect(lines[0]).toBe('exposure: some topics are not as they must be')
    expect(lines[1]).toContain(topic)
    expect(lines[1]).toContain('3')
    expect(lines).toHaveLength(3)
  })
})

/** True while any process of the group is there. */
function isGroupAlive(leader: number): boolean {
  try {
    return process.kill(-leader, 0)
  } catch {
    return false
  }
}

describe('exposure tail and run', { timeout: TEST_TIMEOUT_MS }, () => {
  it.concurrent('decode records, run all stages, and end at SIGTERM', async (context) => {
    const product = await startProduct({
      connections: ['prisma'],
      onFinished: context.onTestFinished,
    })
    for (const what of ['topics', 'schemas']) {
      expect((await product.exposure([what, 'apply'])).code).toBe(0)
    }
    const main = new URL('../../cli/main.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [main, 'run', '--config', product.configFile], {
      env: { ...process.env, NODE_OPTIONS: '', ...product.secrets },
      stdio: ['ignore', 'ignore', 'pipe'],
      // A group of its own, in which whatever it might leave behind can be seen.
      detached: true,
    })
    const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    context.onTestFinished(async () => {
      child.kill('SIGKILL')
      await exited
    })
    let stderr = ''
    child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()))
    const stored = () =>
      product.query<{ n: number }>('select count(*)::int as n from exposure.finding')
    await waitFor(async () => ((await stored())[0]?.n ?? 0) > 3, {
      what: `findings in the store\n${stderr}`,
      timeoutMs: 90_000,
    })

    const tail = await product.exposure(['tail', 'exposure.findings', '--limit', '3'])
    expect([tail.code, tail.stderr]).toEqual([0, ''])
    const records = tail.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { key: string; value: Record<string, unknown> })
    expect(records).toHaveLength(3)
    for (const { key, value } of records) {
      expect(value).toMatchObject({
        finding_uid: key,
        meta: { source: { vendor: 'prisma-cloud', connection_id: 'prisma' } },
      })
    }

    const began = performance.now()
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
    expect(performance.now() - began).toBeLessThan(STOP_MS_MAX)
    expect(isGroupAlive(child.pid ?? 0)).toBe(false)
    expect(stderr).toMatch(/^exposure: running producers, transformers, sinks; /)
  })
})
