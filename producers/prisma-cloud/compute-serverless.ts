// Stream compute.serverless: serverless functions, with their vulnerabilities.
import { SCAN_QUERY, computeSource } from './compute-listing.ts'

/** Each version of a function is a record of its own. */
export const computeServerless = computeSource({
  stream: 'compute.serverless',
  path: 'serverless',
  entities: 'both',
  kindOf: () => 'function',
  query: SCAN_QUERY,
})
