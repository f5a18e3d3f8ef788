// What the simulated vendors share: the estate as it is now, and listings given as files.
import type { Estate } from './estate.ts'
import type { PageFiles } from './page-files.ts'

export type World = {
  /** The present estate; a later call may give a later one. */
  readonly estate: () => Estate
  readonly files: PageFiles
}

export type PageLimits = {
  readonly computeHosts: number
  readonly xdrEndpoints: number
  readonly cloudAssets: number
  /** Rows of an XQL result given at once; more come as a stream. */
  readonly xqlInline: number
  /** Of Xpanse and of the CVE dictionary. */
  readonly tokenPages: number
}
/** The vendors' own. */
export const PAGE_LIMITS: PageLimits = {
  computeHosts: 50,
  xdrEndpoints: 100,
  cloudAssets: 1_000,
  xqlInline: 1_000,
  tokenPages: 500,
}
