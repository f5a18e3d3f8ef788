// Stream compute.images: every image that runs on a scanned host, with its vulnerabilities.
import { SCAN_QUERY, computeSource } from './compute-listing.ts'

/** The same image in a registry is the same asset. */
export const computeImages = computeSource({
  stream: 'compute.images',
  path: 'images',
  entities: 'both',
  kindOf: () => 'image',
  hasCompact: true,
  query: SCAN_QUERY,
})
