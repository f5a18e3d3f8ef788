// Every sample that holds records of a stream we read is held against expectations somewhere.
import { readFileSync, readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sampleJson, samplePath, samplesPresent } from '../support/samples.ts'

const SPEC = 'cortex/spec-examples.json'
const ROWS = 'cortex/constructed/rows.json'

/** The tests that say what becomes of a sample, without `.test.ts`. */
const READ: Readonly<Record<string, readonly string[]>> = {
  [SPEC]: ['transform-spec-examples', 'transform-cortex', 'transform-issues', 'transform-xpanse'],
  [ROWS]: ['transform-cortex', 'transform-cortex-findings', 'transform-issues'],
  'cortex/uvem.get_vulnerabilities.reply.json': ['transform-uvem'],
  'cortex/xdr.get_endpoint.reply.json': ['transform-cortex'],
  'cortex/xdr.incidents.ndjson': ['transform-issues'],
  'cortex/xpanse.get_assets_internet_exposure.reply.json': ['transform-xpanse'],
  'cortex/xpanse.get_external_service.reply.json': ['transform-xpanse'],
  'cortex/xpanse.get_external_services.reply.json': ['transform-xpanse'],
  'cortex/xpanse.get_incident_extra_data.incident-only.json': ['transform-issues'],
  'prisma-cloud/compute/containers.demisto.0.json': ['transform-compute-containers'],
  'prisma-cloud/compute/containers.gke.json': ['transform-compute-containers'],
  'prisma-cloud/compute/containers.recorded-23.01.735.0.json': ['transform-compute-containers'],
  'prisma-cloud/compute/empty.GET_cloud_discovery.json': ['producer-compute-listings'],
  'prisma-cloud/compute/empty.GET_registry.json': ['producer-compute-listings'],
  'prisma-cloud/compute/empty.GET_serverless.json': ['producer-compute-listings'],
  'prisma-cloud/compute/empty.GET_vms.json': ['producer-compute-listings'],
  'prisma-cloud/compute/hosts.recorded-23.01.735.json': ['transform-compute-hosts'],
  'prisma-cloud/compute/hosts.windows-no-vulnerabilities-key.json': ['transform-compute-hosts'],
  'prisma-cloud/compute/hosts_info.nulls.json': ['transform-compute-hosts'],
  'prisma-cloud/compute/images.debian9-appembedded.json': ['transform-compute-images'],
  'prisma-cloud/compute/images.recorded-23.01.735.0.json': ['transform-compute-images'],
  'prisma-cloud/cspm/scan_info.resources.json': ['transform-cspm-samples'],
  'prisma-cloud/cspm/search_config.item.cloudtrail.json': ['transform-cspm-samples'],
  'prisma-cloud/cspm/uve_download.csv': ['transform-cspm-rows'],
  'prisma-cloud/cspm/uve_download.csv.gz': ['transform-spec-examples'],
  'prisma-cloud/cspm/uve_download.expected.json': ['transform-cspm-rows'],
}

/** Samples without a record of ours, each with its reason. */
const HOLDS_NONE: Readonly<Record<string, string>> = {
  'README.md': 'says where the samples come from',
  'cortex/api_keys_validate.vcr.yaml': 'a key that is validated: true or false',
  'cortex/errors.json': 'refusals',
  'cortex/uvem.get_affected_software.reply.json': 'no stream reads affected software',
  'cortex/uvem.vulnerability_details.json': 'details of one CVE; the listing has what we tell',
  'cortex/xpanse.get_external_ip_address_ranges.reply.json': 'no stream reads address ranges',
  'prisma-cloud/compute/collections.json': 'collections are names for filters',
  'prisma-cloud/compute/errors.recorded.json': 'refusals',
  'prisma-cloud/compute/hosts_download.csv': 'an export of /hosts for people; it is read as JSON',
  'prisma-cloud/compute/hosts_info.recorded-23.01.735.json': 'of /hosts/info: names, all else zero',
  'prisma-cloud/compute/images_download.csv': 'an export of /images for people',
  'prisma-cloud/compute/impacted_resources.missing-cve.error.json': 'a refusal',
  'prisma-cloud/compute/report.images_four_vulns.csv': 'an export of the console',
  'prisma-cloud/compute/stats_vulnerabilities.recorded-23.01.735.json': 'counts without assets',
  'prisma-cloud/compute/twistcli.many_vulns.json': 'of a tool that runs in builds',
  'prisma-cloud/compute/version.json': 'the version of a console',
  'prisma-cloud/cspm/errors.known.json': 'refusals',
  'prisma-cloud/cspm/login.success.json': 'a login',
  'prisma-cloud/cspm/login.success.older.json': 'a login',
  'prisma-cloud/cspm/meta_info.json': 'where Compute is',
  'prisma-cloud/cspm/uve_download.rows.json': 'the rows of uve_download.csv in another form',
  'prisma-cloud/cspm/v2_alert.page.json': 'alerts name no CVE, and no stream reads them',
}

