// What a reader of OCSF events makes of a log of them: the last state of each entity.
import type { HeldEntity } from './sink-worlds/sink-world.ts'

/** An event as it came over the wire. */
export type OcsfDocument = {
  readonly class_uid: number
  readonly status_id?: number
  readonly status_detail?: string
  readonly finding_info?: { readonly uid: string }
  readonly device?: { readonly uid: string }
  /** Of an asset: its place in the cloud, and beside it our own uid. */
  readonly resources?: readonly { readonly uid_alt: string }[]
  readonly unmapped: { readonly revision: number }
  readonly [name: string]: unknown
}

/** OCSF says New of what is open for the first time and of what is open again. */
export const OCSF_WORDS: Readonly<Record<string, string>> = { REOPENED: 'OPEN' }
const STATUSES: Readonly<Record<number, string>> = { 1: 'OPEN', 3: 'SUPPRESSED', 4: 'RESOLVED' }

/** Of an event of a finding or an asset. */
export function heldOfOcsf(document: OcsfDocument): HeldEntity {
  const { finding_info: info, status_id: id = 0, status_detail: detail = '' } = document
  const { device, resources, unmapped } = document
  const { revision } = unmapped
  if (info !== undefined) {
    return { kind: 'finding', uid: info.uid, revision, status: STATUSES[id] ?? 'UNKNOWN' }
  }
  const uid = device?.uid ?? resources?.[0]?.uid_alt ?? ''
  return { kind: 'asset', uid, revision, status: detail }
}

/** The last revision of each entity, whatever order they came in and how often. */
export function latestOf(documents: readonly OcsfDocument[]): OcsfDocument[] {
  const latest = new Map<string, OcsfDocument>()
  for (const one of documents) {
    const { uid } = heldOfOcsf(one)
    const known = latest.get(uid)?.unmapped.revision ?? -1
    if (known < one.unmapped.revision) latest.set(uid, one)
  }
  return [...latest.values()]
}
