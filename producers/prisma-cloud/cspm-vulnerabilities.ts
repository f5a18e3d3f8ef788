// Stream cspm.vulnerabilities: the download, in parts small enough for the vendor not to cut them.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { Chunk, PullContext, PullEnd, Unit } from '../../contracts/ports.ts'
import { ChunkBuilder } from '../../runtime/chunks.ts'
import { PROBE_ATTEMPTS_MAX } from '../../runtime/connector.ts'
import { type PrismaCloudClient, cspmMissing } from './client.ts'
import { PRISMA_CLOUD_STREAMS } from './config.ts'
import { DOWNLOAD_PATH, type Download, closeUnread, downloadRows } from './cspm-download.ts'
import {
  ASSETS_PATH,
  ASSET_TYPES,
  type AssetType,
  type Cve,
  hasCves,
  listCves,
  listWeakAssets,
  someCve,
  tryWeakAssets,
} from './cspm-searches.ts'
import { type CspmSource, isEnabled, isRefusal } from './cspm-source.ts'

/** Those that a query can name; rows may have another word, or none. */
const SEVERITIES = ['critical', 'high', 'medium', 'low'] as const
/** Queries are URLs of their own in the vendor's console: they should not be longer. */
const CVES_PER_QUERY_MAX = 100
/** A part is made for so many rows, as assets have a CVE in several packages. */
const FILL_SHARE = 0.5
const PARTS_MAX = 20_000
const DRIFT_SHARE_MAX = 0.01
const PROBLEMS_MAX = 20

/** Asset types that a stream of Compute reads, with what they are made of. */
const TOLD_BY_COMPUTE: Readonly<Partial<Record<AssetType['name'], string>>> = {
  Host: 'compute.hosts',
  'Deployed Image': 'compute.images',
  'Container Registry Image': 'compute.registry',
  'Serverless Function': 'compute.serverless',
  'VM Image': 'compute.vms',
}

/** There is no place to go on from: nothing promises that two downloads have one order. */
export const cspmVulnerabilities: CspmSource<null> = {
  vendor: 'prisma-cloud',
  product: 'prisma-cspm',
  stream: 'cspm.vulnerabilities',
  kind: 'SNAPSHOT',
  entities: 'findings',
  checkpoint: z.null(),
  available: (client) => Promise.resolve(cspmMissing(client)),
  // Which types are left out follows from which streams of Compute are read.
  filters: (client) => ({
    overlap: client.config.overlap,
    compute: Object.values(TOLD_BY_COMPUTE).filter((stream) => isEnabled(client, stream)),
  }),
  pull: (client, _from, context) => new DownloadRun(client, context).chunks(),
  probe: async (client, ask) => {
    const [type] = ASSET_TYPES
    const query = queryOf({ type, severity: null, cves: null })
    await ask(null, () => tryDownload(client, query))
    // These two are asked where a download is cut or empty.
    const cveId = await ask('search', () => someCve(client, query))
    if (typeof cveId !== 'string') return
    await ask('assets of a CVE', () => tryWeakAssets(client, query, cveId, type))
  },
}

/** One CVE that does not exist: permissions show, and nothing has to be put together. */
async function tryDownload(client: PrismaCloudClient, some: string): Promise<void> {
  const answer = await client.cspm.stream('POST', DOWNLOAD_PATH, {
    body: { query: `${some} AND cve.id IN ('CVE-0000-0000')` },
    accept: 'application/octet-stream, */*',
    attemptsMax: PROBE_ATTEMPTS_MAX,
  })
  await closeUnread(answer.body)
}

type Part = {
  readonly type: AssetType
  readonly severity: (typeof SEVERITIES)[number] | null
  readonly cves: readonly Cve[] | null
}

/** @see https://docs.prismacloud.io (vulnerability query attributes; read 2026-11) */
function queryOf({ type, severity, cves }: Part): string {
  const list = (words: readonly string[]) => words.map((word) => `'${word}'`).join(', ')
  return [
    `vulnerability where asset.type IN (${list([type.name])})`,
    ...(severity === null ? [] : [`severity IN (${list([severity])})`]),
    ...(cves === null ? [] : [`cve.id IN (${list(cves.map((cve) => cve.id))})`]),
  ].join(' AND ')
}

