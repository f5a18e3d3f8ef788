// A Splunk of a test's own, sinks that write to it, and what its users make of what it holds.
import { onTestFinished } from 'vitest'
import { PipelineError } from '../../contracts/errors.ts'
import type { OpenSink } from '../../contracts/ports.ts'
import { splunkConfig } from '../../sinks/splunk/config.ts'
import { createSplunkSink } from '../../sinks/splunk/sink.ts'
import { findingEvent } from './events.ts'
import { batchOf, secretFile } from './postgres.ts'
import { type Behaviour, type Indexed, type SplunkStub, startSplunk } from './splunk-stub.ts'

export const TOKEN = 'canary-token-5d1e-4c7a'

/** The sink as the product makes it from such settings. */
export const splunkSink = (settings: object) => createSplunkSink(splunkConfig.parse(settings))

/** Settings for that stub, its token in a file. */
export const splunkSettings = (stub: SplunkStub, more: object = {}): object => ({
  url: stub.url,
  token: secretFile(stub.behaviour.token),
  ...more,
})

/** A collector that ends with the test. */
export async function testSplunk(behaviour: Partial<Behaviour> = {}): Promise<SplunkStub> {
  const stub = await startSplunk({ token: TOKEN, ...behaviour })
  onTestFinished(() => stub.stop())
  return stub
}

/** The sink of such settings, open, closed after the test. */
export async function openedSplunk(settings: object): Promise<OpenSink> {
  const sink = await splunkSink(settings).open()
  onTestFinished(() => sink.close())
  return sink
}

/** The query of docs: newest revision first, one event per entity, without what was purged. */
export function currentOf(indexed: readonly Indexed[]): Indexed[] {
  const newest = new Map<string, Indexed>()
  for (const event of indexed) {
    const { exposure_kind: kind, exposure_uid: uid } = event.fields
    const key = `${kind} ${uid}`
    const known = newest.get(key)
    if (known === undefined || revisionOf(event) > revisionOf(known)) newest.set(key, event)
  }
  return [...newest.values()].filter(({ fields }) => fields['exposure_status'] !== 'PURGED')
}

export const revisionOf = ({ fields }: Indexed): number => Number(fields['exposure_revision'])

export const uidsIn = ({ indexed }: SplunkStub): string[] =>
  indexed.map(({ fields }) => fields['exposure_uid'] ?? '')

/** Records for a batch, their keys numbered behind `name`. */
export const toldFindings = (
  count: number,
  more: Parameters<typeof findingEvent>[2] = {},
  name = 'f',
) =>
  Array.from({ length: count }, (_, i) => {
    const key = `${name}${i}`
    return { kind: 'finding' as const, key, value: findingEvent(key, 1, more) }
  })

/** A batch of small events, of which the number counts. */
export const purges = (count: number) =>
  batchOf(toldFindings(count).map((told) => ({ ...told, value: null })))

/** What the work fails with. @throws Error when it does not */
export async function failureOf(work: Promise<unknown>): Promise<PipelineError> {
  try {
    await work
  } catch (error) {
    if (error instanceof PipelineError) return error
    throw error
  }
  throw new Error('it did not fail')
}
