// One raw record in a hundred is damaged: all others arrive, and nothing of the damaged is closed.
import type { Finding } from '../../contracts/finding.ts'
import {
  type Headers,
  type RawFacts,
  encodeRunEnd,
  rawHeaders,
  rawKey,
} from '../../contracts/envelope.ts'
import type { OutRecord } from '../../contracts/processing.ts'
import { RAW_PARTITIONS, topicName } from '../../contracts/topics.ts'
import { connectionRecord } from '../../runtime/connections.ts'
import { ATTEMPTS_MAX, type Moved, replayLetters } from '../../runtime/dead-letter-moves.ts'
import { createKafka } from '../../runtime/kafka/client.ts'
import { type Session, openSession } from '../../runtime/kafka/session.ts'
import { createLogger } from '../../runtime/log.ts'
import type { Random } from '../../simulator/random.ts'
import type { StackAddresses } from '../support/global-setup.ts'
import {
  RUN_1,
  RUN_2,
  T0,
  host,
  hostFacts,
  rawPartitionOf,
  runEndOf,
  vulnerability,
} from '../support/lifecycle.ts'
import { repairBy } from '../support/repair.ts'
import { type Arena, openArena } from './arena.ts'
import { type EventLine, byKey, checkLegal, checkWanted, isClosed } from './check-events.ts'
import { checkStore, wantedByKey } from './checker.ts'
import { Problems } from './problems.ts'
import { drained } from './progress.ts'
import { referenceEvents } from './reference.ts'
import type { Form, Scenario, ScenarioReport } from './scenario.ts'
import { type Line, readTopics } from './topics.ts'

const UNITS = { SHORT: 1_200, LONG: 10_000 } as const
const POISONED_EVERY = 100
/** Truly gone in the second run: with poison about, these and only these are closed. */
const GONE = 12
const DRAIN_TIMEOUT_MS = { SHORT: 300_000, LONG: 600_000 } as const
const CHUNK_RECORDS = 1_000
const TRANSACTION_TIMEOUT_MS = 30_000
const HOUR_MS = 3_600_000
const [OLD_CVE, NEW_CVE] = ['CVE-2026-0001', 'CVE-2026-0002']

type Body = Buffer | null
type Damage = (body: Buffer, headers: Headers) => { value: Body; headers: Headers }

const without = (headers: Headers, name: string): Headers =>
  Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name))
const inJson = (body: Buffer, change: (host: Record<string, unknown>) => unknown): Buffer =>
  Buffer.from(JSON.stringify(change(JSON.parse(body.toString()) as Record<string, unknown>)))
const body =
  (change: (body: Buffer) => Body): Damage =>
  (value, headers) => ({
    value: change(value),
    headers,
  })

/** What can become of bytes on their way, and what a vendor's fault may make of them. */
const DAMAGES: readonly Damage[] = [
  body((bytes) => bytes.subarray(0, Math.floor(bytes.length / 2))),
  body(() => Buffer.alloc(0)),
  body(() => Buffer.from('<html>upstream said nothing useful</html>')),
  body(() => Buffer.from('null')),
  body(() => Buffer.from('[]')),
  body(() => Buffer.from([0xff, 0xfe, 0x00, 0x80])),
  body((bytes) => inJson(bytes, (one) => ({ ...one, _id: undefined }))),
  body((bytes) => inJson(bytes, (one) => ({ ...one, vulnerabilities: 'none' }))),
  body((bytes) => inJson(bytes, (one) => ({ ...one, _id: { oid: 1 } }))),
  (value, headers) => ({ value, headers: without(headers, 'x-unit') }),
  (value, headers) => ({ value, headers: { ...headers, 'x-fetched-at': 'yesterday' } }),
  (value, headers) => ({ value, headers: { ...headers, 'x-unit': 'somebody-else' } }),
]

type Unit = { readonly name: string; readonly isGone: boolean; readonly damage: Damage | null }

