// Every row of the troubleshooting tables, brought about at the vendor and followed to the store.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import { FAILURES, type Failure } from '../../contracts/errors.ts'
import { TOPICS, type TopicName, topicName } from '../../contracts/topics.ts'
import { CONNECTORS } from '../../producers/sources.ts'
import { PROVOKE, type Provoked } from '../../simulator/provoke.ts'
import { startSimulator } from '../../simulator/simulator.ts'
import { type Ended, type Product, startProduct } from '../support/product.ts'
import { askHosts, listHosts, logIn } from '../support/simulator.ts'

const ROW_TIMEOUT_MS = 180_000
const HOSTS = '/us-sim-1/api/v1/hosts'
const ENDPOINTS = '/public_api/v1/endpoints/get_endpoint/'

type Http = { readonly method: string; readonly path: string; readonly status: number }
type Row = {
  readonly type: Provoked & Failure
  /** 3: the run is not COMPLETE; 0: it is, the retry having succeeded. */
  readonly code: 0 | 3
  readonly stage: ConnectorError['stage']
  readonly stream: string | null
  readonly http: Http | null
  /** A fault that a retry cured is over when the same run ends. */
  readonly clearedIn: 'the same run' | 'the next run'
  readonly remediation?: string
}
type Vendor = keyof typeof PROVOKE

const disconnected = FAILURES.TEMPORARY_DISCONNECTED.remediation.replace(' N ', ' 1 ')
const login = { method: 'POST', path: '/login' }
const hosts = { method: 'GET', path: HOSTS }
const endpoints = { method: 'POST', path: ENDPOINTS }
const same = { code: 0, clearedIn: 'the same run' } as const
const next = { code: 3, clearedIn: 'the next run' } as const
const atLogin = { stage: 'AUTH', stream: null, ...next } as const
const atHosts = { stage: 'FETCH', stream: 'compute.hosts' } as const
const atEndpoints = { stage: 'FETCH', stream: 'xdr.endpoints', ...next } as const

const ROWS: Readonly<Record<Vendor, readonly Row[]>> = {
  'prisma-cloud': [
    { type: 'AUTHORIZATION_FAILURE', ...atLogin, http: { ...login, status: 401 } },
    { type: 'ACCESS_FORBIDDEN', ...atHosts, ...next, http: { ...hosts, status: 403 } },
    { type: 'NOT_FOUND', ...atLogin, http: { ...login, status: 404 } },
    { type: 'TOO_MANY_REQUESTS', ...atHosts, ...same, http: { ...hosts, status: 429 } },
    { type: 'TEMPORARY_FAILURE', ...atHosts, ...same, http: { ...hosts, status: 502 } },
    {
      type: 'TEMPORARY_DISCONNECTED',
      ...atLogin,
      http: { ...login, status: 502 },
      remediation: disconnected,
    },
    // The run itself is COMPLETE: an empty listing closes nothing, and is said.
    {
      type: 'MISSING_DATA',
      ...next,
      code: 0,
      stage: 'SNAPSHOT',
      stream: 'compute.hosts',
      http: null,
    },
  ],
  cortex: [
    {
      type: 'AUTHORIZATION_FAILURE',
      ...atEndpoints,
      // A refused key is the connection's: three streams must not give three alerts.
      stream: null,
      http: { ...endpoints, status: 401 },
    },
    { type: 'ACCESS_FORBIDDEN', ...atEndpoints, http: { ...endpoints, status: 403 } },
    { type: 'NOT_FOUND', ...atEndpoints, http: { ...endpoints, status: 500 } },
    { type: 'TOO_MANY_REQUESTS', ...atEndpoints, ...same, http: { ...endpoints, status: 429 } },
    { type: 'TEMPORARY_FAILURE', ...atEndpoints, ...same, http: { ...endpoints, status: 502 } },
    {
      type: 'TEMPORARY_DISCONNECTED',
      ...atEndpoints,
      stream: null,
      http: { ...endpoints, status: 503 },
      remediation: disconnected,
    },
    {
      type: 'MISSING_DATA',
      ...next,
      code: 0,
      stage: 'SNAPSHOT',
      stream: 'xdr.endpoints',
      http: null,
    },
  ],
}

