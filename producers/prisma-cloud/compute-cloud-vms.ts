// Stream compute.cloud-vms: virtual machines that cloud discovery finds, with or without Defender.
import { computeSource } from './compute-listing.ts'

/** Not a host: the same machine scanned is another asset of the same entity. */
export const computeCloudVms = computeSource({
  stream: 'compute.cloud-vms',
  path: 'cloud/discovery/vms',
  entities: 'assets',
  kindOf: () => 'cloud-vm',
  query: {},
})
