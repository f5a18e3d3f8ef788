// Stream xdr.incidents: for older tenants, which have no issues. Those of the attack surface are
// asked for their CVEs one by one.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { PullContext, PullEnd } from '../../contracts/ports.ts'
import type { ProbedSource } from '../../runtime/connector.ts'
import { FailedItems, detailsOf, isOfOneItem } from '../../runtime/http-details.ts'
import type { PageElement } from '../../runtime/http-elements.ts'
import { countOf, memberAt } from '../../runtime/json-members.ts'
import {
  type ItemIds,
  type OffsetPageEnd,
  isObject,
  offsetCheckpoint,
  pullByOffset,
} from '../../runtime/offset-listing.ts'
import { hasIssues } from './cloud-issues.ts'
import type { CortexClient } from './client.ts'
import { type Probe, tryProbe } from './licence.ts'
import { type WindowPageEnd, firstAt, windowPage } from './window-page.ts'

export const INCIDENTS_PATH = '/public_api/v1/incidents/get_incidents/'
const INCIDENTS_AT = ['reply', 'incidents'] as const
const EXTRA_PATH = '/public_api/v1/incidents/get_incident_extra_data/'
const PAGE_SIZE = 100
const PAGES_MAX = 10_000
const HOSTS_PER_INCIDENT_MAX = 1_000
/** The CVEs stand in the incident; its alerts are not needed. */
const ALERTS_MAX = 1

const incidentsCheckpoint = offsetCheckpoint.extend({
  /** Incidents that the key may not see, so far. */
  restricted: z.int().min(0),
  /** Incidents whose details could not be read, so far. */
  lacking: z.int().min(0).default(0),
})
type IncidentsCheckpoint = z.infer<typeof incidentsCheckpoint>

/** `request_data` of the window. The id never changes, and no two incidents share it. */
export const incidentsWindow = (from: number, to: number): Readonly<Record<string, unknown>> => ({
  search_from: from,
  search_to: to,
  sort: { field: 'incident_id', keyword: 'asc' },
})

/**
 * One unit per incident and host, `{"incident":<element>,"extra":<answer or null>}`; without
 * `extra` where the details could not be read, and nobody knows what they say.
 * `total_count` need not match the rows, so that only a short page ends the listing; yet where it
 * says more than was listed, something is missing.
 */
export const xdrIncidents: ProbedSource<CortexClient, IncidentsCheckpoint> = {
  vendor: 'cortex',
  product: 'cortex-xdr',
  stream: 'xdr.incidents',
  kind: 'SNAPSHOT',
  entities: 'findings',
  checkpoint: incidentsCheckpoint,
  fallback: true,
  async available(client, context) {
    return (await hasIssues(client, context)) ? notNeeded() : null
  },
  probe: async (client, ask) => {
    const tried = (probe: Probe) => tryProbe(client, 'xdr.incidents', [], probe)
    const listed = await ask(null, async () => {
      if (await hasIssues(client, new AbortController())) throw notNeeded()
      return tried({ path: INCIDENTS_PATH, data: incidentsWindow(0, 1) })
    })
    const id = textOf(memberAt(firstAt(listed, INCIDENTS_AT), ['incident_id']))
    if (id === null) return
    await ask('details', () => tried({ path: EXTRA_PATH, data: extraData(id) }))
  },
  async *pull(client, from, context) {
    const told: Told = {
      restrictedBefore: from?.restricted ?? 0,
      restricted: new Set(),
      namesKnown: false,
      detailed: new Set(),
      lacking: from?.lacking ?? 0,
      failed: new FailedItems(context),
    }
    const listing = {
      endpoint: INCIDENTS_PATH,
      pageSize: PAGE_SIZE,
      pagesMax: PAGES_MAX,
      page: (offset: number) => incidentsPage(client, offset, told, context),
      joinsUnseen: () => told.namesKnown,
      identify,
    }
    const chunks = pullByOffset(listing, from, context)
    for (;;) {
      const next = await chunks.next()
      if (next.done === true) return endOf(next.value, told)
      const { checkpoint } = next.value
      yield {
        ...next.value,
        checkpoint: checkpoint && {
          ...checkpoint,
          restricted: restrictedOf(told),
          lacking: told.lacking,
        },
      }
    }
  },
}

