// What is seen of the estate from the internet: its machines, names, certificates and services.
import type { Exposure, Machine, TenantSlot } from './estate.ts'
import { createRandom } from './random.ts'

export type Facing = {
  /** `CLOUD_COMPUTE_INSTANCE`, `ON_PREM`, `DOMAIN` or `CERTIFICATE`. */
  readonly type: 'CLOUD_COMPUTE_INSTANCE' | 'ON_PREM' | 'DOMAIN' | 'CERTIFICATE'
  readonly id: string
  readonly name: string
  /** Whose it is; null: nobody's alone. */
  readonly machine: Machine | null
}

export type Service = {
  readonly id: string
  readonly machine: Machine
  readonly ip: string
  readonly name: string
  readonly type: string
  readonly port: number
  readonly isActive: boolean
  /** One per weakness; closed ones too. */
  readonly exposures: readonly Exposure[]
}

const SERVICE_WEAKNESSES_MAX = 8

/** A version 3 UUID as the vendor's are, out of names alone. */
function idOf(...parts: readonly (string | number)[]): string {
  const hex = createRandom(`xpanse/${parts.join('/')}`).hex(32)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `3${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}

/** Machines with an address of their own, agents behind the gateway, names and certificates. */
export function facingOf(machines: readonly Machine[], tenant: TenantSlot): readonly Facing[] {
  const own = machines.filter((m) => m.tenant === tenant)
  const facing = own.flatMap((machine): Facing[] => {
    const { serial, hostname } = machine
    if (machine.cloud === null) {
      if (!machine.hasAgent) return []
      return [{ type: 'ON_PREM', id: idOf('on-prem', serial), name: hostname, machine }]
    }
    if (machine.publicIp === null) return []
    const name = `${hostname}.${machine.domain}`
    const instance = { type: 'CLOUD_COMPUTE_INSTANCE', id: idOf('instance', serial), name } as const
    const domain = { type: 'DOMAIN', id: idOf('domain', serial), name } as const
    return [{ ...instance, machine }, ...(serial % 3 === 0 ? [{ ...domain, machine }] : [])]
  })
  if (facing.length === 0) return facing
  const id = idOf('certificate', tenant)
  const name = `*.${tenant === 0 ? 'alpha' : 'beta'}.example`
  return [...facing, { type: 'CERTIFICATE', id, name, machine: null }]
}

/** Remote access on every machine with an address, a web server on every other one. */
export function servicesOf(machines: readonly Machine[], tenant: TenantSlot): readonly Service[] {
  return machines.flatMap((machine) => {
    const ip = machine.publicIp
    if (machine.tenant !== tenant || ip === null) return []
    const isWindows = machine.system.family === 'WINDOWS'
    const remote = isWindows
      ? { type: 'RdpServer', label: 'RDP Server', port: 3389 }
      : { type: 'SshServer', label: 'SSH Server', port: 22 }
    const web = { type: 'HttpServer', label: 'HTTP Server', port: 443 }
    const kinds = machine.serial % 2 === 0 ? [remote] : [remote, web]
    const known = oneEach(machine.exposures.filter((e) => e.inCortex))
    return kinds.map(({ type, label, port }, n): Service => ({
      id: idOf('service', machine.serial, port),
      machine,
      ip,
      name: `${label} at ${ip}:${port}`,
      type,
      port,
      // What was seen once and is no more stays listed.
      isActive: machine.serial % 7 !== 3 || n > 0,
      exposures: known
        .filter((_, place) => place % kinds.length === n)
        .slice(0, SERVICE_WEAKNESSES_MAX),
    }))
  })
}

/** A weakness that shows on several packages is one on the wire. */
const oneEach = (exposures: readonly Exposure[]): Exposure[] => [
  ...new Map(exposures.toReversed().map((e) => [e.weakness.id, e])).values(),
]
