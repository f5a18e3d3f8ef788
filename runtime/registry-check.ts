// Compares this build's schemas with every version in the registry; registers nothing.
import { isDeepStrictEqual } from 'node:util'
import { PipelineError } from '../contracts/errors.ts'
import { avroOf } from '../contracts/schemas.ts'
import { TOPICS, subjectName } from '../contracts/topics.ts'
import { AVRO_TOPICS, type AvroTopic } from './codecs.ts'
import { type Misfit, misfitsBetween } from './schema-change.ts'

/** More versions than anybody registers; the oldest are then not looked at. */
const VERSIONS_MAX = 200
const VIOLATIONS_MAX = 20

/** What this build's schema is to one subject. */
export type SubjectCheck = {
  readonly subject: string
  /** Registered versions, oldest first; empty: the subject does not exist. */
  readonly versions: readonly number[]
  /** The compatibility in force for it; null when the subject does not exist. */
  readonly level: string | null
  readonly misfits: readonly (Misfit & { readonly version: number })[]
}

type Answer = { data(): unknown }
/** What of the registry's HTTP interface is asked here. */
export type SubjectReader = {
  config(request: { subject: string }): Promise<Answer>
  latestVersion(request: { subject: string }): Promise<Answer>
  version(request: { subject: string; version: number }): Promise<Answer>
  compatible(request: {
    subject: string
    version: number
    verbose: true
    body: { schema: string }
  }): Promise<Answer>
}
/** Resolves with null for "not found"; bounded in time. @throws PipelineError for all else */
export type Ask = (doing: string, work: () => Promise<Answer>) => Promise<unknown>

export const checkAll = (subjects: SubjectReader, ask: Ask, prefix: string) =>
  Promise.all(
    AVRO_TOPICS.map((topic) => checkSubject(subjects, ask, topic, subjectName(prefix, topic))),
  )

async function checkSubject(
  subjects: SubjectReader,
  ask: Ask,
  topic: AvroTopic,
  subject: string,
): Promise<SubjectCheck> {
  const latest = await ask(`reading ${subject}`, () => subjects.latestVersion({ subject }))
  if (latest === null) return { subject, versions: [], level: null, misfits: [] }
  const config = await ask(`reading the rules of ${subject}`, () => subjects.config({ subject }))
  const { compatibilityLevel } = (config ?? {}) as { compatibilityLevel?: unknown }
  const newest = Number((latest as { version: unknown }).version)
  const schema = TOPICS[topic].schema
  if (schema === null) throw new PipelineError('INTERNAL', 'REGISTRY', `${topic} has no schema`)
  const ours = avroOf(schema)
  const registered: Registered[] = []
  for (let version = Math.max(1, newest - VERSIONS_MAX + 1); version <= newest; version++) {
    const doing = `reading version ${version} of ${subject}`
    const found = await ask(doing, () => subjects.version({ subject, version }))
    // Deleted by somebody: its data are read by its id all the same, which we cannot know.
    if (found === null) continue
    const text = (found as { schema: string }).schema
    registered.push({ version, document: parsed(text, subject, version) })
  }
  const misfits: (Misfit & { version: number })[] = []
  const own = registered.find(({ document }) => isDeepStrictEqual(document, ours))?.version
  for (const { version, document } of registered) {
    const found = await misfitsWith(version, document)
    misfits.push(...found.map((misfit) => ({ ...misfit, version })))
  }
  const level = typeof compatibilityLevel === 'string' ? compatibilityLevel : null
  return { subject, versions: registered.map(({ version }) => version), level, misfits }

  async function misfitsWith(version: number, document: Avro): Promise<Misfit[]> {
    // A newer build has been here, as in a rolling upgrade: what it has added, we lack rightly.
    if (own !== undefined && version > own) return misfitsBetween(ours, document)
    const known = misfitsBetween(document, ours)
    if (known.length > 0 || version === own) return known
    const body = { schema: JSON.stringify(ours) }
    const doing = `comparing with version ${version} of ${subject}`
    return refusalOf(
      await ask(doing, () => subjects.compatible({ subject, version, verbose: true, body })),
    )
  }
}

type Avro = ReturnType<typeof avroOf>
type Registered = { readonly version: number; readonly document: Avro }

function parsed(text: string, subject: string, version: number): Avro {
  try {
    return JSON.parse(text) as Avro
  } catch {
    // A schema of one word: Avro may write it without quotes.
    const message = `version ${version} of ${subject} is not a schema in JSON`
    throw new PipelineError('CONFIGURATION', 'REGISTRY', message)
  }
}

/** What the registry alone minds, in its words where it has any. */
function refusalOf(verdict: unknown): Misfit[] {
  const { is_compatible, messages } = (verdict ?? {}) as {
    is_compatible?: boolean
    messages?: readonly string[]
  }
  if (is_compatible !== false) return []
  const said = (messages ?? []).slice(0, VIOLATIONS_MAX)
  const reasons = said.length === 0 ? ['the registry refuses it without a reason'] : said
  return reasons.map((reason) => ({ path: '', reason }))
}

/** `<subject> version 3: meta.source: <reason>` */
export const misfitLines = ({ subject, misfits }: SubjectCheck): string[] =>
  misfits.map(
    ({ version, path, reason }) =>
      `${subject} version ${version}: ${path === '' ? '(whole)' : path}: ${reason}`,
  )

/** The operator's next step when something does not fit. */
export const MISFIT_STEP =
  'Run a build whose schemas fit: only optional fields and enum symbols may be added. ' +
  'What cannot be read both ways is a new topic and subject.'

/** @throws PipelineError CONFIGURATION when a schema of this build does not fit */
export function refuseMisfits(checks: readonly SubjectCheck[]): void {
  const violations = checks.flatMap(misfitLines)
  if (violations.length === 0) return
  const subjects = checks.filter(({ misfits }) => misfits.length > 0).map(({ subject }) => subject)
  const text = `schemas of this build are incompatible with ${subjects.join(', ')}`
  throw new PipelineError('CONFIGURATION', 'REGISTRY', text, {
    violations: violations.slice(0, VIOLATIONS_MAX),
    remediation: MISFIT_STEP,
  })
}
