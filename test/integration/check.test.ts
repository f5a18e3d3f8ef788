// `exposure check` against the simulated vendors: steps that work, and every row of the tables.
import { describe, expect, it } from 'vitest'
import { FAILURES, type Failure } from '../../contracts/errors.ts'
import type { Fault } from '../../simulator/faults.ts'
import { PROVOKE } from '../../simulator/provoke.ts'
import { type Ended, type ProductOptions, startProduct } from '../support/product.ts'

const TEST_TIMEOUT_MS = 120_000
/** Within this somebody who waits gets an answer, whatever is broken. */
const ANSWER_MS_MAX = 60_000
type OnFinished = NonNullable<ProductOptions['onFinished']>
type Name = 'prisma' | 'alpha'

const start = (name: Name, onFinished: OnFinished, connection: object = {}) =>
  startProduct({ connections: [name], connection, onFinished, simulator: { machines: 5 } })

const lines = ({ stdout }: Ended) => stdout.trimEnd().split('\n')
const forever = { times: 'forever', kind: 'status' } as const
const prisma = { vendor: 'prisma-cloud', ...forever } as const
const cortex = { vendor: 'cortex', ...forever } as const

type Row = {
  readonly name: Name
  readonly faults: readonly Fault[]
  readonly failure: Failure
  readonly step: string
}
const ROWS: readonly Row[] = [
  {
    name: 'prisma',
    faults: PROVOKE['prisma-cloud'].AUTHORIZATION_FAILURE,
    failure: 'AUTHORIZATION_FAILURE',
    step: 'log in',
  },
  {
    name: 'prisma',
    faults: PROVOKE['prisma-cloud'].ACCESS_FORBIDDEN,
    failure: 'ACCESS_FORBIDDEN',
    step: 'read compute.hosts',
  },
  {
    name: 'prisma',
    faults: PROVOKE['prisma-cloud'].NOT_FOUND,
    failure: 'NOT_FOUND',
    step: 'log in',
  },
  {
    name: 'prisma',
    faults: [{ ...prisma, endpoint: 'compute.hosts', answer: 'too-many-requests' }],
    failure: 'TOO_MANY_REQUESTS',
    step: 'read compute.hosts',
  },
  {
    name: 'prisma',
    faults: PROVOKE['prisma-cloud'].TEMPORARY_DISCONNECTED,
    failure: 'TEMPORARY_FAILURE',
    step: 'log in',
  },
  {
    name: 'prisma',
    faults: PROVOKE['prisma-cloud'].MISSING_DATA,
    failure: 'MISSING_DATA',
    step: 'read compute.hosts',
  },
  {
    name: 'alpha',
    faults: PROVOKE.cortex.MISSING_DATA,
    failure: 'MISSING_DATA',
    step: 'read cloud.assets',
  },
  {
    name: 'alpha',
    faults: PROVOKE.cortex.AUTHORIZATION_FAILURE,
    failure: 'AUTHORIZATION_FAILURE',
    step: 'validate the key',
  },
  {
    name: 'alpha',
    faults: PROVOKE.cortex.ACCESS_FORBIDDEN,
    failure: 'ACCESS_FORBIDDEN',
    step: 'read cloud.assets',
  },
  {
    name: 'alpha',
    faults: [{ ...cortex, endpoint: 'xql.start', answer: 'forbidden' }],
    failure: 'ACCESS_FORBIDDEN',
    step: 'read cloud.findings',
  },
  {
    name: 'alpha',
    faults: PROVOKE.cortex.NOT_FOUND,
    failure: 'NOT_FOUND',
    step: 'validate the key',
  },
  {
    name: 'alpha',
    faults: [{ ...cortex, answer: 'too-many-requests' }],
    failure: 'TOO_MANY_REQUESTS',
    step: 'validate the key',
  },
  {
    name: 'alpha',
    faults: PROVOKE.cortex.TEMPORARY_DISCONNECTED,
    failure: 'TEMPORARY_FAILURE',
    step: 'validate the key',
  },
]

