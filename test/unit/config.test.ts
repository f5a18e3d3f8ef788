// exposure.yaml as it is read: every problem by its field at once, and no secret repeated.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { exposureConfig } from '../../cli/config.ts'
import { PipelineError } from '../../contracts/errors.ts'
import { checkConfig, kafkaSettings, readConfig, registrySettings } from '../../runtime/config.ts'

function failureOf(work: () => unknown): PipelineError {
  try {
    work()
  } catch (error) {
    if (error instanceof PipelineError) return error
    throw error
  }
  throw new Error('it did not fail')
}

function fileOf(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'exposure-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'exposure.yaml')
  writeFileSync(file, text)
  return file
}

const sound = {
  kafka: { brokers: ['localhost:9092'] },
  registry: { url: 'http://localhost:8081/apis/ccompat/v7' },
}
const cortex = { type: 'cortex', url: 'acme.xdr.eu.paloaltonetworks.com', apiKey: 'env:K' }
const prisma = { name: 'prisma', type: 'prisma-cloud', url: 'https://api.prismacloud.io' }

describe('reading exposure.yaml', () => {
  it('gives defaults for all that may be left out', () => {
    const config = readConfig(fileOf(stringify(sound)), exposureConfig)
    expect(config).toMatchObject({
      kafka: { prefix: '', replicationFactor: 1, ssl: false },
      connections: [],
      sinks: {},
      disconnectedAfter: 900_000,
    })
  })

  it('names all problems at once, each by its field', () => {
    const document = {
      kafka: { brokers: [], prefx: 'a.' },
      registry: { url: 'not a url' },
      connections: [
        { ...prisma, name: 'Bad_Name', accessKeyId: 'env:A', secretKey: 'env:B', every: '10x' },
        { ...cortex, name: 'twin', apiKeyId: 1, streams: { nope: {} } },
      ],
      disconnectedAfter: 'soon',
    }
    const error = failureOf(() => readConfig(fileOf(stringify(document)), exposureConfig))
    expect(error.failure).toBe('CONFIGURATION')
    const fields = error.details.violations?.map((text) => text.split(':')[0]).toSorted()
    expect(fields).toEqual([
      'connections.0.every',
      'connections.0.name',
      'connections.1.streams',
      'disconnectedAfter',
      'kafka',
      'kafka.brokers',
      'registry.url',
    ])
    expect(error.message).toMatch(/exposure\.yaml has 7 problems$/)
  })

  it.each([
    ['alone', []],
    ['beside another problem', ['connections.1.every']],
  ])('refuses two connections of one name, %s', (_name, others) => {
    const connections = [
      { ...cortex, name: 'twin', apiKeyId: 1 },
      { ...cortex, name: 'twin', apiKeyId: 2, ...(others.length > 0 && { every: 'often' }) },
    ]
    const error = failureOf(() => checkConfig({ ...sound, connections }, exposureConfig, 'it'))
    const violations = error.details.violations ?? []
    expect(violations).toContain('connections: names are unique; used more than once: twin')
    expect(violations.map((text) => text.split(':')[0])).toEqual([...others, 'connections'])
  })

  it.each([
    ['a secret key', { ...prisma, accessKeyId: 'env:A', secretKey: 'canary-9f2' }],
    ['an access key', { ...prisma, accessKeyId: 'canary-9f2', secretKey: 'env:A' }],
    ['an API key', { ...cortex, name: 'c', apiKey: 'canary-9f2', apiKeyId: 1 }],
    ['a key ID', { ...cortex, name: 'c', apiKeyId: 'canary-9f2' }],
    [
      'a password in a URL',
      {
        ...prisma,
        url: 'https://u:canary-9f2@api.prismacloud.io',
        accessKeyId: 'env:A',
        secretKey: 'env:B',
      },
    ],
  ])('refuses %s in place of a reference without repeating it', (_name, connection) => {
    const document = { ...sound, connections: [connection] }
    const error = failureOf(() => checkConfig(document, exposureConfig, 'it'))
    expect(error.details.violations).toHaveLength(1)
    expect(JSON.stringify([error.message, error.details])).not.toContain('canary-9f2')
  })

  it('asks for the dash of a list that was written as one entry', () => {
    const splunk = { url: 'https://splunk.example.com:8088', token: 'env:HEC_TOKEN' }
    const document = { ...sound, sinks: { splunk } }
    const error = failureOf(() => checkConfig(document, exposureConfig, 'it'))
    expect(error.details.violations).toEqual([
      'sinks.splunk: must be a list: each entry begins with a dash',
    ])
  })

  it('names the types there are, and what else is wrong with such a connection', () => {
    const wrong = { ...prisma, type: 'prisma', secretKey: 'canary-9f2', every: 'often', odd: 1 }
    const document = { ...sound, connections: [wrong] }
    const error = failureOf(() => checkConfig(document, exposureConfig, 'it'))
    const violations = error.details.violations?.toSorted() ?? []
    expect(violations.map((text) => text.split(':')[0])).toEqual([
      'connections.0.every',
      'connections.0.secretKey',
      'connections.0.type',
    ])
    expect(violations[2]).toBe('connections.0.type: must be prisma-cloud or cortex')
    expect(JSON.stringify([error.message, violations])).not.toContain('canary-9f2')
  })

  it('says that a folder is no file', () => {
    const error = failureOf(() => readConfig(tmpdir(), exposureConfig))
    expect(error.message).toBe(`${tmpdir()} is a folder, not a file`)
  })

  it('says where YAML cannot be read, without the line itself', () => {
    const error = failureOf(() => readConfig(fileOf('kafka: [\n  a: canary: c\n'), exposureConfig))
    expect(error.message).toMatch(/exposure\.yaml cannot be read: .+ line 2/)
    expect(error.message).not.toContain('canary')
  })

  it('says which file is missing', () => {
    const error = failureOf(() => readConfig('/nowhere/exposure.yaml', exposureConfig))
    expect([error.failure, error.stage]).toEqual(['CONFIGURATION', 'CONFIG'])
    expect(error.message).toContain('/nowhere/exposure.yaml')
  })

  it('names the field of an empty file that must be there', () => {
    const error = failureOf(() => readConfig(fileOf(''), exposureConfig))
    const fields = error.details.violations?.map((text) => text.split(':')[0])
    expect(fields).toEqual(['kafka', 'registry'])
  })
})

