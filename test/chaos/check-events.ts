// The events of every entity: legal in order, justified by the truth of its time, true at the end.
import { isDeepStrictEqual } from 'node:util'
import type { Asset } from '../../contracts/asset.ts'
import type { Finding } from '../../contracts/finding.ts'
import { eventId } from '../../contracts/identity.ts'
import type { History, Interval } from '../../simulator/history.ts'
import type { Truth } from '../../simulator/truth.ts'
import {
  comparedAsset,
  comparedFinding,
  expectedAsset,
  expectedFinding,
  uidOf,
} from '../support/truth-keys.ts'
import type { Problems } from './problems.ts'
import type { Line } from './topics.ts'

type Event = Asset | Finding
export type EventLine = Line<Event>

export const isClosed = ({ status }: Event): boolean => status === 'GONE' || status === 'RESOLVED'

/** Events of each key, in log order. Those of one key must lie in one partition. */
export function byKey(lines: readonly EventLine[], problems: Problems): Map<string, Event[]> {
  const grouped = Map.groupBy(lines, ({ key }) => key ?? '')
  return new Map(
    [...grouped].map(([key, of]) => {
      const partitions = new Set(of.map(({ partition }) => partition))
      problems.expect(partitions.size === 1, 'a key is in several partitions', () => key)
      return [key, of.flatMap(({ value }) => (value === null ? [] : [value]))]
    }),
  )
}

/** Each key has the events that it must have, in their order, and no other key has any. */
export function checkWanted(
  got: ReadonlyMap<string, readonly Event[]>,
  wanted: ReadonlyMap<string, readonly Event[]>,
  problems: Problems,
): void {
  const words = (events: readonly Event[]) =>
    events.map(({ meta }) => `${meta.change_type}@${meta.revision}`).join(' ')
  for (const key of new Set([...got.keys(), ...wanted.keys()])) {
    const [is, must] = [got.get(key) ?? [], wanted.get(key) ?? []]
    if (isDeepStrictEqual(is, must)) continue
    problems.add('not the events wanted', `${key} has ${words(is)}, must have ${words(must)}`)
  }
}

/** The words of the lifecycle, in an order that it allows. */
export function checkLegal(got: ReadonlyMap<string, readonly Event[]>, problems: Problems): void {
  for (const [key, events] of got) {
    let before: Event | null = null
    let reopened = 0
    for (const event of events) {
      const { change_type: type, revision, event_id: id, changed_fields: fields } = event.meta
      const wrong = (why: string) => problems.add(why, `${key} ${type}@${revision}`)
      if (id !== eventId(key, revision)) wrong('an event has another id than its own')
      if (before !== null && revision <= before.meta.revision) wrong('a revision does not rise')
      if ((before === null) !== (type === 'CREATED')) wrong('not created first, or twice')
      const wasClosed = before !== null && isClosed(before)
      if ((type === 'RESOLVED' || type === 'GONE') && (wasClosed || !isClosed(event))) {
        wrong('closed what was not open')
      }
      if (type === 'REOPENED') {
        reopened += 1
        if (!wasClosed || isClosed(event)) wrong('opened again what was not closed')
      }
      if (type === 'UPDATED' && (fields.length === 0 || wasClosed !== isClosed(event))) {
        wrong('updated without a change')
      }
      if (event.reopen_count !== reopened) wrong('counts its returns wrongly')
      if (before !== null && Number(event.first_seen) > Number(before.first_seen)) {
        wrong('forgets when it was first seen')
      }
      before = event
    }
  }
}

/** When each entity was there, by what its events are compared by. */
export type Presence = ReadonlyMap<string, readonly Interval[]>

const findingPlace = (asset: string, vuln: string, type: string | null, name: string): string =>
  JSON.stringify([asset, vuln, type ?? '', name])

/** Of the streams that are on. */
export function presenceOf(history: History, isOn: (of: OfStream) => boolean): Presence {
  const presence = new Map<string, readonly Interval[]>()
  for (const { product, tenant, stream, nativeId, intervals } of history.assets) {
    if (isOn({ tenant, stream })) presence.set(uidOf(product, tenant, nativeId), intervals)
  }
  for (const f of history.findings) {
    if (!isOn(f)) continue
    const asset = uidOf(f.product, f.tenant, f.assetNativeId)
    presence.set(findingPlace(asset, f.vulnId, f.packageType, f.packageName), f.intervals)
  }
  return presence
}

