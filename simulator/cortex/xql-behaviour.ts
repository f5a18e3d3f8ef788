// What differs between tenants in telling weaknesses, and what a tenant's truth is then.
import type { Estate, Exposure, Machine, TenantSlot } from '../estate.ts'
import { factsOf } from '../truth-facts.ts'
import type { TrueFinding } from '../truth.ts'
import { incidentsOf } from './incidents.ts'
import { type IssueDialect, isIssueExcluded, isRaised } from './issues.ts'
import { type DatasetName, cvesOf, isExcluded } from './xql-rows.ts'

export type FindingsBehaviour = {
  /** Datasets of weaknesses that the tenant has. */
  readonly datasets: readonly DatasetName[]
  /** Compute units a day. A query costs 0.0016. */
  readonly quotaUnits: number
  /** How every query ends. */
  readonly ending: 'SUCCESS' | 'PARTIAL_SUCCESS' | 'FAIL'
  readonly issues: IssueDialect
  /** Incidents that the key may not see. */
  readonly restrictedIncidents: number
}

export const FINDINGS_BEHAVIOUR: FindingsBehaviour = {
  datasets: ['findings', 'va_endpoints', 'va_cves'],
  quotaUnits: 5,
  ending: 'SUCCESS',
  issues: 'live',
  restrictedIncidents: 0,
}

/** Of each tenant. */
export type FindingsBehaviours = readonly [FindingsBehaviour, FindingsBehaviour]

/** Open findings of both tenants, by the streams that a connection reads when nothing is set. */
export function cortexFindingsTruth(
  estate: Estate,
  tenants: readonly [string, string],
  behaviours: FindingsBehaviours,
): TrueFinding[] {
  return ([0, 1] as const).flatMap((slot) => {
    const { datasets, issues } = behaviours[slot]
    const machines = estate.machines.filter((m) => m.tenant === slot)
    const tenant = tenants[slot]
    const found: TrueFinding[] = []
    if (datasets.includes('findings') || datasets.includes('uvm_findings')) {
      found.push(...machines.flatMap((m) => cloudTruth(m, tenant)))
    } else if (datasets.includes('va_endpoints')) {
      found.push(...machines.flatMap((m) => endpointTruth(m, tenant)))
    } else if (issues !== 'absent') {
      found.push(...machines.flatMap((m) => cloudTruth(m, tenant).flatMap(asIssue)))
    }
    if (issues === 'absent') found.push(...incidentTruth(estate, slot, tenant))
    return found
  })
}

/** What a policy raised is in cloud.issues too. */
function cloudTruth(machine: Machine, tenant: string): TrueFinding[] {
  if (!machine.inInventory) return []
  return machine.exposures
    .filter((e) => e.open && e.inCortex)
    .map((e) => ({
      product: 'cortex-cloud',
      tenant,
      stream: 'cloud.findings',
      ...(isRaised(machine, e) && !isIssueExcluded(machine, e) ? { alsoIn: ['cloud.issues'] } : {}),
      assetNativeId: machine.cloudAssetId,
      ...factsOf(machine, e),
    }))
}

/** Where issues are all that is read. */
function asIssue(finding: TrueFinding): TrueFinding[] {
  const { alsoIn, ...rest } = finding
  return alsoIn === undefined ? [] : [{ ...rest, stream: 'cloud.issues' }]
}

const NO_PACKAGE = { packageType: null, packageName: '', versions: [], fixVersions: [] } as const

function endpointTruth(machine: Machine, tenant: string): TrueFinding[] {
  if (!machine.hasAgent) return []
  const listed = new Set(cvesOf(machine, false).filter((id) => !isExcluded(id)))
  return weaknessesOf(machine.exposures)
    .filter(({ id }) => listed.has(id))
    .map(({ id, severityId, cvss }) => ({
      product: 'cortex-xdr',
      tenant,
      stream: 'xdr.findings',
      assetNativeId: machine.endpointId,
      vulnId: id,
      ...NO_PACKAGE,
      severityId,
      cvss,
    }))
}

const weaknessesOf = (exposures: readonly Exposure[]) => [
  ...new Map(exposures.map(({ weakness }) => [weakness.id, weakness])).values(),
]

function incidentTruth(estate: Estate, slot: TenantSlot, tenant: string): TrueFinding[] {
  return incidentsOf(estate.machines, slot)
    .filter(({ status }) => !status.startsWith('resolved'))
    .flatMap(({ machine, cves }) => {
      const common = {
        product: 'cortex-xdr',
        tenant,
        stream: 'xdr.incidents',
        assetNativeId: machine.endpointId,
        ...NO_PACKAGE,
      } as const
      if (cves.length === 0) {
        const vulnId = `INCIDENT-${1_000 + machine.serial}`
        return [{ ...common, vulnId, severityId: 3, cvss: null }]
      }
      // Details say no word: where the score is missing too, nothing tells the severity.
      return cves.map(({ id, severityId, cvss }) => ({
        ...common,
        vulnId: id,
        severityId: cvss === null ? 0 : severityId,
        cvss,
      }))
    })
}
