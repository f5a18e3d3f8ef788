// Incidents of older tenants, and their details one by one, which alone name CVEs.
import { z } from 'zod'
import { type Answer, json } from '../delivery.ts'
import type { Exposure, Machine, TenantSlot } from '../estate.ts'
import { ROWS_HERE, type Row, type Value, jsonAround, pageRows, rowOf, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import { invalidJson, notFound, waitress } from './answers.ts'
import { requestData, sortRows, standardTest, windowOf } from './request.ts'

const SPAN_MAX = 100
const CVES_MAX = 5
const SEVERITY_MIN = 4
const HOUR_MS = 3_600_000
const FILTERS = {
  creation_time: 'creation_time',
  modification_time: 'modification_time',
  incident_id_list: 'incident_id',
}
const sortSchema = z
  .object({
    field: z.enum(['creation_time', 'modification_time', 'incident_id']),
    keyword: z.enum(['asc', 'desc']),
  })
  .optional()

export type Incident = {
  readonly machine: Machine
  /** Those of the attack surface name CVEs; others none. */
  readonly cves: readonly Exposure['weakness'][]
  readonly status: string
}

/**
 * One per machine with an agent: of the attack surface where it faces the internet and has high or
 * critical weaknesses, else of an agent, for every third.
 */
export function incidentsOf(machines: readonly Machine[], tenant: TenantSlot): Incident[] {
  return machines
    .filter((m) => m.tenant === tenant && m.hasAgent)
    .flatMap((machine): Incident[] => {
      const severe = machine.exposures.filter(
        (e) => e.open && e.inCortex && e.weakness.severityId >= SEVERITY_MIN,
      )
      const weaknesses = new Map(severe.map(({ weakness }) => [weakness.id, weakness]))
      const cves = machine.publicIp === null ? [] : [...weaknesses.values()].slice(0, CVES_MAX)
      if (cves.length === 0 && machine.serial % 3 !== 0) return []
      return [{ machine, cves, status: STATUSES[machine.serial % STATUSES.length] ?? 'new' }]
    })
}
/** The last is in no document, and occurs. */
const STATUSES = ['new', 'under_investigation', 'new', 'resolved_known_issue', 'resolved_other']

/** One page; `restricted` incidents are named, not shown. */
export function getIncidents(
  world: World,
  tenant: TenantSlot,
  restricted: number,
  call: Call,
): Answer {
  const request = requestData(call.body, false)
  if (request === null) return waitress()
  if ('invalid' in request) return invalidJson(request.invalid)
  const { data } = request
  const window = windowOf(data, SPAN_MAX)
  const test = standardTest(data['filters'], FILTERS)
  const sort = sortSchema.safeParse(data['sort'])
  if (window === null || test === null || !sort.success) return waitress()
  const shown = shownRows(incidentRows(world, tenant), call.fault)
  const visible = shown.rows.slice(restricted).filter((row) => test(row.value()))
  const { field, keyword } = sort.data ?? { field: 'modification_time', keyword: 'desc' }
  const slice = sortRows(visible, field, keyword === 'desc').slice(window.from, window.to)
  const page = pageRows(slice, call.fault)
  const reply = {
    // Counts those that are not shown as well.
    total_count: shown.declared,
    result_count: page.length,
    incidents: ROWS_HERE,
    restricted_incident_ids: shown.rows.slice(0, restricted).map((row) => row.id),
  }
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround({ reply }, page),
  }
}

const extraSchema = z.looseObject({ incident_id: z.string().min(1) })

/** One incident with what explains its risk. */
export function getIncidentExtraData(world: World, tenant: TenantSlot, call: Call): Answer {
  const request = requestData(call.body, false)
  if (request === null) return waitress()
  if ('invalid' in request) return invalidJson(request.invalid)
  const given = extraSchema.safeParse(request.data)
  if (!given.success) return waitress()
  const { machines } = world.estate()
  const found = incidentsOf(machines, tenant).find(
    ({ machine }) => idOf(machine) === given.data.incident_id,
  )
  if (found === undefined) return notFound('Incident id does not exist')
  const incident = { ...incidentRecord(found), ...explained(found) }
  const alerts = { total_count: found.cves.length, data: [] }
  return json(200, { reply: { incident, alerts } })
}

function explained({ cves }: Incident): Value {
  if (cves.length === 0) return {}
  return {
    xpanse_risk_score: 825,
    xpanse_risk_explainer: {
      cves: cves.map((weakness) => ({
        cveId: weakness.id,
        // As 32-bit numbers come out of JSON.
        cvssScore: weakness.cvss === null ? null : Math.fround(weakness.cvss),
        epssScore: Math.fround(weakness.epss),
        matchType: 'ExactVersionMatch',
        confidence: 'High',
        exploitMaturity: weakness.exploit === 'none' ? 'No Known Exploit' : 'Poc',
        reportedExploitInTheWild: weakness.exploit === 'in-the-wild',
        mostRecentReportedExploitDate: null,
      })),
      riskFactors: [],
      versionMatched: true,
    },
  }
}

function incidentRows(world: World, tenant: TenantSlot): readonly Row[] {
  const fromFile = world.files.get('xdr.incidents')
  if (fromFile !== undefined) return fromFile
  return incidentsOf(world.estate().machines, tenant).map((incident) =>
    rowOf(idOf(incident.machine), () => incidentRecord(incident)),
  )
}

const idOf = ({ serial }: Machine): string => String(1_000 + serial)

function incidentRecord({ machine, cves, status }: Incident): Value {
  const { serial, hostname, endpointId, firstSeenMs, lastSeenMs } = machine
  const isOfAttackSurface = cves.length > 0
  const isResolved = status.startsWith('resolved')
  return {
    incident_id: idOf(machine),
    incident_name: null,
    // Several within the same millisecond.
    creation_time: firstSeenMs - (firstSeenMs % HOUR_MS),
    modification_time: lastSeenMs,
    detection_time: null,
    status,
    severity: isOfAttackSurface ? 'high' : 'medium',
    description: isOfAttackSurface
      ? `'Insecure service at ${machine.publicIp}:443' along with 1 other alerts`
      : `'Large Upload (Generic)' generated by XDR Analytics detected on host ${hostname}`,
    assigned_user_mail: null,
    assigned_user_pretty_name: null,
    alert_count: 2,
    low_severity_alert_count: 0,
    med_severity_alert_count: 1,
    high_severity_alert_count: isOfAttackSurface ? 1 : 0,
    critical_severity_alert_count: 0,
    user_count: 0,
    host_count: 1,
    notes: null,
    resolve_comment: null,
    resolved_timestamp: isResolved ? lastSeenMs : null,
    manual_severity: null,
    manual_description: null,
    xdr_url: `https://sim.example/incident-view?caseId=${idOf(machine)}`,
    starred: serial % 2 === 0,
    hosts: [`${hostname}:${endpointId}`],
    users: [],
    incident_sources: [isOfAttackSurface ? 'ASM' : 'XDR Analytics'],
    rule_based_score: isOfAttackSurface ? 825 : null,
    manual_score: null,
    aggregated_score: isOfAttackSurface ? 825 : 40,
    wildfire_hits: 0,
    alerts_grouping_status: 'Enabled',
    mitre_tactics_ids_and_names: [],
    mitre_techniques_ids_and_names: [],
    alert_categories: null,
    original_tags: [],
    tags: [],
  }
}
