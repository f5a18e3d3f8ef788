// The findings of W4: as big as the mapping makes them, all different.
import type { Finding } from '../contracts/finding.ts'
import { eventId } from '../contracts/identity.ts'
import { noise } from './w1-data.ts'

const BASE_MS = 1_767_225_600_000
const DESCRIPTION_CHARACTERS = 600

function metaOf(n: number, turn: number, uid: string, revision: number): Finding['meta'] {
  return {
    event_id: eventId(uid, revision),
    change_type: turn === 0 ? 'CREATED' : 'UPDATED',
    revision,
    changed_fields: turn === 0 ? [] : ['severity', 'severity_id'],
    changes: [],
    observed_at: revision,
    ingested_at: revision + 5,
    run_id: `${BASE_MS}-00ff00`,
    content_hash: eventId('hash', revision),
    mapping_version: '1',
    change_cause: 'VENDOR',
    backfill: turn === 0,
    source: {
      vendor: 'prisma-cloud',
      product: 'prisma-compute',
      connection_id: 'prisma-prod',
      tenant: '1234567890',
      stream: 'compute.hosts',
      native_id: `host-${n >> 5}`,
      native_url: null,
      raw_topic: 'raw.prisma-cloud',
      raw_partition: n % 6,
      raw_offset: n,
      raw_sha256: eventId('raw', revision).repeat(2),
    },
  }
}

/** Finding `n` at its `turn`, from 0. */
export function findingOf(n: number, turn: number): Finding {
  const uid = `fnd_${String(n).padStart(26, '0')}`
  const revision = BASE_MS + n + turn * 86_400_000
  const [severity, severity_id] = turn % 2 === 0 ? (['HIGH', 4] as const) : (['LOW', 2] as const)
  return {
    meta: metaOf(n, turn, uid, revision),
    finding_uid: uid,
    asset_uid: `ast_${String(n >> 5).padStart(26, '0')}`,
    entity_uid: `ent_${String(n >> 5).padStart(26, '0')}`,
    correlation_uid: `cor_${String(n).padStart(26, '0')}`,
    asset: {
      name: `host-${n >> 5}`,
      kind: 'VIRTUAL_MACHINE',
      hostname: `host-${n >> 5}`,
      ip: '10.0.0.1',
      cloud_provider: 'aws',
      cloud_account_id: '123456789012',
      cloud_region: 'eu-west-1',
      cloud_resource_id: null,
      image_digest: null,
    },
    kind: 'VULNERABILITY',
    vuln_id: `CVE-2026-${n % 5_000}`,
    vuln_id_scheme: 'cve',
    aliases: [],
    cwes: ['CWE-79'],
    title: `CVE-2026-${n % 5_000} in package-${n % 300}`,
    description: noise(n, DESCRIPTION_CHARACTERS),
    status: 'OPEN',
    resolution: 'NONE',
    vendor_status: 'fixed in 1.1.2',
    severity,
    severity_id,
    severity_raw: severity.toLowerCase(),
    cvss_score: 8.1,
    cvss: [{ version: '3.1', vector: null, base_score: 8.1, severity: null, source: 'nvd' }],
    epss: { score: 0.2, percentile: 0.4, as_of: null },
    known_exploited: null,
    kev_due_at: null,
    exploit: null,
    package: {
      name: `package-${n % 300}`,
      versions: ['1.1.1'],
      type: 'deb',
      purl: `pkg:deb/debian/package-${n % 300}`,
      cpe: null,
      paths: [],
      source_package: null,
      in_use: null,
      license: null,
    },
    fix: { available: true, versions: ['1.1.2'], fixed_at: null, text: 'fixed', url: null },
    locator: null,
    risk_factors: [],
    references: [],
    internet_exposed: null,
    risk_score: null,
    published_at: null,
    first_seen: BASE_MS,
    last_seen: revision,
    resolved_at: null,
    due_at: null,
    reopen_count: 0,
    unmapped: {},
  }
}
