// Azure tells a machine, its interfaces and their public addresses apart: here they meet again.
import type { PullContext } from '../../contracts/ports.ts'
import { UNIT_BYTES_MAX } from '../../contracts/topics.ts'
import type { JsonElement } from '../../runtime/json-elements.ts'
import { isObject } from '../../runtime/offset-listing.ts'
import type { PrismaCloudClient } from './client.ts'
import { configEndpoint, configPage, itemOf, memberOf, readConfigItem } from './cspm-config-page.ts'
import { isRefusal } from './cspm-source.ts'
import { type Read, type TokenEnd, pullTokens } from './cspm-token-listing.ts'

export const AZURE_VMS = 'azure-vm-list'
const NICS = 'azure-network-nic-list'
const PUBLIC_IPS = 'azure-network-public-ip-address-list'
/** The searches whose resources are read beside the machines. */
export const AZURE_JOINED: readonly string[] = [NICS, PUBLIC_IPS]
/** Interfaces and addresses held in memory together; what exceeds it is left out and told. */
export const JOIN_BYTES_MAX = 256 * 1024 * 1024
const PAGES_MAX = 10_000
const DEPTH_MAX = 12

export type AzureJoin = {
  /** What is missing from the join; null when it is whole. */
  readonly problem: string | null
  /** What moved while it was read, though little; null when nothing did. */
  readonly drift: string | null
  /** The unit of a machine: its pieces unchanged, side by side. */
  unitOf(element: JsonElement): Read
}

/** Reads all interfaces and public addresses. @throws PipelineError as the pages do */
export async function readAzureJoin(
  client: PrismaCloudClient,
  context: PullContext,
): Promise<AzureJoin> {
  const index = new JoinIndex()
  const problems: string[] = []
  const drifts: string[] = []
  for (const apiName of AZURE_JOINED) {
    const { problem, drift } = await readAll(client, apiName, context, (element) =>
      index.add(apiName, element),
    )
    if (problem !== null) problems.push(`${apiName}: ${problem}`)
    if (drift !== null) drifts.push(`${apiName}: ${drift}`)
  }
  if (index.isFull) problems.push(`interfaces above ${JOIN_BYTES_MAX / 1024 / 1024} MiB`)
  return {
    problem: together(problems),
    drift: together(drifts),
    unitOf: (element) => index.unitOf(element),
  }
}

/** Several texts as one; null for none. */
export const together = (texts: readonly (string | null)[]): string | null =>
  texts.filter((text) => text !== null).join('; ') || null

async function readAll(
  client: PrismaCloudClient,
  apiName: string,
  context: PullContext,
  add: (element: JsonElement) => void,
): Promise<Pick<TokenEnd, 'problem' | 'drift'>> {
  const listing = {
    pagesMax: PAGES_MAX,
    endpoint: configEndpoint,
    page: (token: Parameters<typeof configEndpoint>[0]) =>
      configPage(client, apiName, token, context),
    read: (element: JsonElement): Read => {
      const read = readConfigItem(element)
      if (read.kind === 'unit') add(element)
      // Nothing of it becomes a unit by itself, so that no chunk comes out.
      return { kind: 'left-out', key: read.kind === 'unit' ? read.unit.unit : JSON.stringify(read) }
    },
    checkpoint: () => null,
  }
  const pull = pullTokens(listing, null, context)
  try {
    for (;;) {
      const next = await pull.next()
      if (next.done === true) return next.value
    }
  } catch (error) {
    if (!isRefusal(error)) throw error
    context.report(error)
    return { problem: 'the search is refused', drift: null }
  }
}

type Piece = { readonly id: string; readonly bytes: Buffer; readonly refersTo: readonly string[] }

class JoinIndex {
  readonly #nicsByMachine = new Map<string, Piece[]>()
  readonly #publicIps = new Map<string, Piece>()
  readonly #wantedIps = new Set<string>()
  #bytes = 0
  isFull = false

