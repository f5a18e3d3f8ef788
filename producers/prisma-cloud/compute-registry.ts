// Stream compute.registry: every image of the registries that Compute scans.
import { SCAN_QUERY, computeSource } from './compute-listing.ts'

/** The same image where it runs is the same asset. */
export const computeRegistry = computeSource({
  stream: 'compute.registry',
  path: 'registry',
  entities: 'both',
  kindOf: () => 'image',
  hasCompact: true,
  query: SCAN_QUERY,
})