type OnFinished = NonNullable<Parameters<typeof startProduct>[0]>['onFinished']

/** The stream of each vendor that the faults are about; all others are switched off. */
const ONLY = { 'prisma-cloud': 'compute.hosts', cortex: 'xdr.endpoints' } as const

const startOne = (vendor: Vendor, onFinished: OnFinished): Promise<Product> =>
  startProduct({
    connections: [vendor === 'prisma-cloud' ? 'prisma' : 'alpha'],
    connection: {
      streams: Object.fromEntries(
        CONNECTORS[vendor].sources
          .filter(({ stream }) => stream !== ONLY[vendor])
          .map(({ stream }) => [stream, { enabled: false }]),
      ),
    },
    config: { disconnectedAfter: '1s' },
    ...(onFinished && { onFinished }),
  })

const ofState = (events: readonly ConnectorError[], type: Failure, state: string) =>
  events.filter((event) => event.error_type === type && event.state === state)

const openErrors = (product: Product) =>
  product.query<{ error_type: string; fingerprint: string; remediation: string }>(
    'select error_type, fingerprint, remediation from exposure.open_connector_error order by 1',
  )

/** Everything that a run has left anywhere, as text. */
async function traces(product: Product, ended: readonly Ended[]): Promise<string> {
  const texts = ended.flatMap(({ stdout, stderr }) => [stdout, stderr])
  for (const topic of Object.keys(TOPICS) as TopicName[]) {
    for (const { key, value, headers } of await product.records(topic)) {
      texts.push(key, JSON.stringify(headers), value?.toString('latin1') ?? '')
    }
  }
  const rows = await product.query('select event::text from exposure.connector_error')
  return [...texts, JSON.stringify(rows)].join('\n')
}

/** What must occur nowhere: the keys, and any token or header made of them. */
const secretsOf = ({ simulator }: Product): string[] => [
  simulator.prisma.accessKeyId,
  simulator.prisma.secretKey,
  ...simulator.cortex.map((access) => access.apiKey),
  // Every token of the simulator begins with this.
  Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url'),
]

async function proveRow(product: Product, vendor: Vendor, row: Row): Promise<void> {
  const { simulator } = product
  const name = vendor === 'prisma-cloud' ? 'prisma' : 'alpha'
  const url = vendor === 'prisma-cloud' ? simulator.prisma.url : simulator.cortex[0].url
  // A held run adds to the table's words how it is released.
  const words = row.remediation ?? FAILURES[row.type].remediation
  const added =
    row.type === 'MISSING_DATA' ? / If there are really none: exposure runs release \S+$/ : /$/
  simulator.faults.set(...PROVOKE[vendor][row.type])
  const bad = await product.once()
  expect({ code: bad.code, runs: bad.summary?.runs.length }, bad.stderr).toEqual({
    code: row.code,
    runs: 1,
  })
  expect(bad.summary?.connectorErrors[row.type]).toBe(1)

  const events = await product.connectorErrors()
  const [raised, ...more] = ofState(events, row.type, 'RAISED')
  expect(more).toEqual([])
  const { remediation = '' } = raised ?? {}
  expect(remediation.startsWith(words), remediation).toBe(true)
  expect(remediation.slice(words.length)).toMatch(new RegExp(`^${added.source}`))
  expect(raised).toMatchObject({
    connection_id: name,
    vendor,
    stream: row.stream,
    sink_id: null,
    stage: row.stage,
    severity: FAILURES[row.type].severity,
    retryable: FAILURES[row.type].retriable,
    remediation,
    occurrences: 1,
    http: row.http && {
      method: row.http.method,
      url: `${url}${row.http.path}`,
      status: row.http.status,
    },
  })
  if (row.clearedIn === 'the next run') {
    expect(await openErrors(product)).toContainEqual({
      error_type: row.type,
      fingerprint: raised?.fingerprint,
      remediation,
    })
    expect(ofState(events, row.type, 'CLEARED')).toEqual([])
  } else {
    expect(await openErrors(product)).toEqual([])
    expect(ofState(events, row.type, 'CLEARED')).toHaveLength(1)
  }

  simulator.faults.clear()
  const healed = await product.once({ EXPOSURE_LOG_LEVEL: 'trace' })
  expect([healed.code, healed.summary?.connectorErrors]).toEqual([0, {}])
  const [cleared, ...others] = ofState(await product.connectorErrors(), row.type, 'CLEARED')
  expect(others).toEqual([])
  expect(cleared).toMatchObject({
    fingerprint: raised?.fingerprint,
    severity: 'INFORMATIONAL',
    first_at: raised?.first_at,
  })
  expect(await openErrors(product)).toEqual([])

  const left = await traces(product, [bad, healed])
  expect(left).toContain(row.type)
  expect(secretsOf(product).filter((secret) => left.includes(secret))).toEqual([])
}