/** The files of many calls or datasets: what of them is read, and by which test. */
const PARTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  [SPEC]: {
    'POST /public_api/v1/assets': 'transform-cortex',
    'POST /public_api/v1/assets/get_assets_internet_exposure': 'transform-xpanse',
    'POST /public_api/v1/assets/get_external_service': 'transform-spec-examples',
    'POST /public_api/v1/assets/get_external_services': 'transform-spec-examples',
    'POST /public_api/v1/endpoints/get_endpoint': 'transform-spec-examples',
    'POST /public_api/v1/issue/search': 'transform-issues',
    'POST /public_api/v1/system/get_tenant_info': 'producer-licence',
  },
  [ROWS]: {
    asset_inventory: 'transform-cortex',
    assets_live_wire: 'transform-cortex',
    findings: 'transform-cortex-findings',
    issues_live_wire: 'transform-issues',
    uvm_findings: 'transform-issues',
    va_cves: 'transform-issues',
    va_endpoints: 'transform-issues',
  },
}
const PARTS_WITHOUT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  [SPEC]: {
    'GET /public_api/v1/assets/enum/{field_name}': 'words of a field',
    'GET /public_api/v1/assets/schema': 'names of fields',
    'GET /public_api/v1/assets/{id}': 'one asset of the listing, asked for by id',
    'GET /public_api/v1/assets/{id}/raw_fields': 'what a provider says of one asset',
    'GET /public_api/v1/healthcheck': 'no record',
    'POST /public_api/v1/api_keys/get_api_keys': 'keys',
    'POST /public_api/v1/assets/get_asset_internet_exposure': 'details that no stream asks for',
    'POST /public_api/v1/assets/get_external_ip_address_range': 'no stream reads address ranges',
    'POST /public_api/v1/assets/get_external_ip_address_ranges': 'no stream reads address ranges',
    'POST /public_api/v1/assets/get_external_website': 'no stream reads websites',
    'POST /public_api/v1/assets/get_external_websites': 'no stream reads websites',
    'POST /public_api/v1/assets/get_external_websites/last_external_assessment': 'no answer',
    'POST /public_api/v1/assets/get_vulnerability_tests': 'tests, not what they found',
    'POST /public_api/v1/case/search': 'no answer',
    'POST /public_api/v1/endpoints/get_endpoints': 'a shorter listing of what get_endpoint tells',
    'POST /public_api/v1/get_risky_hosts': 'scores of behaviour',
    'POST /public_api/v1/issue': 'no answer; it makes an issue',
    'POST /public_api/v1/issue/schema': 'names of fields',
    'POST /public_api/v1/issue/{issue-id}': 'no answer; it changes an issue',
    'POST /public_api/v1/xql/get_datasets': 'names of datasets',
    'POST /public_api/v1/xql/get_query_results': 'rows of another dataset than ours',
    'POST /public_api/v1/xql/get_query_results_stream': 'no answer',
    'POST /public_api/v1/xql/get_quota': 'a quota',
    'POST /public_api/v1/xql/start_xql_query': 'the id of a query',
  },
  [ROWS]: { README: 'says that all of it is made up' },
}

const testText = (name: string): string =>
  readFileSync(new URL(`./${name}.test.ts`, import.meta.url), 'utf8')

/** By its own name: tests put the folder before it in several ways. */
const isNamedIn = (test: string, file: string): boolean => testText(test).includes(basename(file))

/** A call without its method and prefix, a dataset as it is. */
const shortOf = (part: string): string => part.replace(/^POST \/public_api\/v1\//, '')

const sorted = (names: Iterable<string>): string[] => [...names].toSorted()

describe.runIf(samplesPresent)('every sample', () => {
  it('is read by a test or holds no record of ours, and none is listed that is not there', () => {
    const files = readdirSync(samplePath(''), { recursive: true, withFileTypes: true })
    const root = samplePath('').length
    const there = files
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => `${parentPath}/${name}`.slice(root).replace(/^\/+/, ''))
    expect(sorted(there)).toEqual(sorted([...Object.keys(READ), ...Object.keys(HOLDS_NONE)]))
  })

  it('is named by the tests that are said to read it', () => {
    const unnamed = Object.entries(READ).flatMap(([file, tests]) =>
      tests.filter((test) => !isNamedIn(test, file)).map((test) => `${test} reads no ${file}`),
    )
    expect(unnamed).toEqual([])
  })

  it.each([SPEC, ROWS])('of %s is read or holds no record of ours, part by part', (file) => {
    const read = PARTS[file] ?? {}
    const parts = Object.keys(sampleJson(file) as object)
    expect(sorted(parts)).toEqual(
      sorted([...Object.keys(read), ...Object.keys(PARTS_WITHOUT[file] ?? {})]),
    )
    const unnamed = Object.entries(read).filter(
      ([part, test]) => !testText(test).includes(`${shortOf(part)}'`),
    )
    expect(unnamed).toEqual([])
  })
})