function unitsOf(count: number, random: Random): Unit[] {
  const offset = random.below(POISONED_EVERY)
  return Array.from({ length: count }, (_, n) => {
    const isPoisoned = n % POISONED_EVERY === offset
    const kind = Math.floor(n / POISONED_EVERY) % DAMAGES.length
    return {
      name: `host-${String(n).padStart(6, '0')}`,
      // Never the same as a poisoned one.
      isGone: n % POISONED_EVERY === (offset + 1) % POISONED_EVERY && n < GONE * POISONED_EVERY,
      damage: isPoisoned ? (DAMAGES[kind] ?? null) : null,
    }
  })
}

const factsOf = ({ name }: Unit, runId: string, fetchedAtMs: number): RawFacts =>
  hostFacts({ unit: name, assetNativeId: `host|${name}`, runId, fetchedAtMs })

const recordOf = (topic: string, unit: Unit, facts: RawFacts, cves: readonly string[]) => {
  const shown = cves.map((cve) => vulnerability(cve))
  return {
    topic,
    partition: rawPartitionOf(facts),
    key: rawKey(facts),
    value: Buffer.from(JSON.stringify(host(shown, { _id: unit.name, hostname: unit.name }))),
    headers: rawHeaders(facts),
  }
}

function endsOf(topic: string, runId: string, endedAtMs: number, published: number): OutRecord[] {
  const counts = { declared: published, fetched: published, published }
  const end = encodeRunEnd(
    runEndOf({ runId, startedAtMs: endedAtMs - 60_000, endedAtMs, ...counts }),
  )
  return Array.from({ length: RAW_PARTITIONS }, (_, partition) => ({ topic, partition, ...end }))
}

async function publish(session: Session, records: readonly OutRecord[]): Promise<void> {
  for (let from = 0; from < records.length; from += CHUNK_RECORDS) {
    await session.commit({ outputs: records.slice(from, from + CHUNK_RECORDS) })
  }
}

/** The connection of the records, which nobody polls: letters of none are not replayed. */
const definitionOf = (prefix: string): OutRecord =>
  connectionRecord(prefix, {
    v: 1,
    name: hostFacts().connection,
    vendor: 'prisma-cloud',
    host: 'console.example.com',
    paused: true,
    settings: {},
  })

/** As `exposure dlq replay` does it, each letter repaired by the record that was damaged. */
async function replayRepaired(
  { settings }: Arena,
  whole: readonly OutRecord[],
  dryRun: boolean,
): Promise<Moved> {
  const byKey = new Map(whole.map((record) => [record.key, record]))
  return replayLetters({
    settings,
    log: createLogger('chaos'),
    filter: {},
    dryRun,
    attemptsMax: ATTEMPTS_MAX,
    repairOf({ record: { key, headers } }) {
      const record = byKey.get(key)
      return record === undefined ? null : repairBy(record, headers)
    },
    onLetter: () => undefined,
  })
}

/** Findings by weakness: how many were ever opened, how many are open. */
function countsOf(lines: readonly EventLine[], cve: string) {
  const events = lines.flatMap(({ value }) => (value as Finding | null) ?? [])
  const of = Map.groupBy(
    events.filter(({ vuln_id }) => vuln_id === cve),
    ({ finding_uid }) => finding_uid,
  )
  const last = [...of.values()].flatMap((group) => group.at(-1) ?? [])
  return { told: of.size, open: last.filter((event) => !isClosed(event)).length }
}

