// Stream compute.hosts: every host that Compute scans, with its vulnerabilities in the record.
import { SCAN_QUERY, computeSource } from './compute-listing.ts'

/** An agentless scan has a type of its own, and so another id. */
export const computeHosts = computeSource({
  stream: 'compute.hosts',
  path: 'hosts',
  entities: 'both',
  kindOf: (type) => type || 'host',
  neverEmpty: true,
  hasCompact: true,
  query: SCAN_QUERY,
})
