// Xpanse: internet exposure and external services, listed by token, and the details of services.
import { z } from 'zod'
import { type Answer } from '../delivery.ts'
import type { TenantSlot } from '../estate.ts'
import { ROWS_HERE, type Row, jsonAround, pageRows, rowOf, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import { facingOf, servicesOf } from '../xpanse-estate.ts'
import { invalidJson, waitress } from './answers.ts'
import { requestData } from './request.ts'
import type { TenantBehaviour } from './tenant.ts'
import type { TokenPager } from './tokens.ts'
import { detailsRecord, facingRecord, serviceRecord } from './xpanse-records.ts'

export type Xpanse = {
  readonly assets: (call: Call) => Answer
  readonly services: (call: Call) => Answer
  readonly serviceDetails: (call: Call) => Answer
}

const DETAILS_IDS_MAX = 20
const detailsSchema = z.object({
  service_id_list: z.array(z.string()).min(1).max(DETAILS_IDS_MAX),
})
const EXPOSURE_FILTERS = {
  business_units: 'business_units',
  externally_detected_providers: 'externally_detected_providers',
  name: 'name',
  ip_address: 'ips',
  has_xdr_agent: 'has_xdr_agent',
  type: 'asset_type',
}
const SERVICE_FILTERS = {
  is_active: 'is_active',
  service_name: 'service_name',
  service_type: 'service_type',
  protocol: 'protocol',
  ip_address: 'ip_address',
}

/** The part of one tenant. */
export function createXpanse(
  world: World,
  tenant: TenantSlot,
  { xpanseDialect }: Pick<TenantBehaviour, 'xpanseDialect'>,
  pager: TokenPager,
): Xpanse {
  const machines = () => world.estate().machines
  const facing = () =>
    world.files.get('xpanse.assets') ??
    facingOf(machines(), tenant).map((one) =>
      rowOf(one.id, () => facingRecord(one, tenant, xpanseDialect)),
    )
  const services = () =>
    world.files.get('xpanse.services') ??
    servicesOf(machines(), tenant).map((one) => rowOf(one.id, () => serviceRecord(one)))
  const details = (): readonly Row[] =>
    servicesOf(machines(), tenant).map((one) => rowOf(one.id, () => detailsRecord(one)))
  const sorts = ['name', 'service_name', 'first_observed', 'last_observed']
  return {
    assets: (call) =>
      pager(
        {
          name: 'assets_internet_exposure',
          rows: facing,
          filters: EXPOSURE_FILTERS,
          sorts,
          isSaturating: true,
        },
        call,
      ),
    services: (call) =>
      pager(
        {
          name: 'external_services',
          rows: services,
          filters: SERVICE_FILTERS,
          sorts,
          isSaturating: true,
        },
        call,
      ),
    serviceDetails: (call) => serviceDetails(details, call),
  }
}

/** Ids that are not there are left out; with none left the object is not found. */
function serviceDetails(rows: () => readonly Row[], call: Call): Answer {
  const request = requestData(call.body, false)
  if (request === null) return waitress()
  if ('invalid' in request) return invalidJson(request.invalid)
  const asked = detailsSchema.safeParse(request.data)
  if (!asked.success) return waitress()
  const wanted = new Set(asked.data.service_id_list)
  const shown = shownRows(rows(), call.fault).rows.filter((row) => wanted.has(row.id))
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround({ reply: { details: ROWS_HERE } }, pageRows(shown, call.fault)),
  }
}
