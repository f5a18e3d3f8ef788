// The records of W2: hosts as Compute lists them, 49 findings each, for the real lifecycle to read.
import { type RawFacts, rawHeaders, rawKey } from '../contracts/envelope.ts'
import type { KafkaRecord } from '../contracts/processing.ts'
import { noise } from './w1-data.ts'

/** The host itself and its findings. */
export const ENTITIES_PER_HOST = 50
const PACKAGES = ['openssl', 'glibc', 'curl', 'zlib', 'systemd', 'perl-base', 'libxml2', 'bash']
const DESCRIPTION_LENGTH = 400
/** 2026-01-01T00:00:00Z */
const START_MS = 1_767_225_600_000
const HOUR_MS = 3_600_000

function vulnerability(host: number, index: number): object {
  const name = PACKAGES[index % PACKAGES.length] ?? ''
  const version = `${1 + (index % 3)}.${index % 17}.${host % 5}`
  return {
    cve: `CVE-${2015 + (index % 11)}-${10_000 + index * 37}`,
    severity: ['low', 'medium', 'high', 'critical'][index % 4],
    cvss: (index % 100) / 10,
    status: index % 3 === 0 ? 'needed' : `fixed in ${version}-deb12u${index % 9}`,
    packageName: name,
    packageVersion: version,
    published: 1_660_162_500 + index,
    fixDate: 1_660_262_500 + index,
    discovered: '2025-12-01T00:00:00Z',
    link: `https://security-tracker.debian.org/tracker/CVE-${index}`,
    description: noise(index, DESCRIPTION_LENGTH),
    vecStr: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H',
    riskFactors: { 'Has fix': {}, 'Attack vector: network': {} },
    exploit: '',
    exploits: [],
    type: 'image',
  }
}

/** Host `index` as run `run` (0, 1 or 2) sees it: a fiftieth has changed in run 1, all in run 2. */
export function hostRecord(index: number, run: number, partition: number): KafkaRecord {
  const name = `host-${String(index).padStart(6, '0')}.example.net`
  const startedAtMs = START_MS + run * HOUR_MS
  const facts: RawFacts = {
    connection: 'bench',
    vendor: 'prisma-cloud',
    product: 'prisma-compute',
    tenant: 'acme',
    stream: 'compute.hosts',
    unit: name,
    assetNativeId: `host|${name}`,
    runId: `${startedAtMs}-000001`,
    fetchedAtMs: startedAtMs + 1_000,
    endpoint: '/api/v1/hosts',
    page: 1,
    contentType: 'application/json',
    columns: null,
    tooLargeBytes: null,
  }
  const isChanged = run === 2 || (run === 1 && index % 50 === 0)
  const body = {
    _id: name,
    type: 'host',
    hostname: name,
    scanTime: new Date(isChanged ? startedAtMs : START_MS).toISOString(),
    firstScanTime: '2025-11-01T00:00:00Z',
    osDistro: 'debian',
    osDistroVersion: isChanged ? `12.${run}` : '12',
    distro: 'Debian GNU/Linux 12 (bookworm)',
    hostDevices: [{ name: 'ens5', ip: `10.${index % 200}.${index % 250}.5` }],
    cloudMetadata: {
      provider: 'aws',
      resourceID: `i-0${String(index).padStart(16, '0')}`,
      accountID: '123456789012',
      region: 'eu-west-1',
      labels: [{ key: 'team', value: `team-${index % 40}`, sourceType: 'aws' }],
    },
    packages: [],
    vulnerabilities: Array.from({ length: ENTITIES_PER_HOST - 1 }, (_, i) =>
      vulnerability(index, i + (isChanged && i === 0 ? run * 1_000 : 0)),
    ),
    vulnerabilitiesCount: ENTITIES_PER_HOST - 1,
  }
  return {
    topic: 'raw.bench',
    partition,
    offset: BigInt(index),
    timestampMs: startedAtMs + 2_000,
    key: rawKey(facts),
    value: Buffer.from(JSON.stringify(body)),
    headers: rawHeaders(facts),
  }
}
