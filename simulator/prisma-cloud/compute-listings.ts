// Compute's listings: which rows each has, and one way of paging for all of them.
import type { Answer } from '../delivery.ts'
import { type Row, jsonArray, pageRows, rowOf, shownRows } from '../rows.ts'
import type { Call } from '../site.ts'
import type { StreamName } from '../truth.ts'
import { type Container, workloadsOf } from '../workloads.ts'
import type { World } from '../world.ts'
import { computeError, limited } from './answers.ts'
import {
  containerRecord,
  deployedImageRecord,
  discoveredVmRecord,
  functionRecord,
  registryImageRecord,
  vmImageRecord,
} from './compute-records.ts'
import { hostRecord } from './host-record.ts'
import type { ScanView } from './scan-record.ts'

type ListedRows = (world: World, view: ScanView) => readonly Row[]
export type ComputeListing = { readonly stream: StreamName; readonly rows: ListedRows }

/** By the path after the version. */
export const COMPUTE_LISTINGS: Readonly<Record<string, ComputeListing>> = {
  hosts: {
    stream: 'compute.hosts',
    rows: ({ estate }, view) =>
      estate()
        .machines.filter((m) => m.inCompute)
        .map((m) => rowOf(m.hostname, () => hostRecord(m, view))),
  },
  images: { stream: 'compute.images', rows: imageRows },
  registry: {
    stream: 'compute.registry',
    rows: ({ estate }, view) =>
      workloadsOf(estate())
        .images.filter((image) => image.isInRegistry)
        .map((image) => rowOf(image.imageId, () => registryImageRecord(image, view))),
  },
  vms: {
    stream: 'compute.vms',
    rows: ({ estate }, view) =>
      workloadsOf(estate()).vmImages.map((image) =>
        rowOf(image.id, () => vmImageRecord(image, view)),
      ),
  },
  serverless: {
    stream: 'compute.serverless',
    rows: ({ estate }, view) =>
      workloadsOf(estate()).functions.map((fn) => rowOf(fn.id, () => functionRecord(fn, view))),
  },
  containers: {
    stream: 'compute.containers',
    rows: ({ estate }) =>
      workloadsOf(estate()).containers.map((c) => rowOf(c.id, () => containerRecord(c))),
  },
  'cloud/discovery/vms': {
    stream: 'compute.cloud-vms',
    rows: ({ estate }) =>
      estate().machines.flatMap((m) =>
        m.cloud === null ? [] : [rowOf(m.cloud.instanceId, () => discoveredVmRecord(m))],
      ),
  },
}

function imageRows({ estate }: World, view: ScanView): readonly Row[] {
  const { images, containers } = workloadsOf(estate())
  const byImage = new Map<string, Container[]>()
  for (const container of containers) {
    const { imageId } = container.image
    const known = byImage.get(imageId)
    if (known === undefined) byImage.set(imageId, [container])
    else known.push(container)
  }
  return images
    .filter((image) => image.isDeployed)
    .map((image) =>
      rowOf(image.imageId, () =>
        deployedImageRecord(image, byImage.get(image.imageId) ?? [], view),
      ),
    )
}

export type ListingOptions = {
  readonly world: World
  /** Rows of one page; a larger `limit` is cut to it. */
  readonly pageRowsMax: number
  /** False answers 429. */
  readonly admit: (nowMs: number) => boolean
}

const PAGE_ROWS_DEFAULT = 50

/** One page of `listing`, as `limit` and `offset` ask for it. */
export function listingPage(listing: ComputeListing, options: ListingOptions, call: Call): Answer {
  if (!options.admit(call.nowMs)) return limited('compute', {})
  const limit = wholeNumber(call.query.get('limit'), PAGE_ROWS_DEFAULT)
  const offset = wholeNumber(call.query.get('offset'), 0)
  if (limit === null || offset === null) return computeError(400, 'invalid limit or offset')
  const view = {
    normalizedSeverity: call.query.get('normalizedSeverity') === 'true',
    compact: call.query.get('compact') === 'true',
  }
  const { world, pageRowsMax } = options
  const rows = world.files.get(listing.stream) ?? listing.rows(world, view)
  const shown = shownRows(rows, call.fault)
  const rowsMax = limit === 0 ? PAGE_ROWS_DEFAULT : Math.min(limit, pageRowsMax)
  const page = pageRows(shown.rows.slice(offset, offset + rowsMax), call.fault)
  // Past the end the vendor says `null`, never `[]`; bodies end with a newline.
  const body = page.length === 0 ? Buffer.from('null') : jsonArray(page)
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'total-count': String(shown.declared) },
    body: Buffer.concat([body, Buffer.from('\n')]),
  }
}

/** Null for anything but a whole number of at least 0. */
function wholeNumber(text: string | null, absent: number): number | null {
  if (text === null) return absent
  return /^\d{1,9}$/.test(text) ? Number(text) : null
}