/** What a cut download gave and its parts did not yet. */
type Pending = {
  /** Ids of rows. */
  readonly ids: Set<string>
  /** Texts of rows that are no units: they may lack what the parts are asked for by. */
  readonly rejected: Set<string>
}

class DownloadRun {
  readonly #client: PrismaCloudClient
  readonly #context: PullContext
  readonly #builder = new ChunkBuilder()
  readonly #problems: string[] = []
  /** Of downloads that were cut and are read again in parts; the innermost is the last. */
  readonly #pending: Pending[] = []
  /** One row of each part that was given: parts share none. */
  readonly #samples = new Set<string>()
  readonly #empty: Part[] = []
  #parts = 0
  #given = 0
  #slipped = 0

  constructor(client: PrismaCloudClient, context: PullContext) {
    this.#client = client
    this.#context = context
  }

  async *chunks(): AsyncGenerator<Chunk<null>, PullEnd> {
    const refusals: PipelineError[] = []
    const types = await this.#types()
    for (const type of types) {
      try {
        yield* this.#part({ type, severity: null, cves: null })
      } catch (error) {
        // A tenant may not know every type; the others go on.
        if (!isRefusal(error)) throw error
        refusals.push(error)
        this.#problem(`${type.name}: the download is refused`, error)
      }
    }
    const [first] = refusals
    if (first !== undefined && refusals.length === types.length) throw first
    await this.#checkEmpty()
    return this.#end()
  }

  /** Without those that Compute tells in this connection, where that is not wanted twice. */
  async #types(): Promise<readonly AssetType[]> {
    if (this.#client.config.overlap === 'keep' || !(await this.#hasCompute())) return ASSET_TYPES
    return ASSET_TYPES.filter(({ name }) => {
      const stream = TOLD_BY_COMPUTE[name]
      const isRead = PRISMA_CLOUD_STREAMS.some((known) => known === stream)
      return stream === undefined || !isRead || !isEnabled(this.#client, stream)
    })
  }

  /** @throws PipelineError when it cannot be found out: then nobody knows what to leave out */
  async #hasCompute(): Promise<boolean> {
    try {
      await this.#client.compute()
      return true
    } catch (error) {
      if (error instanceof PipelineError && error.failure === 'NOT_LICENSED') return false
      throw error
    }
  }

