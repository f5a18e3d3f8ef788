// Calls as our clients really send them, and the simulator's answers, against the vendors' specs.
import { describe, expect, it } from 'vitest'
import { readSpecs, type Specs } from '../support/openapi.ts'
import type { Exchange } from '../support/recording-proxy.ts'
import { samplesPresent } from '../support/samples.ts'
import { SUBJECTS } from '../support/sources.ts'
import { recordChecks, recordPull } from '../support/traffic.ts'

const TIMEOUT_MS = 120_000

/** A fault (`where keyword`) of a call, and why it is right all the same. */
type Deviation = { readonly call: RegExp; readonly fault: RegExp; readonly reason: string }

/** Calls that no slice of a specification has, each with where it is known from. */
const IN_NO_SLICE: Readonly<Record<string, string>> = {
  'GET /meta_info': 'not published; vendor tools find the Compute console by it',
  'POST /api_keys/validate': "not published; recorded traffic of the vendor's own client has it",
}

const REQUEST_DEVIATIONS: readonly Deviation[] = [
  {
    call: /get_external_services$/,
    fault: /filters type object/,
    reason: 'all its examples, and the sister calls, have a list of filters there',
  },
  {
    call: /\/v2\/resource\/scan_info$/,
    fault: /operator enum/,
    reason: 'the specification has "tag:yaml.org,2002:value =", which is "=" gone through YAML',
  },
  {
    call: /\/vulnerabilities\/search\/asset$/,
    fault: /query page_token unknown/,
    reason:
      'its parameter is named "Token for pagination"; that of the sister search is page_token',
  },
]

const TENANT_INFO = /\/system\/get_tenant_info$/

const COMPUTE = /^GET \/api\/v1\//
const XPANSE = /^POST \/public_api\/v1\/assets\/get_/
const ANSWER_DEVIATIONS: readonly Deviation[] = [
  {
    call: COMPUTE,
    fault: /\/(Secrets|complianceIssues|files|functionLayers|templates) type array$/,
    reason: 'null for an empty list, in the recorded answers of a console',
  },
  {
    call: COMPUTE,
    fault: /\/(repoTag|wildFireUsage) type object$/,
    reason: 'null for no object, recorded likewise',
  },
  {
    call: COMPUTE,
    fault: /\/riskFactors\/[^/]+ type string$/,
    reason: 'an empty object under each name, recorded likewise',
  },
  {
    call: COMPUTE,
    fault: /\/trustStatus enum$/,
    reason: 'empty where trust was not looked at, recorded likewise',
  },
  {
    call: COMPUTE,
    fault: /\/(labels|tags)\[\]\/sourceType enum$/,
    reason: 'the simulator says "cloud", a word nobody reads; the list of words is not complete',
  },
  {
    call: /\/(v2\/resource\/scan_info|search\/api\/v2\/config|search\/config\/page)$/,
    fault: /\/(cloudType|severity) enum$/,
    reason: 'small letters in the recorded answers, capitals in the specification',
  },
  {
    call: /\/v2\/resource\/scan_info$/,
    fault: /\/nextPageToken type object$/,
    reason: 'a text for every known client, an object in the specification; both must be taken',
  },
  {
    call: /\/uai\/v1\/asset$/,
    fault: /\/trueInternetExposure type string$/,
    reason: 'null where exposure is not known: its description names NULL among the values',
  },
  {
    call: TENANT_INFO,
    fault: /_expiration type integer$/,
    reason: 'a date in words in the second published example',
  },
  {
    call: TENANT_INFO,
    fault: /\/purchased_\w+ type object$/,
    reason: 'the number 0 for what is not bought, in the second published example',
  },
  {
    call: /get_vulnerabilities$/,
    fault: /(cvss_score|last_modified|first_published) type integer$/,
    reason: 'scores have decimals, and times may be null, in the published example itself',
  },
  {
    call: /get_vulnerabilities$/,
    fault: /reported_exploited_by\[\] type object$/,
    reason: 'names, in the published example itself',
  },
  {
    call: /get_vulnerabilities$/,
    fault: /next_page_token type string$/,
    reason: 'null after the last page: one of three forms that clients must take',
  },
  {
    call: XPANSE,
    fault: /(first|last)_observed type integer$/,
    reason: 'ISO text in the recorded answer',
  },
  {
    call: XPANSE,
    fault: /\[\] type (object|string)$/,
    reason: 'words where objects are documented and the other way round, as recorded',
  },
  {
    call: XPANSE,
    fault: /externally_inferred_vulnerability_score type string$/,
    reason: 'a number in the recorded answer',
  },
  {
    call: XPANSE,
    fault: /ip_address type array$/,
    reason: 'null where the service has no address of its own',
  },
  {
    call: /v1\/assets$/,
    fault: /group_ids\[\] type string$/,
    reason: 'numbers on a live tenant, texts in the specification; both must be read',
  },
  {
    call: /get_endpoint$/,
    fault: /(group_name|users) type array$|operational_status_description type string$/,
    reason: 'null for none, in the recorded answer',
  },
  {
    call: /incidents\/get_incident/,
    fault: /(_name|_description|_categories|resolved_timestamp|rule_based_score) type /,
    reason: 'null for none, in recorded incidents',
  },
]

