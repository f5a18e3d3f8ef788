// Names of machines: which of a vendor's names are hostnames, which are complete DNS names.
import { isIP } from 'node:net'
import { sortedTexts } from './text.ts'

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/
const TOP_LEVEL = /^[a-z][a-z0-9-]{0,61}[a-z0-9]$/
/** Suffixes under which clouds publish the names of public addresses. */
const PUBLIC_SUFFIX =
  /\.(compute(-1)?\.amazonaws\.com(\.cn)?|elb\.amazonaws\.com|cloudapp\.azure\.com|cloudapp\.net)$/

export type Names = {
  readonly hostnames: string[]
  readonly fqdns: string[]
  readonly public_dns_names: string[]
}

/** Lower-cased, without a trailing dot, sorted. What cannot be a host's name is left out. */
export function namesOf(given: readonly (string | null)[]): Names {
  const names = sortedTexts(given.filter((name) => name !== null).map(canonical)).filter(isHostname)
  const fqdns = names.filter(isFqdn)
  return {
    hostnames: names,
    fqdns,
    public_dns_names: fqdns.filter((name) => PUBLIC_SUFFIX.test(name)),
  }
}

const canonical = (name: string): string => name.trim().toLowerCase().replace(/\.$/, '')

const isHostname = (name: string): boolean =>
  name.length <= 253 && isIP(name) === 0 && name.split('.').every((label) => LABEL.test(label))

/** `ip-3.3.3.3` has dots but no top-level domain. */
function isFqdn(name: string): boolean {
  const labels = name.split('.')
  return labels.length > 1 && TOP_LEVEL.test(labels.at(-1) ?? '')
}
