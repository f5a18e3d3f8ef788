// Made-up records of Prisma Cloud with what the simulator does not show.

type Json = Readonly<Record<string, unknown>>

const TIMES = {
  scanTime: '2026-01-10T00:00:00Z',
  firstScanTime: '2025-01-01T00:00:00Z',
  creationTime: '2024-12-01T00:00:00Z',
}
const SHA = `sha256:${'5d'.repeat(32)}`
const OTHER_SHA = `sha256:${'77'.repeat(32)}`
const cve = (more: Json): Json => ({ cve: 'CVE-2026-0001', packageName: 'zlib', ...more })

/** Weaknesses whose packages are found in every way there is. */
const WEAKNESSES: readonly Json[] = [
  cve({
    packageName: 'log4j',
    packageVersion: '2.14',
    binaryPkgs: ['liblog4j'],
    status: 'fixed in 2.15',
    fixLink: 'https://example.com/fix',
    riskFactors: { 'Package in use': {}, 'Internet exposed': {} },
    gracePeriodDays: 30,
    discovered: '2025-06-01T00:00:00Z',
    custom: 'kept',
  }),
  cve({ packageType: 'python', packageName: 'flask', path: '/opt/app', functionLayer: 'layer-1' }),
  cve({ packageName: 'nginx', packageVersion: '1.24' }),
  cve({ exploit: 'cisa-kev' }),
  cve({ exploits: [], riskFactors: { 'Has fix': {}, 'Exploit exists': {} } }),
  { title: 'A bad file', type: 'image_malware' },
  { cve: 'CVE-2026-0002', title: 'A title of its own' },
]
const METADATA = {
  provider: 'aws',
  accountID: '123456789012',
  region: 'eu-west-1',
  resourceID: 'i-0123456789abcdef0',
  resourceURL: 'arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0',
  vmImageID: 'ami-1',
  labels: [{ key: 'env', value: 'prod' }],
}

/** What every scan result may have; then systems that are told in one way only. */
function scans(id: string): Json[] {
  const plain = { _id: id, vulnerabilities: [cve({})] }
  return [
    {
      _id: id,
      type: 'own-type',
      ...TIMES,
      hostname: 'ec2-203-0-113-7.eu-west-1.compute.amazonaws.com',
      distro: 'Ubuntu 24.04',
      osDistro: 'ubuntu',
      osDistroVersion: '24.04',
      isARM64: true,
      hostDevices: [{ name: 'eth0', ip: '203.0.113.7' }],
      cloudMetadata: METADATA,
      labels: ['a:b'],
      externalLabels: [{ key: 'team', value: 'web' }],
      riskFactors: { 'Internet exposed': {} },
      packages: [
        {
          pkgsType: 'jar',
          pkgs: [
            {
              name: 'log4j',
              version: '2.14',
              path: '/opt/log4j.jar',
              purl: 'pkg:maven/org.apache/log4j@2.14',
              license: 'Apache-2.0',
            },
          ],
        },
      ],
      applications: [{ name: 'nginx', version: '1.24', path: '/usr/sbin/nginx' }],
      vulnerabilities: WEAKNESSES,
    },
    {
      ...plain,
      osDistro: 'windows',
      osDistroRelease: 'Windows Server 2022',
      distro: 'Microsoft [Version 10.0.20348]',
    },
    { ...plain, osDistro: 'ubuntu' },
    { ...plain, distro: 'Alpine Linux 3.20' },
    { _id: id, vulnerabilities: [cve({ type: 'windows' })] },
    { ...plain, vulnerabilitiesCount: 3 },
  ]
}

const hosts: readonly Json[] = [
  ...scans('web-1'),
  { _id: 'web-2', agentless: false, csa: true, scanVersion: '34' },
  { _id: 'web-3', agentless: false, scanVersion: '34' },
]
const TAGGED = { registry: 'registry.example', repo: 'team/shop', tag: '1.4' }
const images: readonly Json[] = [
  ...scans('name-of-an-image'),
  {
    _id: 'name-of-an-image',
    id: SHA,
    repoTag: { ...TAGGED, digest: SHA },
    tags: [{ tag: '1.5' }],
    clusters: ['main'],
    namespaces: ['shop'],
    hosts: { 'node-1': { cluster: 'other', namespaces: ['web'] } },
  },
  {
    _id: SHA,
    repoTag: TAGGED,
    repoDigests: [`registry.example/team/shop@${SHA}`, `a.example/team/shop@${OTHER_SHA}`],
  },
  {
    _id: SHA,
    repoTag: { repo: 'team/shop' },
    repoDigests: [`team/shop@${SHA}`, `a.example/team/shop@${OTHER_SHA}`],
  },
]
const vms: readonly Json[] = [
  ...scans('vm-1'),
  { _id: 'vm-2', cloudMetadata: { provider: 'aws', image: 'ami-2' } },
  { _id: 'vm-2', cloudMetadata: { provider: 'aws', vmImageID: 'ami-1' } },
]
const functions: readonly Json[] = [
  ...scans('arn:aws:lambda:eu-west-1:123456789012:function:resize:1'),
]

