// What a tenant has bought, when its key ends, and why a key that looks right is refused.
import { describe, expect, it } from 'vitest'
import type { ConnectorError } from '../../contracts/connector-error.ts'
import type { Failure, PipelineError } from '../../contracts/errors.ts'
import { cloudAssets } from '../../producers/cortex/cloud-assets.ts'
import { cortexConnector } from '../../producers/cortex/connector.ts'
import { createClassify } from '../../producers/cortex/errors.ts'
import { keyEndWarning } from '../../producers/cortex/key-end.ts'
import { lacksAll, readLicences } from '../../producers/cortex/licence.ts'
import { cloudVulnerabilities } from '../../producers/cortex/uvem-vulnerabilities.ts'
import { xdrEndpoints } from '../../producers/cortex/xdr-endpoints.ts'
import { xpanseAssets } from '../../producers/cortex/xpanse-assets.ts'
import { xpanseServices } from '../../producers/cortex/xpanse-services.ts'
import { createErrorReporter } from '../../runtime/error-reporter.ts'
import { createLogger } from '../../runtime/log.ts'
import type { TenantBehaviour } from '../../simulator/cortex/tenant.ts'
import { connectCortex } from '../support/connect.ts'
import { sampleJson, samplesPresent } from '../support/samples.ts'
import { runSimulator } from '../support/simulator.ts'

const DAY_MS = 86_400_000
const SOURCES = [xdrEndpoints, xpanseAssets, xpanseServices, cloudAssets, cloudVulnerabilities]

/** A tenant that answers so, its client, and what its streams report. */
async function tenant(behaviour: Partial<TenantBehaviour> = {}, keyEndsMs?: number) {
  const simulator = await runSimulator({
    cortexTenants: [behaviour, {}],
    ...(keyEndsMs === undefined ? {} : { cortexKeysEndMs: keyEndsMs }),
  })
  const over: Failure[] = []
  const onOver = (failure: Failure) => over.push(failure)
  const { client } = connectCortex(simulator.cortex[0], {}, { onOver })
  const reported: PipelineError[] = []
  const context = {
    signal: new AbortController().signal,
    nowMs: Date.now,
    report: (error: PipelineError) => reported.push(error),
  }
  const missing = async (): Promise<Record<string, PipelineError>> => {
    const found: Record<string, PipelineError> = {}
    for (const source of SOURCES) {
      const error = (await source.available?.(client, context)) ?? null
      if (error !== null) found[source.stream] = error
    }
    return found
  }
  return { simulator, client, reported, over, missing }
}

describe('a stream', () => {
  it('is there in every tenant that has bought all', async () => {
    const { missing, reported } = await tenant()
    expect(await missing()).toEqual({})
    expect(reported).toEqual([])
  })

  it.each(['payment-required', 'no-identity-threat', 'not-found', 'waitress'] as const)(
    'that is not licensed is told as that, and the others go on: %s',
    async (unlicensed) => {
      const { missing, reported, simulator } = await tenant({ licences: ['xdr'], unlicensed })
      const found = await missing()
      expect(Object.keys(found)).toEqual([
        'xpanse.assets',
        'xpanse.services',
        'cloud.assets',
        'cloud.vulnerabilities',
      ])
      expect(found['xpanse.assets']).toMatchObject({ failure: 'NOT_LICENSED', stage: 'FETCH' })
      const { message } = found['xpanse.assets'] ?? { message: '' }
      expect(message).toContain('xpanse.assets is not licensed')
      expect(message).toContain('no attack_surface_management')
      expect(found['cloud.assets']?.message).toContain('pro_cloud until 2023-08-13')
      expect(reported).toEqual([])
      const streams = new Set(
        simulator
          .truth()
          .assets.filter((a) => a.tenant === 'sim-alpha')
          .map((a) => a.stream),
      )
      expect(streams).toEqual(new Set(['xdr.endpoints']))
    },
  )

  it('is asked for by its endpoint alone where the tenant tells no licences', async () => {
    const silent = { licences: ['xdr'], tenantInfo: 'refused' } as const
    const told = await tenant({ ...silent, unlicensed: 'payment-required' })
    expect(Object.keys(await told.missing())).toHaveLength(4)
    // Nothing says that this is about licences: the pull shows what it is.
    const untold = await tenant({ ...silent, unlicensed: 'waitress' })
    expect(await untold.missing()).toEqual({})
  })

  it('that fails for another reason is left to its pull, and the fault is told', async () => {
    const { missing, reported, simulator } = await tenant()
    const fault = { vendor: 'cortex', kind: 'status', times: 'forever' } as const
    simulator.faults.set(
      { ...fault, endpoint: 'xpanse.assets', answer: 'unavailable' },
      { ...fault, endpoint: 'xpanse.services', answer: 'forbidden' },
    )
    expect(await missing()).toEqual({})
    // What is final is told by the pull itself, with its run.
    expect(reported.map((error) => error.failure)).toEqual(['TEMPORARY_FAILURE'])
  })

  it('asks for the licences of its tenant once an hour at most', async () => {
    const { missing, simulator } = await tenant({ licences: ['xdr'] })
    await missing()
    await missing()
    const site = simulator.stats().sites.find((s) => s.tenant === 'sim-alpha')
    expect(site?.endpoints['tenant-info']?.requests).toBe(1)
  })

  it('that is not licensed is named by the check, as is a role that may not read it', async () => {
    const { client } = await tenant({ licences: ['xdr', 'cloud', 'uvem'] })
    const answers = await cortexConnector.check(client)
    const refused = answers.filter(({ error }) => error !== null)
    expect(refused.map(({ step, error }) => [step, error?.failure])).toEqual([
      ['read xpanse.assets', 'NOT_LICENSED'],
      ['read xpanse.services', 'NOT_LICENSED'],
    ])
    const agents = await tenant({ role: 'agents-only' })
    const denied = (await cortexConnector.check(agents.client)).filter((a) => a.error !== null)
    expect(new Set(denied.map((a) => a.error?.failure))).toEqual(new Set(['ACCESS_FORBIDDEN']))
    expect(denied.map((a) => a.step)).toContain('read cloud.vulnerabilities')
    expect(denied.map((a) => a.step)).not.toContain('read xdr.endpoints')
  })
})

