// Stream cspm.config: machines in the cloud as the cloud itself describes them, one search each.
import { z } from 'zod'
import type { PipelineError } from '../../contracts/errors.ts'
import type { Chunk, PullContext, PullEnd } from '../../contracts/ports.ts'
import { PROBE_ATTEMPTS_MAX } from '../../runtime/connector.ts'
import type { JsonElement } from '../../runtime/json-elements.ts'
import { type PrismaCloudClient, cspmMissing } from './client.ts'
import { AZURE_JOINED, AZURE_VMS, readAzureJoin, together } from './cspm-azure-join.ts'
import {
  CONFIG_PATH,
  configEndpoint,
  configPage,
  configQuery,
  readConfigItem,
} from './cspm-config-page.ts'
import { type CspmSource, isRefusal } from './cspm-source.ts'
import {
  START,
  type Token,
  type TokenEnd,
  type TokenPlace,
  pullTokens,
  tokenPlace,
} from './cspm-token-listing.ts'

/** Of one search: a million resources at the usual 100 a page. */
const PAGES_MAX = 10_000
const NOTES_MAX = 50

const notes = z.array(z.string()).max(NOTES_MAX)
const configCheckpoint = z.object({
  /** Name of the search that `place` belongs to. */
  apiName: z.string(),
  place: tokenPlace,
  /** Of the searches before it: pages, resources declared (null: not said), what was wrong. */
  pagesBefore: z.int().min(0),
  declaredBefore: z.int().nullable(),
  refused: z.int().min(0),
  problems: notes,
  drifts: notes,
})
type ConfigCheckpoint = z.infer<typeof configCheckpoint>

export const cspmConfig: CspmSource<ConfigCheckpoint> = {
  vendor: 'prisma-cloud',
  product: 'prisma-cspm',
  stream: 'cspm.config',
  kind: 'SNAPSHOT',
  entities: 'assets',
  checkpoint: configCheckpoint,
  available: (client) => Promise.resolve(cspmMissing(client)),
  filters: ({ config }) => config.configApis.toSorted(),
  pull: (client, from, context) => new ConfigRun(client, from, context).searches(),
  probe: async ({ cspm, config: { configApis } }, ask) => {
    const joined = configApis.includes(AZURE_VMS) ? AZURE_JOINED : []
    for (const apiName of new Set([...configApis, ...joined])) {
      const options = { body: configQuery(apiName, 1), attemptsMax: PROBE_ATTEMPTS_MAX }
      await ask(apiName, () => cspm.json('POST', CONFIG_PATH, options))
    }
  },
}

class ConfigRun {
  readonly #client: PrismaCloudClient
  readonly #context: PullContext
  readonly #from: ConfigCheckpoint | null
  #sofar: Omit<ConfigCheckpoint, 'apiName' | 'place'>
  #lastRefusal: PipelineError | null = null

  constructor(client: PrismaCloudClient, from: ConfigCheckpoint | null, context: PullContext) {
    this.#client = client
    this.#context = context
    this.#from = from
    const nothing = { pagesBefore: 0, declaredBefore: 0, refused: 0, problems: [], drifts: [] }
    this.#sofar = from ?? nothing
  }

  async *searches(): AsyncGenerator<Chunk<ConfigCheckpoint>, PullEnd> {
    const { configApis } = this.#client.config
    const first = this.#from === null ? 0 : Math.max(0, configApis.indexOf(this.#from.apiName))
    for (const [i, apiName] of configApis.slice(first).entries()) {
      const place = i === 0 && this.#from?.apiName === apiName ? this.#from.place : START
      try {
        this.#note(apiName, yield* this.#search(apiName, place))
      } catch (error) {
        if (!isRefusal(error)) throw error
        this.#refused(apiName, error)
      }
    }
    if (this.#lastRefusal !== null && this.#sofar.refused === configApis.length) {
      throw this.#lastRefusal
    }
    return this.#end()
  }

  async *#search(
    apiName: string,
    place: TokenPlace,
  ): AsyncGenerator<Chunk<ConfigCheckpoint>, TokenEnd> {
    const client = this.#client
    const context = this.#context
    const { pagesBefore } = this.#sofar
    const join = apiName === AZURE_VMS && !place.ended ? await readAzureJoin(client, context) : null
    const listing = {
      pagesMax: PAGES_MAX,
      endpoint: configEndpoint,
      page: (token: Token | null) => configPage(client, apiName, token, context),
      read: (element: JsonElement) => join?.unitOf(element) ?? readConfigItem(element),
      checkpoint: (at: TokenPlace): ConfigCheckpoint => ({ ...this.#sofar, apiName, place: at }),
    }
    const pull = pullTokens(listing, place, context)
    for (;;) {
      const next = await pull.next()
      if (next.done === true) {
        const { place: end, problem, drift } = next.value
        return {
          place: end,
          problem: together([join?.problem ?? null, problem]),
          drift: together([join?.drift ?? null, drift]),
        }
      }
      yield { ...next.value, page: next.value.page + pagesBefore }
    }
  }

  #note(apiName: string, { place, problem, drift }: TokenEnd): void {
    const { pagesBefore, declaredBefore, problems, drifts } = this.#sofar
    const declared =
      place.total === null || declaredBefore === null
        ? null
        : declaredBefore + Math.max(0, place.total - place.leftOut)
    this.#sofar = {
      ...this.#sofar,
      pagesBefore: pagesBefore + place.pages,
      declaredBefore: declared,
      problems: problem === null ? problems : added(problems, `${apiName}: ${problem}`),
      drifts: drift === null ? drifts : added(drifts, `${apiName}: ${drift}`),
    }
  }

  /** One search that the tenant does not know; the others go on. */
  #refused(apiName: string, error: PipelineError): void {
    this.#lastRefusal = error
    this.#context.report(error)
    const { problems, refused } = this.#sofar
    const problem = `${apiName}: the search is refused; take it out of configApis if it is unknown`
    this.#sofar = { ...this.#sofar, refused: refused + 1, problems: added(problems, problem) }
  }

  #end(): PullEnd {
    const { declaredBefore: declared, problems, drifts } = this.#sofar
    if (problems.length > 0) return { verdict: 'PARTIAL', declared, reason: problems.join('; ') }
    if (drifts.length > 0) return { verdict: 'DRIFTED', declared, reason: drifts.join('; ') }
    return { verdict: 'COMPLETE', declared, reason: null }
  }
}

const added = (list: readonly string[], text: string): string[] =>
  [...list, text].slice(0, NOTES_MAX)
