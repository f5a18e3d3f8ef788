// Connections as people write them: URLs as pasted, durations, secrets by reference, misspelt keys.
import { describe, expect, it } from 'vitest'
import { cortexConnection } from '../../producers/cortex/config.ts'
import { prismaCloudConnection } from '../../producers/prisma-cloud/config.ts'
import { transportSettings } from '../../runtime/connection-config.ts'
import { problemsOf } from '../support/connect.ts'

const PRISMA = {
  name: 'p1',
  type: 'prisma-cloud',
  url: 'api.prismacloud.io',
  accessKeyId: 'env:ID',
  secretKey: 'file:/run/secrets/prisma',
}
const CORTEX = { name: 'c1', type: 'cortex', url: 'acme.example', apiKey: 'env:KEY', apiKeyId: 12 }
const withUrl = (base: Record<string, unknown>, url: string) => ({ ...base, url })

describe('a connection', () => {
  it('of Prisma Cloud accepts the console URL, a bare host, and a slash at the end', () => {
    const forms = [
      ['https://app2.eu.prismacloud.io/home/en-us?x=1', 'https://api2.eu.prismacloud.io'],
      ['app.prismacloud.cn', 'https://api.prismacloud.cn'],
      ['https://api4.prismacloud.io/', 'https://api4.prismacloud.io'],
      ['http://127.0.0.1:8080/', 'http://127.0.0.1:8080'],
      ['https://app.example.com/x/', 'https://app.example.com/x'],
    ] as const
    for (const [given, url] of forms) {
      expect(prismaCloudConnection.parse(withUrl(PRISMA, given)).url).toBe(url)
    }
  })

  it('of Cortex gets api- once, and only where the vendor’s name asks for it', () => {
    const forms = [
      ['acme.xdr.eu.paloaltonetworks.com', 'https://api-acme.xdr.eu.paloaltonetworks.com'],
      [
        'https://acme.xdr.us.paloaltonetworks.com/home#x',
        'https://api-acme.xdr.us.paloaltonetworks.com',
      ],
      [
        'https://api-acme.xdr.us.paloaltonetworks.com/',
        'https://api-acme.xdr.us.paloaltonetworks.com',
      ],
      ['http://127.0.0.1:9000', 'http://127.0.0.1:9000'],
      ['https://cortex.example.com/', 'https://cortex.example.com'],
    ] as const
    for (const [given, url] of forms) {
      expect(cortexConnection.parse(withUrl(CORTEX, given)).url).toBe(url)
    }
  })

  it('has defaults, and durations in ms', () => {
    expect(prismaCloudConnection.parse(PRISMA)).toMatchObject({ every: 3_600_000, jitter: 10 })
    const streams = { 'cloud.findings': { every: '1d', enabled: false } }
    expect(cortexConnection.parse({ ...CORTEX, every: '15m', streams })).toMatchObject({
      every: 900_000,
      securityLevel: 'standard',
      streams: { 'cloud.findings': { every: 86_400_000, enabled: false } },
    })
  })

  it('names what is unknown, misspelt or missing', () => {
    const typo = { ...PRISMA, secretkey: 'env:X' }
    expect(problemsOf(prismaCloudConnection, typo).join()).toContain('secretkey')
    const stream = { ...CORTEX, streams: { 'cloud.asets': {} } }
    expect(problemsOf(cortexConnection, stream).join()).toMatch(/streams: .*cloud\.asets/)
    expect(problemsOf(cortexConnection, { ...CORTEX, apiKey: undefined })).toHaveLength(1)
    for (const every of ['5', '1w', '0s', '31d', 60]) {
      expect(problemsOf(cortexConnection, { ...CORTEX, every }).join()).toMatch(/^every: /)
    }
    expect(problemsOf(cortexConnection, { ...CORTEX, name: 'Ac me' }).join()).toMatch(/^name: /)
  })

  it('refuses secrets in place of references, and in URLs, without repeating them', () => {
    const wrong = [
      problemsOf(prismaCloudConnection, { ...PRISMA, secretKey: 'canary-secret' }),
      problemsOf(cortexConnection, { ...CORTEX, apiKey: 'canary-secret' }),
      problemsOf(cortexConnection, withUrl(CORTEX, 'https://u:canary-secret@acme.example')),
      problemsOf(cortexConnection, { ...CORTEX, proxy: { url: 'http://u:canary-secret@p:3128' } }),
    ]
    for (const problems of wrong) {
      expect(problems.length).toBeGreaterThan(0)
      expect(problems.join()).not.toContain('canary')
    }
  })

  it('whose caFile cannot be read is a CONFIGURATION error that names it', () => {
    const settings = () => transportSettings({ caFile: './no-such-file.pem' })
    expect(settings).toThrowError(expect.objectContaining({ failure: 'CONFIGURATION' }))
    expect(settings).toThrowError(/no-such-file\.pem/)
  })
})