export type OfStream = { readonly tenant: string; readonly stream: string }

const placeOf = (event: Event): string =>
  'finding_uid' in event
    ? findingPlace(
        event.asset_uid,
        event.vuln_id,
        event.package?.type ?? null,
        event.package?.name ?? '',
      )
    : event.asset_uid

const wasThere = (intervals: readonly Interval[], fromMs: number, toMs: number): boolean =>
  intervals.some((one) => one.fromMs <= toMs && (one.toMs === null || one.toMs >= fromMs))

/** True when there is a moment of the time in no interval. */
function wasAbsent(intervals: readonly Interval[], fromMs: number, toMs: number): boolean {
  return !intervals.some((one) => one.fromMs <= fromMs && (one.toMs === null || one.toMs > toMs))
}

/** Nothing is opened that was not there, nothing closed that was there all the time. */
export function checkJustified(
  got: ReadonlyMap<string, readonly Event[]>,
  presence: Presence,
  problems: Problems,
): void {
  for (const [key, events] of got) {
    const [first] = events
    // What a vendor lists as closed at its first sight was open for nobody, and opens nothing.
    if (first === undefined || events.every(isClosed)) continue
    const intervals = presence.get(placeOf(first))
    if (intervals === undefined) {
      problems.add('an entity that never was', `${key} ${placeOf(first)}`)
      continue
    }
    let sinceMs = 0
    for (const event of events) {
      const { change_type: type, observed_at: atMs, revision, run_id, source } = event.meta
      const where = () => `${key} ${type}@${revision} of run ${source.stream} ${run_id}`
      if (isClosed(event)) {
        problems.expect(wasAbsent(intervals, sinceMs, atMs), 'wrongly closed', where)
      } else {
        problems.expect(wasThere(intervals, sinceMs, atMs), 'wrongly opened', where)
      }
      sinceMs = atMs
    }
  }
}

/** The last event of every key against what is there now. */
export function checkFinal(
  assets: ReadonlyMap<string, readonly Event[]>,
  findings: ReadonlyMap<string, readonly Event[]>,
  truth: Pick<Truth, 'assets' | 'findings'>,
  problems: Problems,
): void {
  const openOf = (of: ReadonlyMap<string, readonly Event[]>) =>
    [...of.values()].flatMap((events) => events.at(-1) ?? []).filter((event) => !isClosed(event))
  const wordsOf = (asset: ReturnType<typeof comparedAsset>) => JSON.stringify(asset)
  compareSets(
    'an asset',
    openOf(assets).map((event) => wordsOf(comparedAsset(event as Asset))),
    truth.assets.map((asset) => wordsOf(expectedAsset(asset))),
    problems,
  )
  const openFindings = openOf(findings) as Finding[]
  compareSets(
    'a finding',
    openFindings.map(comparedFinding),
    truth.findings.map(expectedFinding),
    problems,
  )
  for (const { finding_uid, asset_uid, entity_uid, meta } of openFindings) {
    // Code and images of CSPM's vulnerabilities are in none of its listings of assets.
    if (meta.source.product === 'prisma-cspm') continue
    const asset = assets.get(asset_uid)?.at(-1) as Asset | undefined
    const same = asset?.entity_uid === entity_uid
    problems.expect(same, 'a finding is not with its asset', () => finding_uid)
  }
}

function compareSets(
  what: string,
  is: readonly string[],
  must: readonly string[],
  problems: Problems,
): void {
  const [there, wanted] = [new Set(is), new Set(must)]
  for (const one of wanted) problems.expect(there.has(one), `${what} is missing`, () => one)
  for (const one of there) problems.expect(wanted.has(one), `${what} is too many`, () => one)
  const twice = is.length !== there.size
  problems.expect(!twice, `${what} is there twice`, () => `${is.length} of ${there.size}`)
}
