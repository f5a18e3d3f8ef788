// Stream compute.vms: images of virtual machines (AMIs), with their vulnerabilities.
import { SCAN_QUERY, computeSource } from './compute-listing.ts'

/** Images, not machines: those are hosts. */
export const computeVms = computeSource({
  stream: 'compute.vms',
  path: 'vms',
  entities: 'both',
  kindOf: () => 'vm',
  query: SCAN_QUERY,
})