const containers: readonly Json[] = [
  {
    _id: 'c-1',
    info: {
      image: `registry.example/team/shop@${SHA}`,
      externalLabels: [{ key: 'team', value: 'web' }],
      networkSettings: { ipAddress: '10.0.0.7', macAddress: '00:50:56:00:00:07' },
    },
  },
  { _id: 'c-4', info: { imageName: `team/shop@${SHA}` } },
  { _id: 'c-2', info: { networkSettings: { ipAddress: '203.0.113.7' } } },
  { _id: 'c-3', info: { networkSettings: { networks: [{ ipAddress: '203.0.113.8' }] } } },
]

const machines: readonly Json[] = [
  { _id: 'i-0123456789abcdef0', name: 'web-1', hostname: 'host-1' },
  { _id: 'i-0123456789abcdef0', hostname: 'host-1' },
  { _id: 'i-0123456789abcdef0', fqdn: 'ec2-203-0-113-7.eu-west-1.compute.amazonaws.com' },
]

const AWS = { assetId: 'a-1', cloudType: 'aws' }
const GOOGLE = { assetId: 'a-1', cloudType: 'gcp', id: '1', accountId: 'proj-1' }
const AZURE_ID = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/w'
const configurations: readonly Json[] = [
  {
    ...AWS,
    id: 'only-an-id',
    data: { instanceId: 'i-0123456789abcdef0', privateIpAddress: '203.0.113.6' },
  },
  { ...AWS, id: 'only-an-id' },
  {
    ...AWS,
    data: {
      instanceId: 'i-0123456789abcdef0',
      privateIpAddress: '10.0.0.6',
      publicIpAddress: '10.0.0.7',
      networkInterfaces: [
        {
          privateIpAddress: '203.0.113.1',
          association: { publicIp: '10.0.0.1' },
          ipv6Addresses: ['fd00::1', '2001:db8::1'],
          privateIpAddresses: [
            { privateIpAddress: '203.0.113.2', association: { publicIp: '10.0.0.2' } },
          ],
        },
      ],
    },
  },
  { ...AWS, data: { instanceId: 'i-0123456789abcdef0', publicIpAddress: '203.0.113.9' } },
  {
    ...GOOGLE,
    data: {
      kind: 'compute#instance',
      id: '1234567890',
      hostname: 'web-1.example.com',
      disks: [
        { sourceImage: 'projects/x/global/images/first', licenses: ['x/licenses/windows-2022'] },
        {
          boot: true,
          sourceImage: 'projects/x/global/images/debian',
          licenses: ['x/licenses/debian-12'],
        },
      ],
      networkInterfaces: [
        {
          networkIP: '203.0.113.3',
          ipv6Address: 'fd00::2',
          accessConfigs: [{ natIP: '10.0.0.3' }],
        },
        {
          networkIP: '10.0.0.4',
          ipv6Address: '2001:db8::2',
          accessConfigs: [{ natIP: '203.0.113.4' }],
        },
      ],
    },
  },
  { ...GOOGLE, data: { machineType: 'zones/z/machineTypes/e2', id: '1234567890' } },
  {
    vm: {
      assetId: 'a-1',
      cloudType: 'azure',
      data: {
        id: AZURE_ID,
        vmId: '11111111-2222-3333-4444-555555555555',
        properties: { storageProfile: { imageReference: { id: '/subscriptions/s/images/own' } } },
      },
    },
    nics: [
      {
        data: {
          name: 'nic-1',
          properties: {
            ipConfigurations: [
              {
                properties: {
                  privateIPAddress: '203.0.113.5',
                  publicIPAddress: { id: '/subscriptions/s/ip' },
                },
              },
            ],
          },
        },
      },
    ],
    public_ips: [{ data: { id: '/subscriptions/s/ip', properties: { ipAddress: '10.0.0.5' } } }],
  },
  { vm: { assetId: 'a-1', cloudType: 'azure', id: AZURE_ID, data: {} }, nics: [], public_ips: [] },
]

const resources: readonly Json[] = [
  {
    item: {
      unifiedAssetId: 'u-1',
      id: 'i-0123456789abcdef0',
      name: 'ec2-203-0-113-7.eu-west-1.compute.amazonaws.com',
      cloudType: 'aws',
      assetType: 'EC2 Instance',
    },
    uai: {
      data: {
        asset: {
          serviceName: 'EC2',
          vpcId: 'vpc-1',
          ipAddresses: ['10.0.0.7', '203.0.113.7'],
          accountGroup: ['Shop'],
        },
      },
    },
  },
  {
    unifiedAssetId: 'u-2',
    id: 'an-id',
    cloudType: 'aws',
    assetType: 'S3 Bucket',
    vulnerabilityStatus: { high: 2 },
  },
]

const ROW = { ASSET_ID: 'a-1', CVE_ID: 'CVE-2026-0001' }
const rows: readonly Json[] = [
  { ...ROW, ASSET_NAME: 'web-1', DOS: 'High', AT_RISK: 'Y', RISK_FACTORS: 'Recent' },
  {
    asset_type: 'host',
    asset: { id: 'a-1', atRisk: true },
    vulnerability: { cveId: 'CVE-2026-1' },
  },
]

/** By stream. */
export const PRISMA_RECORDS: Readonly<Record<string, readonly Json[]>> = {
  'compute.hosts': hosts,
  'compute.images': images,
  'compute.registry': images,
  'compute.vms': vms,
  'compute.serverless': functions,
  'compute.containers': containers,
  'compute.cloud-vms': machines,
  'cspm.config': configurations,
  'cspm.inventory': resources,
  'cspm.vulnerabilities': rows,
}
