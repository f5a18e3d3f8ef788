// Stream compute.containers: running containers. They tell no CVEs: those are their image's.
import { computeSource } from './compute-listing.ts'

/** Containers come and go with every deployment. */
export const computeContainers = computeSource({
  stream: 'compute.containers',
  path: 'containers',
  entities: 'assets',
  kindOf: () => 'container',
  query: {},
})