describe('the licences of a tenant', () => {
  it('end in numbers, in words, never, or in what nobody can read', () => {
    const reply = {
      a_expiration: 0,
      b_expiration: 1_900_000_000_000,
      c_expiration: 1_900_000_000,
      d_expiration: 'Nov 7th 2025 07:59:59',
      e_expiration: 'Aug 2nd 2026',
      f_expiration: '1900000000000',
      g_expiration: 'someday',
      h_expiration: null,
      purchased_a: 4,
    }
    expect(Object.fromEntries(readLicences({ reply }))).toEqual({
      a: 0,
      b: 1_900_000_000_000,
      c: 1_900_000_000_000,
      d: Date.UTC(2025, 10, 7, 7, 59, 59),
      e: Date.UTC(2026, 7, 2),
      f: 1_900_000_000_000,
      g: null,
      h: null,
    })
    expect(readLicences('nothing').size).toBe(0)
  })

  it.skipIf(!samplesPresent)('are read from the vendor’s examples', () => {
    const examples = sampleJson('cortex/spec-examples.json') as Record<string, unknown>
    const { response_examples: given } = examples['POST /public_api/v1/system/get_tenant_info'] as {
      response_examples: Record<string, { value: unknown }>
    }
    const premium = readLicences(given['Example 1']?.value)
    expect(premium.get('xsiam_premium')).toBe(12_478_046_378_000)
    expect(premium.get('prevent')).toBe(0)
    const pro = readLicences(given['Example 2']?.value)
    expect(pro.get('pro_per_endpoint')).toBe(Date.UTC(2025, 10, 7, 7, 59, 59))
    expect(pro.get('identity_threat')).toBe(Date.UTC(2023, 7, 13, 11, 3, 41))
  })

  it('lack a stream only where they say so', () => {
    const nowMs = Date.UTC(2026, 0, 1)
    const licences = new Map([
      ['none', 0],
      ['ended', nowMs - 1],
      ['current', nowMs + 1],
      ['odd', null],
    ])
    expect(lacksAll(licences, ['none', 'ended'], nowMs)).toBe(true)
    expect(lacksAll(licences, ['none', 'current'], nowMs)).toBe(false)
    expect(lacksAll(licences, ['none', 'odd'], nowMs)).toBe(false)
    expect(lacksAll(licences, ['unheard-of'], nowMs)).toBe(false)
  })
})

