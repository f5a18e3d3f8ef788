// What is true of the estate as seen from the internet, and of the dictionary of its weaknesses.
import { inDictionary } from './cortex/uvem.ts'
import { type Estate, type TenantSlot, gatewayIp } from './estate.ts'
import { cloudEntity } from './truth-facts.ts'
import type { Tenants, TrueAsset, TrueFinding } from './truth.ts'
import { type Facing, type Service, facingOf, servicesOf } from './xpanse-estate.ts'

/** One entry of the dictionary; it has no tenant. */
export type TrueVulnerability = {
  readonly product: 'cortex-cloud'
  readonly stream: 'cloud.vulnerabilities'
  readonly vulnId: string
  readonly severityId: number
  /** Null: not scored. */
  readonly cvss: number | null
  readonly epss: number
  readonly isExploited: boolean
}

const PRODUCT = 'cortex-xpanse'
const SLOTS: readonly TenantSlot[] = [0, 1]

/** Exposed assets, services and open weaknesses of services, of both tenants. */
export function xpanseTruth(
  estate: Estate,
  tenants: Tenants,
): { readonly assets: readonly TrueAsset[]; readonly findings: readonly TrueFinding[] } {
  const assets: TrueAsset[] = []
  const findings: TrueFinding[] = []
  for (const slot of SLOTS) {
    const tenant = tenants.cortex[slot]
    const services = servicesOf(estate.machines, slot)
    assets.push(...facingOf(estate.machines, slot).map((one) => facingAsset(one, slot, tenant)))
    assets.push(...services.map((service) => serviceAsset(service, tenant)))
    findings.push(...services.flatMap((service) => serviceFindings(service, tenant)))
  }
  return { assets, findings }
}

/** All weaknesses that have a CVE, whether anything has them or not. */
export const dictionaryTruth = (estate: Estate): readonly TrueVulnerability[] =>
  estate.catalogue.filter(inDictionary).map((weakness) => ({
    product: 'cortex-cloud',
    stream: 'cloud.vulnerabilities',
    vulnId: weakness.id,
    severityId: weakness.severityId,
    cvss: weakness.cvss,
    epss: estate.epss.get(weakness.id) ?? weakness.epss,
    isExploited: weakness.exploit === 'in-the-wild',
  }))

const NOWHERE = { provider: null, region: null, accountId: null, osFamily: null, privateIps: [] }

function facingAsset(facing: Facing, slot: TenantSlot, tenant: string): TrueAsset {
  const { id: nativeId, name, type, machine } = facing
  const base = { product: PRODUCT, tenant, stream: 'xpanse.assets', nativeId, name } as const
  if (machine === null || type === 'DOMAIN' || type === 'CERTIFICATE') {
    return { ...base, ...NOWHERE, entity: { type: null, value: null }, publicIps: [] }
  }
  const { cloud } = machine
  return {
    ...base,
    ...NOWHERE,
    entity:
      cloud === null
        ? { type: 'agent_id', value: `cortex:${machine.endpointId}` }
        : cloudEntity(machine),
    provider: cloud?.provider ?? null,
    region: cloud?.region ?? null,
    accountId: cloud?.accountId ?? null,
    osFamily: machine.system.family,
    publicIps: [machine.publicIp ?? gatewayIp(slot)],
  }
}

const serviceAsset = (service: Service, tenant: string): TrueAsset => ({
  ...NOWHERE,
  product: PRODUCT,
  tenant,
  stream: 'xpanse.services',
  nativeId: service.id,
  name: service.name,
  entity: { type: null, value: null },
  provider: service.machine.cloud?.provider ?? null,
  publicIps: [service.ip],
})

const serviceFindings = (service: Service, tenant: string): TrueFinding[] =>
  service.exposures
    .filter((exposure) => exposure.open)
    .map(({ weakness, packageName, versions }) => ({
      product: PRODUCT,
      tenant,
      stream: 'xpanse.services',
      assetNativeId: service.id,
      vulnId: weakness.id,
      // The version is inferred from outside, whatever it was installed by.
      packageType: null,
      packageName,
      versions: versions.slice(0, 1),
      severityId: weakness.severityId,
      fixVersions: [],
      cvss: weakness.cvss,
    }))
