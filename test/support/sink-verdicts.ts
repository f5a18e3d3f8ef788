// What becomes of bad input in a store, in the words of the table in docs/sinks.md.
import { isDeepStrictEqual } from 'node:util'
import { expect, onTestFinished } from 'vitest'
import type { Asset } from '../../contracts/asset.ts'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { Finding } from '../../contracts/finding.ts'
import type { OpenSink, SinkBatch } from '../../contracts/ports.ts'
import { topicName } from '../../contracts/topics.ts'
import { batchOf } from './postgres.ts'
import { assetEvent, errorEvent, findingEvent } from './events.ts'
import { type BadInput, toldOf } from './sink-bad-input.ts'
import type { BadInputStore } from './sink-bad-input-stores.ts'
import type { Told } from './sink-history.ts'
import { type Fields, fieldsOf, isSaid } from './sink-read-back.ts'
import type { Row, SinkWorld } from './sink-worlds/sink-world.ts'
import { waitFor } from './stack.ts'

/** By the name of the input. */
export type Verdicts = Readonly<Record<string, string>>
type Kind = 'finding' | 'asset' | 'error'
const TOPICS = { finding: 'findings', asset: 'assets', error: 'connectorErrors' } as const

/** Tries all of them, each between two good records, which must be taken. */
export async function verdictsOf(
  { worlds, read }: BadInputStore,
  inputs: readonly BadInput[],
): Promise<Verdicts> {
  const world = await worlds.open()
  const sink = await world.sink(() => 'g').open()
  onTestFinished(() => sink.close())
  const kinds: readonly Kind[] = worlds.subject === undefined ? ['finding', 'asset'] : ['error']
  const trials: Trial[] = []
  for (const input of inputs) {
    for (const kind of kinds) {
      if (input[kind] !== null)
        trials.push(await tried(world, sink, { kind, input }, trials.length))
    }
  }
  const seen = await world.seen()
  const verdicts = inputs.map(({ name }): [string, string] => [
    name,
    summed(
      trials
        .filter(({ input }) => input.name === name)
        .map((trial) => [trial.kind, verdictOf(trial, seen, read)]),
    ),
  ])
  return Object.fromEntries(verdicts)
}

/** One word where all kinds have the same; a dash where none can have it. */
function summed(words: readonly (readonly [Kind, string])[]): string {
  const different = new Set(words.map(([, word]) => word))
  const [first] = different
  if (first === undefined) return '—'
  if (different.size === 1) return first
  return words.map(([kind, word]) => `${kind} ${word}`).join(', ')
}

type Tried = { readonly kind: Kind; readonly input: BadInput }
type Trial = Tried & {
  /** Of its neighbours. */
  readonly plain: string
  readonly told: Told
  /** By index in its batch of three. */
  readonly reasons: ReadonlyMap<number, string>
}

async function tried(
  world: SinkWorld,
  sink: OpenSink,
  { kind, input }: Tried,
  number: number,
): Promise<Trial> {
  const plain = `${kind}-${number}`
  const good = (name: string) => toldOf(kind, PLAIN, `${plain}-${name}`)
  const told = toldOf(kind, input, input.uid?.(plain) ?? plain)
  const topic = topicName(world.topics?.settings.prefix ?? '', TOPICS[kind])
  const firstOffset = BigInt(number * 3)
  const batch = batchOf([good('before'), told, good('behind')], { topic, firstOffset })
  return { kind, input, plain, told, reasons: await written(sink, batch) }
}

function verdictOf(
  { input: { name }, plain, told, reasons }: Trial,
  seen: ReadonlyMap<string, Row>,
  read: BadInputStore['read'],
): string {
  for (const place of ['before', 'behind']) {
    expect(seen.has(`${plain}-${place}`), `${place} ${name}`).toBe(true)
  }
  const row = seen.get(told.key)
  if (reasons.size > 0) {
    expect([...reasons.keys()], name).toEqual([1])
    expect(reasons.get(1)).toMatch(/\S{3}/)
    expect(row, name).toBeUndefined()
    return 'refused'
  }
  if (row === undefined) return 'is lost'
  const changed = differing(fieldsOf(told.value as Finding | Asset | ConnectorError), read(row))
  return changed.length === 0 ? 'kept' : `changed: ${changed.join(', ')}`
}

const PLAIN: BadInput = {
  name: 'nothing bad',
  finding: (uid) => findingEvent(uid),
  asset: (uid) => assetEvent(uid),
  error: (uid) => errorEvent(`of ${uid}`, uid),
}

/** As whoever runs a sink does it: what is refused goes, the rest comes again. */
async function written(sink: OpenSink, batch: SinkBatch): Promise<Map<number, string>> {
  // A store that must wait, as for memory, is waited for.
  const rejections = await waitFor(() => sink.write(batch), { what: 'taken or refused' })
  const reasons = new Map(rejections.map(({ index, reason }) => [index, reason]))
  if (rejections.length === 0) return reasons
  const rest = batch.records.filter((_, index) => !reasons.has(index))
  expect(await sink.write({ ...batch, records: sink.commitsOffsets === true ? rest : [] })).toEqual(
    [],
  )
  return reasons
}

/** Names of the fields that are not as they were sent; what a store does not show is none. */
function differing(sent: Fields, shown: Fields): string[] {
  const names = Object.keys(shown).filter((name) => {
    const [is, was] = [shown[name], sent[name.replace('column ', '')]]
    if (!isSaid(is) && !isSaid(was)) return false
    return !isDeepStrictEqual(is, was)
  })
  return names
}

/** The column of a store in the table: input to word. */
export function expectedOf(doc: string, store: string): Verdicts {
  const [, table = ''] = doc.split(/<!-- (?:end of )?bad input -->/)
  const rows = table
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, -1)
        .split(' | ')
        .map((cell) => cell.trim()),
    )
  const [head = [], , ...body] = rows
  const column = head.indexOf(`\`${store}\``)
  return Object.fromEntries(body.map((cells) => [cells[0] ?? '', cells[column] ?? '']))
}