  add(apiName: string, element: JsonElement): void {
    const data = memberOf(itemOf(element), 'data')
    const id = resourceIdOf(itemOf(element))
    if (apiName === NICS) {
      const machines = idsAt(data, 'virtualMachine')
      const refersTo = idsAt(data, 'publicIPAddress')
      for (const machine of machines) {
        if (!this.#hasRoomFor(element)) return
        const piece = { id, bytes: element.bytes ?? Buffer.alloc(0), refersTo }
        this.#nicsByMachine.set(machine, [...(this.#nicsByMachine.get(machine) ?? []), piece])
        for (const ip of refersTo) this.#wantedIps.add(ip)
      }
    } else if (this.#wantedIps.has(id) && this.#hasRoomFor(element)) {
      this.#publicIps.set(id, { id, bytes: element.bytes ?? Buffer.alloc(0), refersTo: [] })
    }
  }

  #hasRoomFor({ bytes }: JsonElement): boolean {
    const fits = bytes !== null && this.#bytes + bytes.length <= JOIN_BYTES_MAX
    if (fits) this.#bytes += bytes.length
    else this.isFull = true
    return fits
  }

  unitOf(element: JsonElement): Read {
    const read = readConfigItem(element)
    if (read.kind !== 'unit' || read.unit.body === null) return read
    const nics = (this.#nicsByMachine.get(resourceIdOf(itemOf(element))) ?? []).toSorted(byId)
    const ips = [...new Set(nics.flatMap((nic) => nic.refersTo))]
      .flatMap((id) => this.#publicIps.get(id) ?? [])
      .toSorted(byId)
    const body = sideBySide(read.unit.body, nics, ips)
    const isTooLarge = body.length > UNIT_BYTES_MAX
    const unit = { ...read.unit, body: isTooLarge ? null : body, sizeBytes: body.length }
    return { kind: 'unit', unit }
  }
}

const byId = (a: Piece, b: Piece): number => (a.id < b.id ? -1 : 1)

const SOURCES = JSON.stringify({ vm: AZURE_VMS, nics: NICS, public_ips: PUBLIC_IPS })

/** `{"sources":{…},"vm":…,"nics":[…],"public_ips":[…]}` out of the very bytes received. */
function sideBySide(vm: Buffer, nics: readonly Piece[], ips: readonly Piece[]): Buffer {
  const list = (pieces: readonly Piece[]): Buffer[] =>
    pieces.flatMap(({ bytes }, i) => (i === 0 ? [bytes] : [Buffer.from(','), bytes]))
  return Buffer.concat([
    Buffer.from(`{"sources":${SOURCES},"vm":`),
    vm,
    Buffer.from(',"nics":['),
    ...list(nics),
    Buffer.from('],"public_ips":['),
    ...list(ips),
    Buffer.from(']}'),
  ])
}

/** Azure's own id in lower case; CSPM may put the machine's vmId in front of it. */
function resourceIdOf(item: Readonly<Record<string, unknown>>): string {
  const ids = [memberOf(item['data'], 'id'), item['id']]
  const id = ids
    .filter((text) => typeof text === 'string')
    .find((text) => /\/subscriptions\//i.test(text))
  return (id ?? '').replace(/^.*?(?=\/subscriptions\/)/i, '').toLowerCase()
}

/**
 * Ids of what `name` refers to, lower-case, wherever it stands: keys come nested, or flattened as
 * `['properties.virtualMachine']`.
 */
function idsAt(value: unknown, name: string, depth = 0): string[] {
  if (depth > DEPTH_MAX) return []
  if (Array.isArray(value)) return value.flatMap((one) => idsAt(one, name, depth + 1))
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([key, inner]) => {
    const last = key
      .replaceAll(/[[\]']/g, '')
      .split('.')
      .at(-1)
    const id = last === name ? memberOf(inner, 'id') : undefined
    return typeof id === 'string' ? [id.toLowerCase()] : idsAt(inner, name, depth + 1)
  })
}
