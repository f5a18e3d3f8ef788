// What the scenario of sinks asks of a store, and the words by which stores are compared.
import type { StackAddresses } from '../support/global-setup.ts'

/** Uid to `<revision> <status>`, or the status alone where nothing else is told. */
export type Held = ReadonlyMap<string, string>

/** What the topics have told, read by a stranger when all is quiet. */
export type Told = {
  /** What is there now: the last of each finding and asset whose end was not told. */
  readonly now: Held
  /** The last of each finding and asset, those included whose end was told. */
  readonly ever: Held
  /** As `ever`, in the words of OCSF. */
  readonly ocsf: Held
  /** RAISED or CLEARED by fingerprint, without what the webhook itself has told. */
  readonly conditions: Held
  /** Ids of the events of findings, assets and connector errors. */
  readonly eventIds: { readonly [kind in 'finding' | 'asset' | 'error']: readonly string[] }
  /** All records of the topics of findings and assets, tombstones included. */
  readonly records: number
  /** Events on the JSON topic, as they were written. */
  readonly json: readonly unknown[]
}

export type Found = {
  /** What it must hold. */
  readonly wanted: Held
  readonly got: Held
  /** Sentences, of promises that are the store's own: how often each record is there. */
  readonly problems: readonly string[]
}

/** A store of one seed's own. */
export type SinkStore = {
  /** Its part of `sinks` in the settings; secrets are references to `env`. */
  readonly settings: object
  readonly env: Readonly<Record<string, string>>
  /** The name of its consumer group. */
  readonly name: string
  /** When its sink has ended: what is in it, against what was told. */
  look(told: Told): Promise<Found>
  close(): Promise<void>
}

/** What a store may lean on; topics, files and names are those of this seed. */
export type SinkGround = {
  readonly seed: number
  readonly stack: StackAddresses
  readonly prefix: string
  readonly folder: string
  readonly database: string
  readonly query: (sql: string) => Promise<Record<string, unknown>[]>
}

/** Null: it cannot run on this machine. */
export type OpenSinkStore = (ground: SinkGround) => Promise<SinkStore | null>

/** `what` is there as often as it was told, or so many sentences. */
export function onceEach(what: string, wanted: readonly string[], got: readonly string[]) {
  const [lacking, tooMany] = [new Set(wanted), [] as string[]]
  const known = new Set(wanted)
  for (const id of got) if (!lacking.delete(id)) tooMany.push(known.has(id) ? id : `unknown ${id}`)
  const say = (ids: readonly string[], how: string) =>
    ids.length === 0 ? [] : [`${ids.length} of ${what} ${how}, as ${ids.slice(0, 3).join(', ')}`]
  return [...say([...lacking], 'are missing'), ...say(tooMany, 'are there again')]
}
