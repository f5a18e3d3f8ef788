// OpenSearch behind TLS of a private authority, with credentials: as a company runs it.
import { writeFileSync } from 'node:fs'
import { type IncomingMessage, type ServerResponse, request } from 'node:http'
import { pipeline } from 'node:stream'
import { inspect } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Failure, PipelineError } from '../../contracts/errors.ts'
import { TOPICS, topicName } from '../../contracts/topics.ts'
import { runSink, sinkGroup } from '../../runtime/run-sink.ts'
import { type OpenSearchConfig, openSearchConfig } from '../../sinks/opensearch/config.ts'
import { createOpenSearchSink } from '../../sinks/opensearch/sink.ts'
import { findingEvent } from '../support/events.ts'
import { type EventTopics, eventTopics } from '../support/event-topics.ts'
import { listenOn } from '../support/http-server.ts'
import { type TestStore, testStore, useOpenSearch } from '../support/opensearch.ts'
import { secretFile, testLog } from '../support/postgres.ts'
import { waitFor } from '../support/stack.ts'
import { type Authority, createAuthority, serveTls } from '../support/tls.ts'

const USER = 'canary-user-5f1c'
const PASSWORD = 'canary-password-8ab0'
const API_KEY = 'Y2FuYXJ5LWlkOmNhbmFyeS1hcGkta2V5'
const CANARY = new RegExp(
  `canary|${API_KEY}|${Buffer.from(`${USER}:`).toString('base64').slice(0, -2)}`,
)

/** A store that other tests use may be busy: that is waited for, and no fault. */
const BUSY: Failure = 'SINK_UNAVAILABLE'

useOpenSearch()

type Company = {
  readonly store: TestStore
  readonly authority: Authority
  readonly url: string
  /** What the store lets in; another value locks out who has the old one. */
  readonly door: { authorization: string; readonly refused: string[] }
}

/** A real OpenSearch behind a login, behind TLS, known by its name only. */
async function company(authorization: string): Promise<Company> {
  const store = await testStore()
  const authority = await createAuthority()
  const door = { authorization, refused: [] as string[] }
  const { url } = await listenOn((asked, response) =>
    logIn(store.config.url, door, asked, response),
  )
  const { port } = await serveTls(url, await authority.sign('localhost'))
  return { store, authority, url: `https://localhost:${port}`, door }
}

/** As the security plugins of both stores refuse: 401 and a challenge. */
function logIn(
  target: string,
  door: Company['door'],
  asked: IncomingMessage,
  response: ServerResponse,
): void {
  const given = asked.headers.authorization ?? ''
  if (given !== door.authorization) {
    door.refused.push(given)
    asked.resume()
    response.writeHead(401, { 'www-authenticate': 'Basic realm="OpenSearch Security"' })
    response.end(`Unauthorized: ${given}`)
    return
  }
  const { authorization: _, ...headers } = asked.headers
  const options = { method: asked.method ?? 'GET', headers }
  const inner = request(`${target}${asked.url ?? '/'}`, options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    pipeline(answer, response, () => undefined)
  })
  inner.on('error', () => response.destroy())
  pipeline(asked, inner, () => undefined)
}

const basicOf = (password: string) =>
  `Basic ${Buffer.from(`${USER}:${password}`).toString('base64')}`

const configOf = ({ store, url }: Company, more: Partial<OpenSearchConfig>): OpenSearchConfig => {
  const { prefix, replicas } = store.config
  return openSearchConfig.parse({ url, prefix, replicas, ...more })
}

/** The sink behind its topics; what it raised and cleared, in order. */
async function start({ settings, codecs, admin }: EventTopics, config: OpenSearchConfig) {
  const raised: PipelineError[] = []
  const cleared: (readonly Failure[])[] = []
  const sink = createOpenSearchSink(config)
  const running = await runSink({
    settings,
    sink,
    codecs,
    reporter: {
      raise: (error) => void raised.push(error),
      clear: ({ failures, quietMs }) => {
        if (quietMs === undefined) cleared.push(failures ?? [])
      },
    },
    log: testLog,
  })
  onTestFinished(() => running.stop())
  const findings = [topicName(settings.prefix, 'findings')]
  const group = sinkGroup(settings.prefix, sink.name)
  const isThrough = async () => {
    const lags = await admin.lag(group, findings)
    return lags.length === TOPICS.findings.partitions && lags.every(({ lag }) => lag === 0n)
  }
  const settled = () => waitFor(isThrough, { what: 'caught up' })
  return { raised, cleared, settled, refused: running.refused }
}

