// Where the fields of cspm.vulnerabilities come from: columns of the download, or the searches.
import { type StreamMapping, REST, always, from, like } from './stream-mapping.ts'

const SCORE = 'CVSS_BASE_SCORE vulnerability.cvssScore'
const EXPLOIT = `EXPLOITABLE vulnerability.exploitable 3RD_PARTY_EXPLOIT_SOURCE CISA_KEV`
const PATCHABLE = 'PATCHABLE vulnerability.patchable'

export const cspmVulnerabilitiesMapping: StreamMapping = {
  stream: 'cspm.vulnerabilities',
  product: 'prisma-cspm',
  call: 'GET /uve/api/v1/vulnerabilities/search/download',
  unit: 'a row of the CSV; beyond its bound the answers of the searches (`vulnerability`, `asset`)',
  lifted: [],
  each: null,
  deciding: {},
  tables: {
    finding: {
      finding_uid: like('asset_uid vuln_id package.name', 'of asset, weakness and package'),
      asset_uid: from('ASSET_ID asset.id'),
      asset: from(
        `ASSET_NAME asset.name ASSET_ID asset.id ASSET_TYPE asset_type SERVICE_PROVIDER
         CLOUD_ACCOUNT_ID`,
      ),
      kind: always('VULNERABILITY'),
      vuln_id: from('CVE_ID vulnerability.cveId', 'upper-cased'),
      vuln_id_scheme: like('vuln_id', 'cve, ghsa, else vendor'),
      title: like('vuln_id package.name', 'built'),
      status: always('OPEN'),
      resolution: always('NONE'),
      vendor_status: from(PATCHABLE, 'as Y or N'),
      severity: from(`SEVERITY vulnerability.severity ${SCORE}`, 'an unknown word: by the score'),
      severity_id: like('severity', 'of the severity'),
      severity_raw: from('SEVERITY vulnerability.severity'),
      cvss_score: from(SCORE),
      'cvss.version': always('unknown: there is no vector'),
      'cvss.base_score': from(SCORE),
      'epss.score': from('EPSS_SCORE vulnerability.completeEpssScore'),
      known_exploited: from('CISA_KEV'),
      'exploit.available': from(EXPLOIT),
      'exploit.maturity': from(EXPLOIT, 'in the wild by `CISA_KEV`, POC by a source'),
      'exploit.sources': from('3RD_PARTY_EXPLOIT_SOURCE CISA_KEV'),
      'package.name': from('PACKAGE_NAME'),
      'package.versions': from('INSTALLED_VERSIONS'),
      'package.in_use': from('PACKAGE_IN_USE'),
      'fix.available': from(`${PATCHABLE} FIX_VERSION`),
      'fix.versions': from('FIX_VERSION'),
      'fix.fixed_at': from('FIX_DATE', 'a day'),
      risk_factors: from(
        `ATTACK_VECTOR ATTACK_COMPLEXITY PRIVILEGES_REQUIRED USER_INTERACTION DOS AT_RISK
         RISK_FACTORS vulnerability.riskFactors asset.atRisk`,
        'columns as `<name>: <word>`',
      ),
      references: from('CVE_LINK'),
      internet_exposed: from('INTERNET_EXPOSED asset.internetExposed'),
      published_at: from('PUBLISHED_DATE vulnerability.published', 'in the CSV a day'),
      first_seen: from('DISCOVERED_DATE', 'a day; else fetch time'),
      last_seen: always('fetch time'),
      unmapped: REST,
    },
  },
  nothing: {},
}