async function battle(arena: Arena, form: Form, problems: Problems) {
  const { settings, prefix, stack, fleet, random } = arena
  const topic = topicName(prefix, 'rawPrismaCloud')
  const units = unitsOf(UNITS[form], random)
  const poisoned = units.filter(({ damage }) => damage !== null)
  const gone = units.filter(({ isGone }) => isGone)
  const session = await openSession(createKafka(settings, 'chaos-poison', createLogger('chaos')), {
    transactionalId: `${prefix}poison`,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
  })
  try {
    const first = units.map((one) => recordOf(topic, one, factsOf(one, RUN_1, T0), [OLD_CVE]))
    const [secondMs, present] = [T0 + HOUR_MS, units.filter(({ isGone }) => !isGone)]
    const sound = new Map(
      present.map((one) => [
        one,
        recordOf(topic, one, factsOf(one, RUN_2, secondMs), [OLD_CVE, NEW_CVE]),
      ]),
    )
    const second = [...sound].map(([{ damage }, record]) =>
      damage === null ? record : { ...record, ...damage(record.value, record.headers) },
    )
    fleet.start('transformers')
    fleet.start('sinks')
    await publish(session, [definitionOf(prefix)])
    await publish(session, [...first, ...endsOf(topic, RUN_1, T0 + 60_000, first.length)])
    await publish(session, [...second, ...endsOf(topic, RUN_2, secondMs + 60_000, second.length)])
    await drained(arena, DRAIN_TIMEOUT_MS[form])
    const lines = await readTopics(stack, prefix, ['findings', 'dlq'])
    const findings = lines.findings as EventLine[]
    const letters = lines.dlq.filter(isLetter)
    const expect = (is: unknown, must: unknown, what: string) =>
      problems.expect(is === must, what, () => `${String(is)} in place of ${String(must)}`)
    expect(lines.dlq.length, poisoned.length, 'dead letters')
    expect(letters.length, poisoned.length, 'dead letters with a reason')
    expect(countsOf(findings, NEW_CVE).told, present.length - poisoned.length, 'units that arrived')
    // A letter that names no unit may be any of those that are missing in its partition.
    const blind = new Set(
      lines.dlq.flatMap(({ headers, key }) =>
        tellsUnit(headers, key) ? [] : [headers['x-dlq-partition']],
      ),
    )
    const held = gone.filter((one) =>
      blind.has(String(rawPartitionOf(factsOf(one, RUN_2, secondMs)))),
    )
    const open = units.length - gone.length + held.length
    expect(countsOf(findings, OLD_CVE).open, open, 'what was shown before and is open still')

    const whole = poisoned.flatMap((one) => sound.get(one) ?? [])
    expect((await replayRepaired(arena, whole, false)).replayed, letters.length, 'letters replayed')
    expect((await replayRepaired(arena, whole, true)).replayed, 0, 'letters open after the replay')
    await drained(arena, DRAIN_TIMEOUT_MS[form])
    const history = await arena.recorder.finish()
    const after = await readTopics(stack, prefix, ['rawPrismaCloud', 'dlq'])
    const brought = countsOf(history.findings as EventLine[], NEW_CVE).told
    expect(brought - countsOf(findings, NEW_CVE).told, poisoned.length, 'brought by the replay')
    expect(after.dlq.filter(isLetter).length, letters.length, 'dead letters after the replay')
    const counts = { units: units.length, gone: gone.length, held: held.length }
    return { attacks: { poisoned: poisoned.length, ...counts }, lines: { ...after, ...history } }
  } finally {
    await session.close()
  }
}

/** Behind the letters stand records that say what has become of them. */
const isLetter = ({ headers }: Line): boolean => (headers['x-dlq-reason'] ?? '') !== ''

/** Key and headers name the same unit, and the headers can be read. */
const tellsUnit = (headers: Headers, key: string | null): boolean =>
  key === `${headers['x-connection']}|${headers['x-stream']}|${headers['x-unit']}` &&
  /^\d+$/.test(headers['x-fetched-at'] ?? '')

async function run(seed: number, stack: StackAddresses, form: Form): Promise<ScenarioReport> {
  const startedMs = performance.now()
  const problems = new Problems()
  const arena = await openArena(seed, stack, { streams: {}, compaction: false, fuse: 30 })
  try {
    const { attacks, lines } = await battle(arena, form, problems)
    const [assets, findings] = [lines.assets as EventLine[], lines.findings as EventLine[]]
    const got = new Map([...byKey(assets, problems), ...byKey(findings, problems)])
    const wanted = referenceEvents(lines.rawPrismaCloud, arena.fuse)
    checkWanted(got, wantedByKey([wanted]), problems)
    checkLegal(got, problems)
    await checkStore(arena, byKey(assets, problems), byKey(findings, problems), problems)
    return {
      scenario: 'poison',
      seed,
      seconds: Math.round((performance.now() - startedMs) / 100) / 10,
      attacks,
      eventsWanted: wanted.assets.length + wanted.findings.length,
      eventsGot: assets.length + findings.length,
      problems: problems.list(),
    }
  } finally {
    await arena.close()
  }
}

export const poison: Scenario = {
  name: 'poison',
  says: 'one raw record in a hundred damaged, in twelve ways; then repaired and replayed',
  run,
}