/** Calls that take several pages, a cut download, a budget, a check or a missing licence. */
const RARE = [
  'POST /search/config/page',
  'POST /uve/api/v1/vulnerabilities/search',
  'POST /uve/api/v1/vulnerabilities/search/asset',
  'POST /uai/v1/asset',
  'POST /api/v1/authenticate',
  'POST /api_keys/validate',
  'POST /public_api/v1/system/get_tenant_info',
]

type Traffic = { readonly specs: Specs; readonly calls: readonly Exchange[] }
let recorded: Promise<Traffic> | null = null

/** What pulls of every stream and the checks say and hear; recorded by the first to ask. */
const traffic = (): Promise<Traffic> => {
  recorded ??= record()
  return recorded
}

async function record(): Promise<Traffic> {
  const calls = [...(await recordChecks())]
  for (const subject of SUBJECTS) calls.push(...(await recordPull(subject)).exchanges)
  return { specs: readSpecs(), calls }
}

const nameOf = ({ method, path }: Exchange): string =>
  `${method} ${path.replace(/^\/us-sim-1(?=\/)/, '').replace(/(?<=.)\/$/, '')}`

/** Faults that no deviation explains, and deviations that explain nothing. */
function unexplained(found: readonly string[], deviations: readonly Deviation[]) {
  const explains = ({ call, fault }: Deviation, text: string) =>
    call.test(text.split(': ')[0] ?? '') && fault.test(text)
  return {
    faults: found.filter((text) => !deviations.some((deviation) => explains(deviation, text))),
    idle: deviations
      .filter((deviation) => !found.some((text) => explains(deviation, text)))
      .map(({ call, fault }) => `${call.source}: ${fault.source}`),
  }
}

const distinct = (texts: readonly string[]): string[] => [...new Set(texts)].toSorted()

describe.runIf(samplesPresent)('the published specifications', () => {
  it(
    'have every call we send, but for those listed',
    async () => {
      const { specs, calls } = await traffic()
      expect(RARE.filter((name) => !calls.some((call) => nameOf(call) === name))).toEqual([])
      const unknown = calls.filter(({ method, path }) => specs.find(method, path) === null)
      expect(distinct(unknown.map(nameOf))).toEqual(Object.keys(IN_NO_SLICE).toSorted())
    },
    TIMEOUT_MS,
  )

  it(
    'allow every request we send',
    async () => {
      const { specs, calls } = await traffic()
      const found = calls.flatMap((exchange) => {
        const call = specs.find(exchange.method, exchange.path)
        return (call?.requestFaults(exchange) ?? []).map((fault) => `${nameOf(exchange)}: ${fault}`)
      })
      expect(unexplained(distinct(found), REQUEST_DEVIATIONS)).toEqual({ faults: [], idle: [] })
    },
    TIMEOUT_MS,
  )

  it(
    'allow every answer of the simulator',
    async () => {
      const { specs, calls } = await traffic()
      const found = calls.flatMap((exchange) => {
        if (exchange.status !== 200 || !/json/.test(exchange.contentType)) return []
        const call = specs.find(exchange.method, exchange.path)
        return (call?.answerFaults(exchange) ?? []).map((fault) => `${nameOf(exchange)}: ${fault}`)
      })
      expect(unexplained(distinct(found), ANSWER_DEVIATIONS)).toEqual({ faults: [], idle: [] })
    },
    TIMEOUT_MS,
  )
})
