// The schema registry: registers our schemas, looks their ids up, fetches those of other writers.
import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import type avro from 'avsc'
import { Agent } from 'node:https'
import { type Failure, PipelineError } from '../contracts/errors.ts'
import { avroOf } from '../contracts/schemas.ts'
import { TOPICS, subjectName } from '../contracts/topics.ts'
import { AVRO_TOPICS, type AvroTopic, type Codecs, createCodecs, readerType } from './codecs.ts'
import { type SubjectCheck, type SubjectReader, checkAll, refuseMisfits } from './registry-check.ts'

export type RegistrySettings = {
  /** Base of the Confluent API, without user name, password or query. */
  readonly url: string
  readonly username?: string
  readonly password?: string
  /** PEM text of the authority that signed the registry's certificate. */
  readonly caPem?: string
  /** For one request; a call that needs several, or tries again, gets three times as much. */
  readonly timeoutMs: number
}

export type Registry = {
  /**
   * Compares this build's schemas with every registered version; changes nothing.
   * @throws PipelineError TEMPORARY_FAILURE when the registry is away
   */
  check(prefix: string): Promise<SubjectCheck[]>
  /**
   * As `check`, and when all fit sets FULL_TRANSITIVE on every subject, then registers this
   * build's schemas; safe to repeat.
   * Resolves with the id per subject. @throws PipelineError CONFIGURATION naming the subject and
   * the registry's reason, or TEMPORARY_FAILURE
   */
  apply(prefix: string): Promise<Readonly<Record<string, number>>>
  /**
   * Finds the ids of exactly this build's schemas; registers nothing. @throws PipelineError
   * CONFIGURATION when one is missing, TEMPORARY_FAILURE when the registry is away
   */
  lookup(prefix: string): Promise<Codecs>
}

const LEVEL = COMPATIBILITY.FULL_TRANSITIVE
/** The compatibility that every subject of ours has. */
export const REQUIRED_LEVEL = 'FULL_TRANSITIVE'
const RETRIES = 2
const REASON_CHARACTERS_MAX = 600

/** What the client keeps to itself: `register` alone sets the compatibility too late. */
type SubjectApi = SubjectReader & {
  updateConfig(request: { subject: string; body: { compatibility: string } }): Promise<unknown>
}
/** The private part of this pinned version: no public call sets a subject's compatibility. */
const subjectApi = (client: SchemaRegistry): SubjectApi =>
  (client as unknown as { readonly api: { readonly Subject: SubjectApi } }).api.Subject

/** @throws PipelineError CONFIGURATION when the address carries what belongs elsewhere. */
export function openRegistry(settings: RegistrySettings): Registry {
  const client = createClient(settings)
  // The client's own middleware bounds one silent request; a reset in mid-body it never notices.
  const bounded = <T>(doing: string, work: Promise<T>): Promise<T> =>
    within(work, settings.timeoutMs * (RETRIES + 1), doing)
  const fetchType = async (id: number): Promise<avro.Type> => {
    const doing = `reading schema ${id}`
    try {
      return (await bounded(doing, client.getSchema(id))) as avro.Type
    } catch (error) {
      if (statusOf(error) === 404) {
        const message = `the registry does not know schema id ${id}`
        throw new PipelineError('SERIALIZATION', 'REGISTRY', message, { cause: error })
      }
      if (!(error instanceof PipelineError) && statusOf(error) === null) {
        const message = `schema ${id} is not Avro that this version can parse`
        throw new PipelineError('SERIALIZATION', 'REGISTRY', message, { cause: error })
      }
      throw registryError(error, doing)
    }
  }
  return {
    check: (prefix) => checkBy(client, bounded, prefix),
    apply: (prefix) => applyAll(client, bounded, prefix),
    lookup: (prefix) => lookupAll(client, bounded, fetchType, prefix),
  }
}

type Bounded = <T>(doing: string, work: Promise<T>) => Promise<T>

function createClient(settings: RegistrySettings): SchemaRegistry {
  const url = parseUrl(settings.url)
  const { username, password, caPem, timeoutMs } = settings
  return new SchemaRegistry({
    host: url.href.replace(/\/+$/, ''),
    // The client merges these into one object of its module: all instances share the last ones.
    retry: { retries: RETRIES, initialRetryTimeInSecs: 0.1, maxRetryTimeInSecs: 1 },
    ...(username === undefined ? {} : { auth: { username, password: password ?? '' } }),
    ...(caPem === undefined ? {} : { agent: new Agent({ ca: caPem }) }),
    middlewares: [
      () => ({
        prepareRequest: (next) => next().then((request) => request.enhance({ timeout: timeoutMs })),
      }),
    ],
  })
}

function parseUrl(text: string): URL {
  const url = URL.parse(text)
  const refused = (why: string) =>
    new PipelineError('CONFIGURATION', 'REGISTRY', `the registry's address ${why}`)
  if (url === null) throw refused('is not a URL')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused('is not http or https')
  if (url.username !== '' || url.password !== '' || url.search !== '') {
    throw refused('must not hold a user name, a password or a query; set them as references')
  }
  return url
}

