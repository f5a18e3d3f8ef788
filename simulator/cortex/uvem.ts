// The CVE dictionary: POST /public_api/uvem/v1/get_vulnerabilities, listed by token.
import type { Weakness } from '../catalogue.ts'
import type { Answer } from '../delivery.ts'
import type { Estate } from '../estate.ts'
import { type Value, rowOf } from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import type { TokenPager } from './tokens.ts'

const FIELDS = [
  'vulnerability_id',
  'cvss_score',
  'cvss_severity',
  'cvss_version',
  'epss_score',
  'cisa_kev',
  'first_published',
  'last_modified',
  'attack_vector',
]
const DAY_MS = 86_400_000

/** One page of the dictionary; it is the same for every tenant. */
export const getVulnerabilities = (world: World, pager: TokenPager, call: Call): Answer =>
  pager(
    {
      name: 'vulnerabilities',
      rows: () => world.files.get('cloud.vulnerabilities') ?? entries(world.estate()),
      filters: Object.fromEntries(FIELDS.map((field) => [field, field])),
      sorts: FIELDS,
      isSaturating: false,
    },
    call,
  )

/** Some that are assessed by version 2 of CVSS only, and were never changed. */
export const isOld = ({ publishedMs }: Weakness): boolean =>
  Math.floor(publishedMs / DAY_MS) % 5 === 0

/** Weaknesses that have a CVE: ids of other makers are not in it. */
export const inDictionary = ({ id }: Weakness): boolean => id.startsWith('CVE-')

const entries = (estate: Estate) =>
  estate.catalogue
    .filter(inDictionary)
    .map((weakness) => rowOf(weakness.id, () => dictionaryRecord(estate, weakness)))

/** One entry, with the vendor's ways to say that it does not know. */
export function dictionaryRecord(estate: Estate, weakness: Weakness): Value {
  const { id, cvss, cortexWord, publishedMs, software, exploit } = weakness
  const old = isOld(weakness)
  const published = Math.floor(publishedMs / DAY_MS) * DAY_MS
  return {
    vulnerability_id: id,
    epss_score: estate.epss.get(id) ?? weakness.epss,
    // As a 32-bit number: 6.2 becomes 6.199999809265137.
    cvss_score: cvss === null ? null : Math.fround(cvss),
    cvss_severity: cortexWord?.toLowerCase() ?? null,
    package_names: software.packages,
    vendors: software.windows ? ['microsoft'] : ['ubuntu', 'debian'],
    distribution_and_releases: software.windows ? [] : ['ubuntu:jammy', 'ubuntu:focal'],
    cisa_kev: exploit === 'in-the-wild' ? true : old ? null : false,
    cvss_severity_source: cortexWord === null ? null : 'NVD',
    cvss_score_source: cvss === null ? null : 'NVD',
    first_published: published,
    // Both mean that nobody knows.
    last_modified: old ? 0 : (published / DAY_MS) % 7 === 0 ? null : published + DAY_MS,
    reported_exploited_by: exploit === 'in-the-wild' ? ['Threat Actors'] : [],
    attack_vector: weakness.vector.includes('/AV:N/') ? 'Network' : '',
    cvss_version: cvss === null ? null : '3.x',
  }
}