describe('the end of a key', () => {
  it.each([
    [15, null],
    [14, '14d'],
    [8, '14d'],
    [7, '7d'],
    [2, '7d'],
    [1, '1d'],
    [0.1, '1d'],
  ])('%d days away is told at the threshold %j', (days, subject) => {
    const nowMs = Date.UTC(2026, 0, 1)
    const warning = keyEndWarning(nowMs + days * DAY_MS, nowMs)
    expect(warning?.details.subject ?? null).toBe(subject)
    if (warning !== null) expect(warning).toMatchObject({ failure: 'CREDENTIAL_EXPIRING' })
  })

  it('is asked for once an hour, and told by whichever stream comes first', async () => {
    const { missing, reported, simulator, over } = await tenant({}, Date.now() + 3 * DAY_MS)
    await missing()
    await missing()
    expect(reported.map((e) => [e.failure, e.stage, e.details.subject])).toEqual([
      ['CREDENTIAL_EXPIRING', 'AUTH', '7d'],
    ])
    expect(reported[0]?.message).toMatch(/ends at \d{4}-\d\d-\d\dT/)
    expect(over).toEqual([])
    const site = simulator.stats().sites.find((s) => s.tenant === 'sim-alpha')
    expect(site?.endpoints['api-keys.list']?.requests).toBe(1)
  })

  it('that is far away or never comes is over, and nobody knows where nobody may ask', async () => {
    for (const end of [undefined, Date.now() + 90 * DAY_MS]) {
      const { missing, reported, over } = await tenant({}, end)
      await missing()
      expect([reported, over]).toEqual([[], ['CREDENTIAL_EXPIRING']])
    }
    const untold = await tenant({ role: 'viewer-without-keys' }, Date.now() + DAY_MS)
    expect(await untold.missing()).toEqual({})
    expect([untold.reported, untold.over]).toEqual([[], []])
  })

  it('is raised once per threshold, and no success of a run clears it', async () => {
    const events: ConnectorError[] = []
    let nowMs = Date.UTC(2026, 0, 1)
    const reporter = createErrorReporter({
      prefix: '',
      version: '0',
      send: () => Promise.resolve(),
      encode: (event) => {
        events.push(event)
        return Buffer.alloc(0)
      },
      open: [],
      readTail: async () => [],
      disconnectedAfterMs: DAY_MS,
      nowMs: () => nowMs,
      log: createLogger('test'),
    })
    const none = { product: null, stream: null, sink: null, runId: null }
    const scope = { connection: 'c', vendor: 'cortex', ...none } as const
    const endsAtMs = nowMs + 10 * DAY_MS
    for (let day = 0; day < 6; day += 1) {
      const warning = keyEndWarning(endsAtMs, nowMs)
      if (warning !== null) reporter.raise(warning, scope)
      reporter.clear({ connection: 'c', stream: null, stages: ['CONFIG', 'AUTH', 'FETCH'] })
      nowMs += DAY_MS
    }
    expect(events.map((event) => event.state)).toEqual(['RAISED', 'RAISED'])
    reporter.clear({ connection: 'c', failures: ['CREDENTIAL_EXPIRING'] })
    expect(events.slice(2).map((event) => event.state)).toEqual(['CLEARED', 'CLEARED'])
    await reporter.flush(30_000)
  })
})

describe('a refused key', () => {
  const answer = (headers: Record<string, string> = {}) =>
    ({ method: 'POST', path: '/p', status: 401, headers, text: '', complete: true }) as const
  const unknown = { workedBefore: false, nowMs: () => null }

  it('that worked in this process or an earlier one has probably expired', () => {
    expect(createClassify(unknown)(answer())?.hint).toBeUndefined()
    expect(createClassify({ ...unknown, workedBefore: true })(answer())?.hint).toContain('expired')
    const classify = createClassify(unknown)
    classify({ ...answer(), status: 200, text: 'true' })
    expect(classify(answer())).toMatchObject({
      hint: expect.stringContaining('worked before'),
      remediation: expect.stringContaining('Make a new one'),
    })
  })

  it('of the Advanced kind is told of a clock more than a minute off', () => {
    const nowMs = Date.UTC(2026, 0, 1)
    const at = (seconds: number) => {
      const date = new Date(nowMs - seconds * 1_000).toUTCString()
      const history = { workedBefore: false, nowMs: () => nowMs }
      return createClassify(history)(answer({ date }))?.hint
    }
    expect(at(312)).toBe("our clock is 312 s ahead of the vendor's")
    expect(at(-90)).toBe("our clock is 90 s behind the vendor's")
    expect(at(60)).toBeUndefined()
    expect(
      createClassify(unknown)(answer({ date: new Date(0).toUTCString() }))?.hint,
    ).toBeUndefined()
  })

  it('says so in the message, over real HTTP', async () => {
    const simulator = await runSimulator()
    const [standard, advanced] = simulator.cortex
    const late = { nowMs: () => Date.now() + 400_000 }
    const skewed = connectCortex(advanced, {}, late).client
    const [answered] = await cortexConnector.check(skewed)
    expect(answered?.error).toMatchObject({ failure: 'AUTHORIZATION_FAILURE' })
    expect(answered?.error?.message).toMatch(/our clock is (399|400|401) s ahead of the vendor's/)
    expect(answered?.error?.remediation).toContain('NTP')

    const wrong = { ...standard, apiKey: 'canary-wrong-key' }
    const { client } = connectCortex(wrong, {}, { workedBefore: true })
    const [refused] = await cortexConnector.check(client)
    expect(refused?.error?.message).toContain('this key worked before: it has probably expired')
    expect(refused?.error?.message).not.toContain('canary')
  })
})
