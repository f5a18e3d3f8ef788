// Names of the vendors' products as users of a SIEM know them.
import type { EventMeta } from '../contracts/event-meta.ts'

const VENDORS: ReadonlyMap<string, string> = new Map([
  ['prisma-cloud', 'Palo Alto Networks'],
  ['cortex', 'Palo Alto Networks'],
])
const PRODUCTS: ReadonlyMap<string, string> = new Map([
  ['prisma-cspm', 'Prisma Cloud'],
  ['prisma-compute', 'Prisma Cloud Compute'],
  ['cortex-xdr', 'Cortex XDR'],
  ['cortex-xpanse', 'Cortex Xpanse'],
  ['cortex-cloud', 'Cortex Cloud'],
])

/** Names for people; a vendor or product that is not known keeps its own word. */
export const productNames = ({ vendor, product }: EventMeta['source']) => ({
  vendor: VENDORS.get(vendor) ?? vendor,
  product: PRODUCTS.get(product) ?? product,
})