describe('exposure check', { timeout: TEST_TIMEOUT_MS }, () => {
  it.concurrent('says ok to every step of every connection', async ({ onTestFinished }) => {
    const { exposure, simulator } = await startProduct({ onFinished: onTestFinished })
    const ended = await exposure(['check'])
    expect([ended.code, ended.stderr]).toEqual([0, ''])
    const cortexSteps = [
      '  ok      validate the key',
      '  ok      read xdr.endpoints',
      '  ok      read cloud.assets',
      '  ok      read cloud.findings',
    ]
    expect(lines(ended)).toEqual([
      `prisma (prisma-cloud, ${simulator.prisma.url}): connected`,
      '  ok      log in',
      '  ok      find the Compute console',
      '  ok      read compute.hosts',
      `alpha (cortex, ${simulator.cortex[0].url}): connected`,
      ...cortexSteps,
      `beta (cortex, ${simulator.cortex[1].url}): connected`,
      ...cortexSteps,
    ])
  })

  it.concurrent.for(ROWS)(
    'tells $name $failure at the step "$step", with the next step',
    async ({ name, faults, failure, step }, { onTestFinished }) => {
      const { exposure, simulator, secrets } = await start(name, onTestFinished)
      simulator.faults.set(...faults)
      const ended = await exposure(['check', name])
      expect([ended.code, ended.stderr]).toEqual([3, ''])
      const said = lines(ended)
      const at = said.findIndex((line) =>
        line.startsWith(`  FAILED  ${step}: ${FAILURES[failure].title} - `),
      )
      expect(said[at], ended.stdout).toBeDefined()
      const own = failure === 'NOT_FOUND' && name === 'alpha' ? 'Check the API URL' : null
      const next = said[at + 1]?.trim() ?? ''
      if (own === null) expect(next).toBe(`next step: ${FAILURES[failure].remediation}`)
      else expect(next).toContain(own)
      for (const key of ['PRISMA_ID', 'PRISMA_SECRET', 'CORTEX_ALPHA_KEY']) {
        const secret = secrets[key]
        if (secret !== undefined) expect(ended.stdout).not.toContain(secret)
      }
    },
  )

  it.concurrent('passes over a fault that one retry cures', async ({ onTestFinished }) => {
    const { exposure, simulator } = await start('prisma', onTestFinished)
    simulator.faults.set({ vendor: 'prisma-cloud', kind: 'status', answer: 'bad-gateway' })
    expect((await exposure(['check'])).code).toBe(0)
  })

  it.concurrent('names the other security level when the key has it', async (context) => {
    const { exposure } = await start('alpha', context.onTestFinished, { securityLevel: 'advanced' })
    const ended = await exposure(['check'])
    expect(ended.code).toBe(3)
    expect(ended.stdout).toContain('next step: Set securityLevel: standard for this connection.')
  })

  it.concurrent('refuses a name that no connection has', async ({ onTestFinished }) => {
    const { exposure } = await start('prisma', onTestFinished)
    const ended = await exposure(['check', 'prisma', 'nobody'])
    expect([ended.code, ended.stdout]).toEqual([2, ''])
    expect(ended.stderr).toBe('exposure: no connection named nobody. Try: exposure --help\n')
  })

  it.concurrent('says so when a secret is not set', async ({ onTestFinished }) => {
    const { exposure } = await start('prisma', onTestFinished)
    const ended = await exposure(['check'], { PRISMA_SECRET: '' })
    expect(ended.code).toBe(3)
    expect(ended.stdout).toContain('the secret env:PRISMA_SECRET is not set or empty')
  })

  it.concurrent('answers soon when nobody listens', async ({ onTestFinished }) => {
    // The port of tcpmux, which no machine of today serves.
    const url = 'http://127.0.0.1:1'
    const { exposure } = await start('prisma', onTestFinished, { url })
    const began = performance.now()
    const ended = await exposure(['check'])
    expect(performance.now() - began).toBeLessThan(ANSWER_MS_MAX)
    expect(ended.code).toBe(3)
    expect(ended.stdout).toContain('FAILED  log in: Temporary failure')
    expect(ended.stdout).toContain('ECONNREFUSED')
  })

  it.concurrent.for(['prisma', 'alpha'] as const)(
    'answers soon when the host of %s does not exist',
    async (name, { onTestFinished }) => {
      const { exposure } = await start(name, onTestFinished, { url: 'https://api.nowhere.invalid' })
      const began = performance.now()
      const ended = await exposure(['check'])
      expect(performance.now() - began).toBeLessThan(ANSWER_MS_MAX)
      expect(ended.code).toBe(3)
      // A resolver that is away itself says "again" instead of "no such host".
      expect(ended.stdout).toMatch(/FAILED {2}(log in|validate the key): (Not found|Temporary)/)
      expect(ended.stdout).toMatch(/next step: \S+/)
    },
  )
})