describe('settings for Kafka and the registry', () => {
  it('resolve their references', () => {
    process.env['EXPOSURE_TEST_USER'] = 'ada'
    onTestFinished(() => {
      delete process.env['EXPOSURE_TEST_USER']
    })
    const password = `file:${fileOf('lovelace\n')}`
    const { kafka, registry } = checkConfig(
      {
        kafka: {
          ...sound.kafka,
          sasl: { mechanism: 'plain', username: 'env:EXPOSURE_TEST_USER', password },
        },
        registry: { ...sound.registry, username: 'env:EXPOSURE_TEST_USER', password },
      },
      exposureConfig,
      'it',
    )
    expect(kafkaSettings(kafka).sasl).toEqual({
      mechanism: 'plain',
      username: 'ada',
      password: 'lovelace',
    })
    expect(registrySettings(registry)).toEqual({
      url: sound.registry.url,
      username: 'ada',
      password: 'lovelace',
    })
  })

  it('name the reference that is not set, and the file that cannot be read', () => {
    const { kafka } = checkConfig(
      { ...sound, kafka: { ...sound.kafka, ssl: { caFile: '/nowhere/ca.pem' } } },
      exposureConfig,
      'it',
    )
    expect(failureOf(() => kafkaSettings(kafka)).message).toContain('/nowhere/ca.pem')
    const { registry } = checkConfig(
      { ...sound, registry: { ...sound.registry, password: 'env:EXPOSURE_TEST_UNSET' } },
      exposureConfig,
      'it',
    )
    expect(failureOf(() => registrySettings(registry)).message).toBe(
      'the secret env:EXPOSURE_TEST_UNSET is not set or empty',
    )
  })
})