const checkBy = (client: SchemaRegistry, bounded: Bounded, prefix: string) =>
  checkAll(
    subjectApi(client),
    async (doing, work) => {
      try {
        return (await bounded(doing, work())).data()
      } catch (error) {
        if (statusOf(error) === 404) return null
        throw registryError(error, doing)
      }
    },
    prefix,
  )

async function applyAll(client: SchemaRegistry, bounded: Bounded, prefix: string) {
  // All of them before the first is registered: half of a build's schemas help nobody.
  refuseMisfits(await checkBy(client, bounded, prefix))
  const subjects = subjectApi(client)
  const ids: Record<string, number> = {}
  for (const topic of AVRO_TOPICS) {
    const subject = subjectName(prefix, topic)
    try {
      const body = { compatibility: LEVEL }
      await bounded(`setting ${LEVEL} on ${subject}`, subjects.updateConfig({ subject, body }))
      const registered = client.register(documentOf(topic), { subject, compatibility: LEVEL })
      ids[subject] = (await bounded(`registering ${subject}`, registered)).id
    } catch (error) {
      throw registryError(error, `registering ${subject}`)
    }
  }
  return ids
}

async function lookupAll(
  client: SchemaRegistry,
  bounded: Bounded,
  fetchType: (id: number) => Promise<avro.Type>,
  prefix: string,
): Promise<Codecs> {
  const ids: Partial<Record<AvroTopic, number>> = {}
  for (const topic of AVRO_TOPICS) {
    ids[topic] = await lookupOne(client, bounded, fetchType, topic, subjectName(prefix, topic))
  }
  return createCodecs(ids as Record<AvroTopic, number>, fetchType)
}

async function lookupOne(
  client: SchemaRegistry,
  bounded: Bounded,
  fetchType: (id: number) => Promise<avro.Type>,
  topic: AvroTopic,
  subject: string,
): Promise<number> {
  const doing = `looking up ${subject}`
  let id: number
  try {
    id = await bounded(doing, client.getRegistryIdBySchema(subject, documentOf(topic)))
  } catch (error) {
    if (isMissing(error)) throw notApplied(subject, error)
    throw registryError(error, doing)
  }
  // A registry that normalises may answer with another text: its bytes would not be ours.
  if (!readerType(schemaNameOf(topic)).equals(await fetchType(id))) throw notApplied(subject, null)
  return id
}

const schemaNameOf = (topic: AvroTopic) => {
  const name = TOPICS[topic].schema
  if (name === null) throw new PipelineError('INTERNAL', 'REGISTRY', `${topic} has no schema`)
  return name
}
/** The same text at every call: that is what the registry compares. */
const documentOf = (topic: AvroTopic) =>
  ({ type: SchemaType.AVRO, schema: JSON.stringify(avroOf(schemaNameOf(topic))) }) as const

const notApplied = (subject: string, cause: unknown) =>
  new PipelineError(
    'CONFIGURATION',
    'REGISTRY',
    `${subject} does not hold the schema of this version: run \`exposure schemas apply\``,
    { cause, remediation: 'Run `exposure schemas apply`, then start again.' },
  )

/** The client says "not found" in two ways: a status, or an error of its own that wraps it. */
const isMissing = (error: unknown): boolean =>
  statusOf(error) === 404 ||
  (error instanceof Error && error.name === 'ConfluentSchemaRegistryError')

const statusOf = (error: unknown): number | null => {
  const status = (error as { status?: unknown } | null)?.status
  return typeof status === 'number' ? status : null
}

// A refused connection comes back as status 400 with the socket's words in the message.
const NETWORK =
  /ECONN|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ENOTFOUND|socket hang up|Timeout \(/
const TLS = /certificate|self-signed|altnames|SSL routines|EPROTO/i

/** Every failure of a registry call, by whether waiting helps. */
export function registryError(error: unknown, doing: string): PipelineError {
  if (error instanceof PipelineError) return error
  const reason = (error instanceof Error ? error.message : String(error))
    .replace(/^Confluent_Schema_Registry - /, '')
    .slice(0, REASON_CHARACTERS_MAX)
  const failure = failureOf(statusOf(error), reason)
  if (failure === 'TEMPORARY_FAILURE' && NETWORK.test(reason)) {
    const said = reason.replace(/^Error, status 400: /, '')
    const text = 'the registry does not answer: check that it runs, and registry.url'
    const message = `${text} (${doing}: ${said})`
    return new PipelineError(failure, 'REGISTRY', message, { cause: error })
  }
  return new PipelineError(failure, 'REGISTRY', `${doing}: ${reason}`, { cause: error })
}

function failureOf(status: number | null, reason: string): Failure {
  if (TLS.test(reason)) return 'CONFIGURATION'
  if (NETWORK.test(reason)) return 'TEMPORARY_FAILURE'
  if (status === 401) return 'AUTHORIZATION_FAILURE'
  if (status === 403) return 'ACCESS_FORBIDDEN'
  if (status === 408 || status === 429) return 'TEMPORARY_FAILURE'
  if (status !== null && status >= 500) return 'TEMPORARY_FAILURE'
  return 'CONFIGURATION'
}

async function within<T>(work: Promise<T>, deadlineMs: number, doing: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `${doing}: the registry did not answer within ${deadlineMs} ms`
      reject(new PipelineError('TEMPORARY_FAILURE', 'REGISTRY', message))
    }, deadlineMs)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}