function notNeeded(): PipelineError {
  const message = 'incidents are read only where the tenant has no issues'
  const remediation = 'Nothing to do: this tenant has the newer findings and issues.'
  return new PipelineError('NOT_LICENSED', 'FETCH', message, { remediation })
}

/** What the pages of a run have told beside their rows. */
type Told = {
  readonly restrictedBefore: number
  /** Ids of incidents that the key may not see. */
  readonly restricted: Set<string>
  /** The page at hand names one of them that a page before has named. */
  namesKnown: boolean
  /** Units whose details were asked for and taken. */
  readonly detailed: Set<string>
  lacking: number
  readonly failed: FailedItems
}
const restrictedOf = ({ restrictedBefore, restricted }: Told): number =>
  Math.max(restrictedBefore, restricted.size)

/** What the key may not see, or the vendor cannot tell, is missing: it must not look like gone. */
function endOf(end: PullEnd, told: Told): PullEnd {
  const restricted = restrictedOf(told)
  const reasons = [
    ...(restricted === 0
      ? []
      : [`${restricted} incidents are restricted: the key's role does not see them`]),
    ...(told.lacking === 0 ? [] : [`the details of ${told.lacking} incidents cannot be read`]),
  ]
  if (reasons.length === 0) return end
  const reason = [...(end.reason === null ? [] : [end.reason]), ...reasons].join('; ')
  return { ...end, verdict: 'PARTIAL', reason }
}

/** A page is read whole before details are asked for: a call waits for no other call's end. */
async function* incidentsPage(
  client: CortexClient,
  offset: number,
  told: Told,
  context: PullContext,
): AsyncGenerator<PageElement, OffsetPageEnd> {
  const request = {
    path: INCIDENTS_PATH,
    data: incidentsWindow(offset, offset + PAGE_SIZE),
    at: INCIDENTS_AT,
    totalAt: ['reply', 'total_count'],
  }
  let elements: PageElement[] = []
  const page = windowPage(client, request, context)
  for (;;) {
    const next = await page.next()
    if (next.done === true) {
      const end = pageEnd(next.value, told)
      yield* detailed(client, elements, told, context)
      return end
    }
    // A page that broke comes once more, from its start.
    if (next.value.attempt !== elements[0]?.attempt) elements = []
    elements.push(next.value)
  }
}

/** A page is shorter by the incidents that the key may not see: they have their places in it. */
function pageEnd({ count, total, beside, ...end }: WindowPageEnd, told: Told): OffsetPageEnd {
  const given = memberAt(beside, ['reply', 'restricted_incident_ids'])
  const ids = new Set((Array.isArray(given) ? given : []).map(String))
  const fresh = ids.difference(told.restricted)
  told.namesKnown = fresh.size < ids.size
  for (const id of fresh) told.restricted.add(id)
  const shown = Math.max(count, countOf(memberAt(beside, ['reply', 'result_count'])) ?? 0)
  return {
    total: null,
    // Some may name all of them with each page: a page still has no more places than asked for.
    count: Math.min(PAGE_SIZE, shown + ids.size),
    hidden: fresh.size,
    atLeast: (total ?? end.atLeast ?? 0) - restrictedOf(told),
  }
}

/** Those taken already are given as they are: nothing more is taken of them. */
async function* detailed(
  client: CortexClient,
  elements: readonly PageElement[],
  told: Told,
  context: PullContext,
): AsyncGenerator<PageElement, void> {
  const { concurrency } = client.config
  for (let from = 0; from < elements.length; from += concurrency) {
    const group = elements.slice(from, from + concurrency)
    const whole = await Promise.all(group.map((page) => withExtra(client, page, told, context)))
    for (const { page, asked } of whole) {
      yield page
      if (asked !== null) told.detailed.add(asked)
    }
  }
}