  async *#part(part: Part): AsyncGenerator<Chunk<null>, void> {
    this.#parts += 1
    if (this.#parts > PARTS_MAX) throw tooManyParts()
    const download = await downloadRows(this.#client, queryOf(part), this.#context)
    if (download.count === 0 && part.severity === null) this.#empty.push(part)
    if (download.count < this.#client.config.downloadRowsMax)
      return yield* this.#whole(part, download)
    // Cut, though nobody says so: as many rows came as there can be.
    if (part.cves?.length === 1) return yield* this.#assetsOf(part, download)
    let parts: readonly Part[]
    try {
      parts = await this.#split(part, download)
    } catch (error) {
      if (part.cves !== null || part.severity !== null) {
        return yield* this.#giveUp(part, download, error)
      }
      // More than was cut, yet no proof of all: other words than these cannot be asked for.
      this.#short(part, download, error)
      parts = SEVERITIES.map((word) => ({ ...part, severity: word }))
    }
    const rejected = new Set(download.rejected.map(({ body }) => body.toString()))
    this.#pending.push({ ids: new Set(download.units.keys()), rejected })
    for (const smaller of parts) yield* this.#part(smaller)
    yield* this.#giveSlipped(download)
  }

  /**
   * The same rows in several smaller parts: by CVE, as every row has one, and any severity or none.
   * @throws PipelineError when there is no way to know
   */
  async #split(part: Part, download: Download): Promise<readonly Part[]> {
    const { cves } = part
    if (cves !== null) {
      const half = Math.ceil(cves.length / 2)
      return [cves.slice(0, half), cves.slice(half)].map((some) => ({ ...part, cves: some }))
    }
    const listed = await listCves(this.#client, queryOf(part), this.#context)
    const rowsMax = this.#client.config.downloadRowsMax * FILL_SHARE
    return groupsOf([...listed, ...unlisted(listed, download)], rowsMax).map((some) => ({
      ...part,
      cves: some,
    }))
  }

  /** One CVE on too many assets: their list tells neither package nor fix, but has all of them. */
  async *#assetsOf(part: Part, download: Download): AsyncGenerator<Chunk<null>, void> {
    const [cve] = part.cves ?? []
    if (cve === undefined) return
    if (cve.bytes === null) {
      const text = `the search does not list ${cve.id}, which a download has`
      return yield* this.#giveUp(part, download, new PipelineError('MISSING_DATA', 'FETCH', text))
    }
    let assets
    try {
      const query = queryOf(part)
      assets = await listWeakAssets(this.#client, query, cve.id, part.type, this.#context)
    } catch (error) {
      return yield* this.#giveUp(part, download, error)
    }
    const known = new Set(assets.map((asset) => asset.id))
    for (const { id, bytes } of assets) {
      const unit = `${id}|${cve.id}|`
      const body = Buffer.concat([
        Buffer.from(`{"sources":${SOURCES},"asset_type":"${part.type.word}","vulnerability":`),
        cve.bytes,
        Buffer.from(',"asset":'),
        bytes,
        Buffer.from('}'),
      ])
      const facts = { body, sizeBytes: body.length, contentType: 'application/json', columns: null }
      yield* this.#add({ unit, assetNativeId: id, ...facts }, ASSETS_PATH, download.fetchedAtMs)
    }
    for (const { ids } of this.#pending) {
      for (const id of ids) {
        const [asset = '', cveId] = id.split('|')
        if (cveId === cve.id && known.has(asset)) ids.delete(id)
      }
    }
    yield* this.#flush(ASSETS_PATH, download.fetchedAtMs)
    const others = [...download.units].filter(([, unit]) => !known.has(unit.assetNativeId))
    yield* this.#give({ ...download, units: new Map(others) })
    for (const [, unit] of others) known.add(unit.assetNativeId)
    if (known.size >= cve.assets) return
    const text = `${nameOf(part)}: ${known.size} of ${cve.assets} assets were listed`
    this.#problem(text, new PipelineError('MISSING_DATA', 'FETCH', text))
  }

  /** A part that was not cut. */
  async *#whole(part: Part, download: Download): AsyncGenerator<Chunk<null>, void> {
    if ([...download.units.keys()].some((id) => this.#samples.has(id))) {
      const text = `${nameOf(part)}: the rows of another query came`
      return this.#problem(text, new PipelineError('INVALID_RESPONSE', 'FETCH', text))
    }
    const [first] = download.units.keys()
    if (first !== undefined) this.#samples.add(first)
    yield* this.#give(download)
  }

  /**
   * A type or some CVEs without rows beside others with rows: is it so? Where the search may not be
   * asked there is nothing to doubt it by.
   */
  async #checkEmpty(): Promise<void> {
    if (this.#given === 0) return
    for (const part of this.#empty) {
      if (!(await hasCves(this.#client, queryOf(part), this.#context))) continue
      const text = `${nameOf(part)}: the download is empty, and the search is not`
      this.#problem(text, new PipelineError('MISSING_DATA', 'FETCH', text))
    }
  }

  async *#give(download: Download): AsyncGenerator<Chunk<null>, void> {
    for (const unit of download.units.values()) {
      yield* this.#add(unit, DOWNLOAD_PATH, download.fetchedAtMs)
      for (const { ids } of this.#pending) ids.delete(unit.unit)
    }
    for (const item of download.rejected) {
      if (!this.#builder.hasRoomFor(item.body.length)) {
        yield* this.#flush(DOWNLOAD_PATH, download.fetchedAtMs)
      }
      this.#builder.reject(item)
      for (const { rejected } of this.#pending) rejected.delete(item.body.toString())
    }
    yield* this.#flush(DOWNLOAD_PATH, download.fetchedAtMs)
  }

  /** What the parts should have given and did not; a few rows are fixed meanwhile. */
  async *#giveSlipped(download: Download): AsyncGenerator<Chunk<null>, void> {
    const left = this.#pending.pop()
    if (left === undefined) return
    this.#slipped += left.ids.size
    const units = new Map([...download.units].filter(([id]) => left.ids.has(id)))
    const rejected = download.rejected.filter(({ body }) => left.rejected.has(body.toString()))
    yield* this.#give({ ...download, units, rejected })
  }

  /** The rows that came are true, but not all: the run is told to be short. */
  async *#giveUp(
    part: Part,
    download: Download,
    error: unknown,
  ): AsyncGenerator<Chunk<null>, void> {
    this.#short(part, download, error)
    yield* this.#give(download)
  }

  /** @throws what says nothing of this part alone */
  #short(part: Part, download: Download, error: unknown): void {
    const stopped = this.#context.signal.aborted
    const isOurs = !(error instanceof PipelineError) || error.failure === 'AUTHORIZATION_FAILURE'
    if (isOurs || stopped) throw error
    const why = part.cves === null && part.severity === null ? 'by CVE' : 'in parts'
    this.#problem(
      `${nameOf(part)}: cut at ${download.count} rows, and cannot be read ${why}`,
      error,
    )
  }

  async *#add(unit: Unit, endpoint: string, fetchedAtMs: number): AsyncGenerator<Chunk<null>> {
    if (!this.#builder.hasRoomFor(unit.sizeBytes)) yield* this.#flush(endpoint, fetchedAtMs)
    this.#builder.add(unit)
    this.#given += 1
  }

  *#flush(endpoint: string, fetchedAtMs: number): Generator<Chunk<null>, void> {
    if (this.#builder.isEmpty) return
    yield this.#builder.take({ endpoint, fetchedAtMs, page: this.#parts, checkpoint: null })
  }

  #problem(text: string, error: PipelineError): void {
    this.#context.report(error)
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(text)
  }

  #end(): PullEnd {
    const declared = null
    const slipped = `${this.#slipped} of ${this.#given} rows came with a cut download only`
    const reasons = [...this.#problems, ...(this.#slipped === 0 ? [] : [slipped])]
    if (reasons.length === 0) return { verdict: 'COMPLETE', declared, reason: null }
    const isSmall = this.#problems.length === 0 && this.#slipped < DRIFT_SHARE_MAX * this.#given
    return { verdict: isSmall ? 'DRIFTED' : 'PARTIAL', declared, reason: reasons.join('; ') }
  }
}

const SOURCES = JSON.stringify({
  vulnerability: 'vulnerabilities/search',
  asset: 'vulnerabilities/search/asset',
})

/** A part by its type, severity and first CVE. */
const nameOf = ({ type, severity, cves }: Part): string =>
  [type.name, severity, cves?.[0]?.id].filter((word) => typeof word === 'string').join(', ')

/** CVEs of the rows that came, where the search does not know them: one more may have slipped. */
function unlisted(listed: readonly Cve[], { units }: Download): Cve[] {
  const known = new Set(listed.map((cve) => cve.id))
  const ids = new Set([...units.keys()].map((id) => id.split('|')[1] ?? ''))
  return [...ids.difference(known)].map((id) => ({ id, assets: 1, bytes: null }))
}

/** Groups whose assets together are few enough, as far as the search knows. */
function groupsOf(cves: readonly Cve[], assetsMax: number): Cve[][] {
  const groups: Cve[][] = []
  let assets = 0
  for (const cve of cves) {
    const last = groups.at(-1)
    const fits = last !== undefined && last.length < CVES_PER_QUERY_MAX
    if (fits && assets + cve.assets <= assetsMax) {
      last.push(cve)
      assets += cve.assets
    } else {
      groups.push([cve])
      assets = cve.assets
    }
  }
  return groups
}

const tooManyParts = (): PipelineError =>
  new PipelineError('INTERNAL', 'FETCH', `more than ${PARTS_MAX} downloads in one run`)