/** What the store holds of one product, in the words of the truth. */
async function expectTruth(product: Product, name: 'prisma-compute' | 'cortex-xdr') {
  const { prisma, cortex } = product.simulator
  const tenant = name === 'cortex-xdr' ? cortex[0].tenant : prisma.prismaId
  const truth = product.truth()
  const of = <T extends { product: string; tenant: string }>(all: readonly T[]) =>
    all.filter((one) => one.product === name && one.tenant === tenant)
  const assets = await product.query<{ native_id: string }>('select native_id from exposure.asset')
  expect(assets.map((row) => row.native_id).toSorted()).toEqual(
    of(truth.assets)
      .map((asset) => asset.nativeId)
      .toSorted(),
  )
  const findings = await product.query<{ key: string }>(
    `select concat_ws('|', a.native_id, f.vuln_id, f.package_name) as key
     from exposure.finding f join exposure.asset a using (asset_uid) where f.status = 'OPEN'`,
  )
  expect(findings.map((row) => row.key).toSorted()).toEqual(
    of(truth.findings)
      .map((f) => [f.assetNativeId, f.vulnId, f.packageName].join('|'))
      .toSorted(),
  )
}

const deadLetters = async (product: Product) => await product.records('dlq')
const broken = [
  { kind: 'not-json' },
  { kind: 'truncate', form: 'json' },
  { kind: 'truncate', form: 'length' },
  { kind: 'reset' },
] as const
const PRISMA = 'prisma-cloud'

describe('a damaged answer', { timeout: ROW_TIMEOUT_MS }, () => {
  it.concurrent.for(broken)('is asked for again: hosts with %o', async (fault, context) => {
    const product = await startOne(PRISMA, context.onTestFinished)
    product.simulator.faults.set({ vendor: PRISMA, endpoint: 'compute.hosts', ...fault })
    const ended = await product.once()
    expect([ended.code, ended.summary?.runs.map((run) => run.verdict)]).toEqual([0, ['COMPLETE']])
    expect(product.simulator.faults.list()).toEqual([])
    await expectTruth(product, 'prisma-compute')
    expect(await deadLetters(product)).toEqual([])
  })

  it.concurrent('is asked for again, however it is damaged: endpoints', async (context) => {
    const product = await startOne('cortex', context.onTestFinished)
    const target = { vendor: 'cortex', endpoint: 'xdr.endpoints' } as const
    product.simulator.faults.set(...broken.map((fault) => ({ ...target, ...fault })))
    const ended = await product.once()
    expect([ended.code, ended.summary?.runs.map((run) => run.verdict)]).toEqual([0, ['COMPLETE']])
    expect(product.simulator.faults.list()).toEqual([])
    await expectTruth(product, 'cortex-xdr')
  })
})