type WithExtra = {
  readonly page: PageElement
  /** The unit for which details were asked; null where none are. */
  readonly asked: string | null
}

async function withExtra(
  client: CortexClient,
  page: PageElement,
  told: Told,
  context: PullContext,
): Promise<WithExtra> {
  const { bytes, value } = page.element
  if (bytes === null || !isObject(value)) return { page, asked: null }
  const id = textOf(value['incident_id'])
  const unit = id !== null && isOfAttackSurface(value) ? unitOf(value) : null
  const isWanted = unit !== null && !told.detailed.has(unit)
  const extra = id !== null && isWanted ? await extraOf(client, id, told, context) : NOTHING
  const parts = extra === null ? [BEFORE, bytes, AFTER] : [BEFORE, bytes, BETWEEN, extra, AFTER]
  const body = Buffer.concat(parts)
  const element = { bytes: body, sizeBytes: body.length, head: page.element.head, value }
  return { page: { ...page, element }, asked: unit }
}

/** What the listing knows an incident by; null for one that is rejected. */
function unitOf(item: Readonly<Record<string, unknown>>): string | null {
  const ids = identify(item)
  return typeof ids === 'string' ? null : (ids[0]?.unit ?? null)
}

const BEFORE = Buffer.from('{"incident":')
const BETWEEN = Buffer.from(',"extra":')
const NOTHING = Buffer.from('null')
const AFTER = Buffer.from('}')

const isOfAttackSurface = ({ incident_sources }: Readonly<Record<string, unknown>>): boolean =>
  (Array.isArray(incident_sources) ? incident_sources : [incident_sources]).some((source) =>
    /\basm\b|attack surface|xpanse/i.test(String(source)),
  )

const extraData = (incident_id: string) => ({ incident_id, alerts_limit: ALERTS_MAX })

/** The very bytes of the answer, or of `null` where there are none. Null: nobody knows. */
async function extraOf(
  client: CortexClient,
  incidentId: string,
  told: Told,
  { signal }: PullContext,
): Promise<Buffer | null> {
  if (!told.failed.areTooMany) {
    try {
      const options = { body: { request_data: extraData(incidentId) }, signal }
      const extra = await detailsOf(client.http, EXTRA_PATH, options)
      told.failed.passed()
      return extra
    } catch (error) {
      // It went between the listing and this call.
      if (error instanceof PipelineError && error.details.http?.status === 404) return NOTHING
      if (!isOfOneItem(error)) throw error
      told.failed.add(error)
    }
  }
  told.lacking += 1
  return null
}

const textOf = (value: unknown): string | null => {
  if (typeof value === 'string' && value !== '') return value
  return countOf(value) === null ? null : String(value)
}

/**
 * Hosts come as `name:agent id`, with `null` where there is no agent. An agent's id is that of its
 * endpoint.
 */
function identify(item: Readonly<Record<string, unknown>>): readonly ItemIds[] | string {
  const id = textOf(item['incident_id'])
  if (id === null) return 'incident_id: must be a text or a number'
  const hosts: unknown[] = Array.isArray(item['hosts']) ? item['hosts'] : []
  const natives = new Set(
    hosts.map(textOf).flatMap((host) => (host === null ? [] : nativeOf(host))),
  )
  if (natives.size > HOSTS_PER_INCIDENT_MAX) return `hosts: more than ${HOSTS_PER_INCIDENT_MAX}`
  if (natives.size === 0) return [{ unit: id, assetNativeId: `incident|${id}` }]
  return [...natives].map((native) => ({ unit: `${id}|${native}`, assetNativeId: native }))
}

function nativeOf(host: string): string {
  const colon = host.lastIndexOf(':')
  const agent = host.slice(colon + 1)
  if (colon === -1) return `host|${host}`
  return agent === '' || agent === 'null' ? `host|${host.slice(0, colon)}` : agent
}
