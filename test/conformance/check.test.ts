// The connection test asks every endpoint that a pull asks, so that what a role lacks shows there.
import { describe, expect, it } from 'vitest'
import { FAILURES } from '../../contracts/errors.ts'
import type { CheckAnswer } from '../../contracts/ports.ts'
import { cortexConnector } from '../../producers/cortex/connector.ts'
import { prismaCloudConnector } from '../../producers/prisma-cloud/connector.ts'
import type { Simulator, SimulatorOptions } from '../../simulator/simulator.ts'
import { connectCortex, connectPrisma, pullAll } from '../support/connect.ts'
import { type Recording, recordingProxy } from '../support/recording-proxy.ts'
import { runSimulator } from '../support/simulator.ts'
import { QUICK } from '../support/sources.ts'

const TIMEOUT_MS = 120_000

type Reasons = Readonly<Record<string, string>>

/** What only a pull asks, by stream. */
const PULL_ONLY: Readonly<Record<string, Reasons>> = {
  'cspm.config': {
    'POST /search/config/page': 'needs the token of a first page, and is part of that search',
  },
  'cloud.assets': {
    'GET /public_api/v1/assets/schema': 'names fields to ask for besides; may be missing',
  },
  'cloud.findings': {
    'POST /public_api/v1/xql/get_query_results_stream/': 'only a long result has a stream',
  },
  'xdr.findings': {
    'POST /public_api/v1/xql/get_query_results_stream/': 'only a long result has a stream',
  },
}

/** Whose refusal stops no pull, and so is no fault, by stream. */
const MAY_BE_REFUSED: Readonly<Record<string, Reasons>> = {
  'cloud.findings': xqlHelpers(),
  'xdr.findings': xqlHelpers(),
  'xdr.incidents': {
    'POST /public_api/v1/issue/search/': 'who is refused sees that there are issues: not needed',
  },
}
function xqlHelpers(): Reasons {
  return {
    'POST /public_api/v1/xql/get_datasets/': 'without it queries tell which datasets there are',
    'POST /public_api/v1/xql/get_quota/': 'without it the query tells that nothing is left',
  }
}

/** Of the connection, not of a stream: steps of their own. */
const OF_ALL_STREAMS = [
  'POST /login',
  'GET /meta_info',
  'POST /api_keys/validate/',
  'POST /public_api/v1/api_keys/get_api_keys/',
]

/** A tenant in which a pull of the stream goes everywhere it can go. */
const TENANTS: Readonly<Record<string, Partial<SimulatorOptions>>> = {
  'xdr.findings': { cortexFindings: [{ datasets: ['va_endpoints', 'va_cves'] }, {}] },
  'xdr.incidents': { cortexFindings: [{ issues: 'absent' }, {}] },
}
const MACHINES = 60
/** Small bounds: a second page, a download that is cut, a result that is a stream. */
const PRISMA = {
  computeRequestsPer30s: 100_000,
  configPageSize: 2,
  downloadRowsMax: 1,
  overlap: 'keep',
  enrichment: { budget: 2 },
}
const CORTEX = { issues: 'always' }

const worldOf = (stream: string): Promise<Simulator> =>
  runSimulator({ seed: 5, machines: MACHINES, pageLimits: { xqlInline: 5 }, ...TENANTS[stream] })

type Connected = {
  /** The whole stream, as the loop of a connection reads it. */
  readonly pull: () => Promise<void>
  readonly check: () => Promise<readonly CheckAnswer[]>
}
type Subject = {
  readonly vendor: 'prisma-cloud' | 'cortex'
  readonly stream: string
  readonly urlOf: (simulator: Simulator) => string
  /** A connection that reads only this stream, at `url`. */
  readonly connect: (simulator: Simulator, url: string) => Connected
}

const only = (sources: readonly { readonly stream: string }[], wanted: string) =>
  Object.fromEntries(sources.map(({ stream }) => [stream, { enabled: stream === wanted }]))

const prismaSubjects = prismaCloudConnector.sources.map((source): Subject => ({
  vendor: 'prisma-cloud',
  stream: source.stream,
  urlOf: ({ prisma }) => prisma.url,
  connect: ({ prisma }, url) => {
    const streams = only(prismaCloudConnector.sources, source.stream)
    const { client } = connectPrisma({ ...prisma, url }, { ...PRISMA, streams }, QUICK)
    return {
      pull: async () => void (await pullAll(source, client)),
      check: () => prismaCloudConnector.check(client),
    }
  },
}))
const cortexSubjects = cortexConnector.sources.map((source): Subject => ({
  vendor: 'cortex',
  stream: source.stream,
  urlOf: ({ cortex }) => cortex[0].url,
  connect: ({ cortex }, url) => {
    const streams = only(cortexConnector.sources, source.stream)
    const { client } = connectCortex({ ...cortex[0], url }, { ...CORTEX, streams }, QUICK)
    return {
      pull: async () => void (await pullAll(source, client)),
      check: () => cortexConnector.check(client),
    }
  },
}))