describe('a damaged record', { timeout: ROW_TIMEOUT_MS }, () => {
  it.concurrent('without its id is kept byte for byte, and said to be missing', async (context) => {
    const product = await startOne(PRISMA, context.onTestFinished)
    const { simulator } = product
    simulator.faults.set(...PROVOKE[PRISMA].SCHEMA_VIOLATION)
    const ended = await product.once()
    expect([ended.code, ended.summary?.runs.map((run) => run.verdict)]).toEqual([3, ['PARTIAL']])
    const [letter, ...others] = await deadLetters(product)
    expect(others).toEqual([])
    const sent = await askHosts(
      simulator,
      await logIn(simulator),
      'limit=50&offset=0&normalizedSeverity=true',
    )
    const body = letter?.value?.toString() ?? ''
    expect(sent.text.startsWith(`[${body},`)).toBe(true)
    expect(JSON.parse(body)).not.toHaveProperty('_id')
    expect(letter?.headers).toMatchObject({
      'x-dlq-reason': 'SCHEMA_VIOLATION',
      'x-dlq-stage': 'PARSE',
      'x-dlq-error': expect.stringContaining('_id: must be a text that is not empty'),
    })
    const types = (await openErrors(product)).map((row) => row.error_type)
    expect(types).toEqual(['MISSING_DATA', 'SCHEMA_VIOLATION'])

    simulator.faults.clear()
    expect((await product.once()).code).toBe(0)
    expect(await openErrors(product)).toEqual([])
    await expectTruth(product, 'prisma-compute')
  })

  it.concurrent('with a list of another type resolves nothing of its host', async (context) => {
    const options = { seed: 7, machines: 12, rateLimits: false }
    const product = await startProduct({
      connections: ['prisma'],
      simulator: options,
      onFinished: context.onTestFinished,
    })
    expect((await product.once()).code).toBe(0)
    const hosts = await listHosts(product.simulator)
    const victim = hosts.find(
      ({ vulnerabilities: found }) => Array.isArray(found) && found.length > 1,
    )
    expect(victim).toBeDefined()
    const rows = hosts.map((host) =>
      host === victim ? { ...host, vulnerabilities: { damaged: true } } : host,
    )
    const folder = await mkdtemp(join(tmpdir(), 'exposure-damaged-'))
    context.onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'hosts.json')
    await writeFile(file, JSON.stringify(rows))
    await product.simulator.stop()
    const prismaPort = Number(new URL(product.simulator.prisma.url).port)
    const files = { 'compute.hosts': file }
    const damaged = await startSimulator({ ...options, prismaPort, files })
    context.onTestFinished(() => damaged.stop())

    expect((await product.once()).code).toBe(0)
    const letters = await deadLetters(product)
    expect(letters.map(({ value }) => JSON.parse(String(value)) as unknown)).toEqual([
      { ...victim, vulnerabilities: { damaged: true } },
    ])
    expect(letters[0]?.headers).toMatchObject({
      'x-dlq-reason': 'SCHEMA_VIOLATION',
      'x-dlq-stage': 'NORMALIZE',
      'x-dlq-topic': topicName(product.prefix, 'rawPrismaCloud'),
    })
    await expectTruth(product, 'prisma-compute')
    const [error] = await openErrors(product)
    expect(error?.error_type).toBe('SCHEMA_VIOLATION')

    await damaged.stop()
    const mended = await startSimulator({ ...options, prismaPort })
    context.onTestFinished(() => mended.stop())
    expect((await product.once()).code).toBe(0)
    expect(await openErrors(product)).toEqual([])
  })
})

describe.each(Object.keys(ROWS) as Vendor[])('connector errors of %s', (vendor) => {
  it.concurrent.for(ROWS[vendor])(
    '$type is raised once with its next step, and cleared by a later process',
    { timeout: ROW_TIMEOUT_MS },
    async (row, { onTestFinished }) => {
      await proveRow(await startOne(vendor, onTestFinished), vendor, row)
    },
  )
})
