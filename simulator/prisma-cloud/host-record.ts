// A Compute host record: the machine and its weaknesses in one, as GET /hosts shows it.
import type { CloudPlace, Machine } from '../estate.ts'
import type { Value } from '../rows.ts'
import { NEVER, type ScanView, iso, scanRecord } from './scan-record.ts'

/** The record of `machine`. */
export function hostRecord(machine: Machine, view: ScanView): Value {
  const isWindows = machine.system.family === 'WINDOWS'
  const scan = scanRecord(machine, view)
  return {
    _id: machine.hostname,
    type: 'host',
    ...scan,
    ...(machine.publicIp === null ? {} : { riskFactors: reachable(scan['riskFactors']) }),
    hostname: machine.hostname,
    scanTime: iso(machine.lastSeenMs),
    ...(isWindows ? {} : { hostDevices: [{ name: 'eth0', ip: machine.privateIp }] }),
    firstScanTime: machine.serial % 4 === 3 ? NEVER : iso(machine.firstSeenMs),
    cloudMetadata: cloudMetadata(machine, machine.cloud),
  }
}

/** The risk factors of a machine that the internet reaches. */
const reachable = (factors: unknown): Value => ({
  ...(factors as Value | null),
  'Reachable from the internet': {},
})

function cloudMetadata(machine: Machine, cloud: CloudPlace | null): Value {
  // Both forms of "not in a cloud that was onboarded" occur.
  if (cloud === null) {
    return machine.serial % 2 === 0 ? {} : { accountID: 'Non-onboarded cloud accounts' }
  }
  const labels = Object.entries(machine.tags).map(([key, value]) => ({
    key,
    value,
    sourceType: 'cloud',
    sourceName: cloud.provider,
    timestamp: iso(machine.firstSeenMs),
  }))
  const common = {
    provider: cloud.provider,
    type: cloud.instanceType,
    region: cloud.region,
    accountID: cloud.accountId,
    image: cloud.imageId,
    labels,
  }
  if (cloud.provider !== 'azure') return { resourceID: cloud.instanceId, ...common }
  return {
    resourceID: machine.hostname,
    vmID: cloud.instanceId,
    ...common,
    azure: { resourceGroup: 'rg-main' },
  }
}