const idsIn = async ({ store }: Company) =>
  (await store.documents(store.indices.finding)).map(({ id }) => id)

describe('OpenSearch over TLS of a private authority', () => {
  it.each([
    ['user and password', basicOf(PASSWORD)],
    ['an API key', `ApiKey ${API_KEY}`],
  ])('is written to with %s, and every call shows them', async (_how, authorization) => {
    const there = await company(authorization)
    const topics = await eventTopics()
    await topics.put('findings', 'f1', findingEvent('f1'))
    const login = authorization.startsWith('ApiKey')
      ? { apiKey: secretFile(API_KEY) }
      : { username: secretFile(USER), password: secretFile(PASSWORD) }
    const { caFile } = there.authority
    const sink = await start(topics, configOf(there, { caFile, ...login }))
    await sink.settled()
    expect(await idsIn(there)).toEqual(['f1'])
    expect(there.door.refused).toEqual([])
    expect(sink.raised.filter(({ failure }) => failure !== BUSY)).toEqual([])
  })

  it('waits and names caFile while the authority is another, and goes on when mended', async () => {
    const there = await company(basicOf(PASSWORD))
    const stranger = await createAuthority()
    const topics = await eventTopics()
    await topics.put('findings', 'f1', findingEvent('f1'))
    const login = { username: secretFile(USER), password: secretFile(PASSWORD) }
    const caFile = stranger.caFile
    const sink = await start(topics, configOf(there, { caFile, ...login }))
    const error = await waitFor(() => sink.raised[0], { what: 'told' })
    expect(error).toMatchObject({
      failure: 'SINK_UNAVAILABLE',
      message: expect.stringMatching(/the TLS handshake failed \(\w+\)$/) as string,
    })
    expect(error.remediation).toContain('sinks.opensearch.caFile')
    expect(await topics.deadLetters()).toEqual([])
    writeFileSync(caFile, there.authority.pem)
    await sink.settled()
    expect(await idsIn(there)).toEqual(['f1'])
    expect(sink.cleared.flat()).toContain('SINK_UNAVAILABLE')
  })
})

describe('a wrong password', () => {
  it('at the start is one error that names the settings, and nothing is written', async () => {
    const there = await company(basicOf(PASSWORD))
    const topics = await eventTopics()
    const login = { username: secretFile(USER), password: secretFile('canary-of-yesterday') }
    const { caFile } = there.authority
    const { refused } = await start(topics, configOf(there, { caFile, ...login }))
    expect(refused).toMatchObject({ failure: 'AUTHORIZATION_FAILURE', stage: 'SINK' })
    expect(refused?.remediation).toContain('sinks.opensearch.username')
    expect(inspect(refused, { depth: 20 })).not.toMatch(CANARY)
    expect(there.door.refused).not.toEqual([])
  })

  it('later is waited for, and nothing dead-lettered, until it is mended', async () => {
    const there = await company(basicOf(PASSWORD))
    const topics = await eventTopics()
    const password = secretFile(PASSWORD)
    const { caFile } = there.authority
    const login = { username: secretFile(USER), password }
    const sink = await start(topics, configOf(there, { caFile, ...login }))
    await topics.put('findings', 'f1', findingEvent('f1'))
    await sink.settled()
    there.door.authorization = basicOf('canary-new-word')
    await topics.put('findings', 'f1', findingEvent('f1', 2))
    await topics.put('findings', 'f2', findingEvent('f2'))
    const isRefusal = ({ failure }: PipelineError) => failure === 'AUTHORIZATION_FAILURE'
    const error = await waitFor(() => sink.raised.find(isRefusal), { what: 'told' })
    expect(error.remediation).toContain('sinks.opensearch.username')
    expect(inspect(sink.raised, { depth: 20 })).not.toMatch(CANARY)
    expect(await idsIn(there)).toEqual(['f1'])
    writeFileSync(password.slice('file:'.length), 'canary-new-word')
    await sink.settled()
    expect(await idsIn(there)).toEqual(['f1', 'f2'])
    expect(sink.cleared.flat()).toContain('AUTHORIZATION_FAILURE')
    expect(await topics.deadLetters()).toEqual([])
  })
})