/** Method and path; of a configuration search also the name of what is searched. */
function askedIn({ exchanges }: Recording): Set<string> {
  const asked = exchanges.map(({ method, path, body }) => {
    const [, apiName] = /api\.name = '([^']+)'/.exec(body) ?? []
    return `${method} ${path}${apiName === undefined ? '' : ` ${apiName}`}`
  })
  return new Set(asked.filter((endpoint) => !OF_ALL_STREAMS.includes(endpoint)))
}

async function askedBy(
  subject: Subject,
  simulator: Simulator,
  how: keyof Connected,
): Promise<Set<string>> {
  const proxy = await recordingProxy(subject.urlOf(simulator))
  await subject.connect(simulator, proxy.url)[how]()
  return askedIn(proxy)
}

const SUBJECTS = [...prismaSubjects, ...cortexSubjects]

describe.each(SUBJECTS.map((subject) => [subject.stream, subject] as const))('%s', (_, subject) => {
  const { stream, vendor } = subject

  it(
    'is tried at every endpoint that its pull asks',
    async () => {
      const simulator = await worldOf(stream)
      const pulled = await askedBy(subject, simulator, 'pull')
      const checked = await askedBy(subject, simulator, 'check')
      expect(pulled.size).toBeGreaterThan(0)
      const left = [...pulled].filter((endpoint) => !checked.has(endpoint))
      expect(left.toSorted()).toEqual(Object.keys(PULL_ONLY[stream] ?? {}).toSorted())
    },
    TIMEOUT_MS,
  )

  it(
    'is refused by name where one of its endpoints answers 403',
    async () => {
      const simulator = await worldOf(stream)
      const whole = await subject.connect(simulator, subject.urlOf(simulator)).check()
      expect(whole.filter(({ error }) => error !== null)).toEqual([])
      const unseen: string[] = []
      for (const endpoint of await askedBy(subject, simulator, 'check')) {
        const [, path = ''] = endpoint.split(' ')
        const fault = { vendor, endpoint: path.replace(/\/$/, ''), times: 'forever' } as const
        simulator.faults.clear()
        simulator.faults.set({ ...fault, kind: 'status', answer: 'forbidden' })
        const answers = await subject.connect(simulator, subject.urlOf(simulator)).check()
        const refused = answers.filter(({ error }) => error?.failure === 'ACCESS_FORBIDDEN')
        if (refused.length === 0) unseen.push(endpoint)
        for (const { step, error } of refused) {
          expect(step === `read ${stream}` || step.startsWith(`read ${stream} (`)).toBe(true)
          expect(error?.remediation).toBe(FAILURES.ACCESS_FORBIDDEN.remediation)
        }
      }
      expect(unseen.toSorted()).toEqual(Object.keys(MAY_BE_REFUSED[stream] ?? {}).toSorted())
    },
    TIMEOUT_MS,
  )
})

const connectionOf = (stream: string, simulator: Simulator): Connected => {
  const subject = SUBJECTS.find((one) => one.stream === stream)
  if (subject === undefined) throw new Error(`no stream ${stream}`)
  return subject.connect(simulator, subject.urlOf(simulator))
}
const failuresIn = (answers: readonly CheckAnswer[]) =>
  answers.flatMap(({ step, error }) => (error === null ? [] : [[step, error.failure]]))

describe('a stream of several endpoints', () => {
  it('is tried at the others too where one search is refused', async () => {
    const simulator = await runSimulator({ cspm: { unknownApis: ['azure-vm-list'] } })
    const answers = await connectionOf('cspm.config', simulator).check()
    expect(answers.map(({ step }) => step)).toEqual([
      'log in',
      'read cspm.config (aws-ec2-describe-instances)',
      'read cspm.config (azure-vm-list)',
      'read cspm.config (gcloud-compute-instances-list)',
      'read cspm.config (azure-network-nic-list)',
      'read cspm.config (azure-network-public-ip-address-list)',
    ])
    expect(failuresIn(answers)).toEqual([['read cspm.config (azure-vm-list)', 'BAD_REQUEST']])
  })

  it('that does not answer is waited for once', async () => {
    const simulator = await runSimulator()
    const fault = { vendor: 'prisma-cloud', endpoint: 'cspm.config', times: 'forever' } as const
    simulator.faults.set({ ...fault, kind: 'status', answer: 'unavailable' })
    const answers = await connectionOf('cspm.config', simulator).check()
    expect(failuresIn(answers)).toEqual([
      ['read cspm.config (aws-ec2-describe-instances)', 'TEMPORARY_FAILURE'],
    ])
    expect(answers).toHaveLength(2)
  })

  it('that only stands in for another is not missed where it is not needed', async () => {
    const answers = await connectionOf('xdr.incidents', await runSimulator()).check()
    expect(answers).toEqual([{ step: 'validate the key', error: null }])
  })
})
