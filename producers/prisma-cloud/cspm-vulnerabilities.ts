// Stream cspm.vulnerabilities: the download, in parts small enough for the vendor not to cut them.
import { z } from 'zod'
import { PipelineError } from '../../contracts/errors.ts'
import type { Chunk, PullContext, PullEnd, Unit } from '../../contracts/ports.ts'
import { ChunkBuilder } from '../../runtime/chunks.ts'
import { PROBE_ATTEMPTS_MAX } from '../../runtime/connector.ts'
import { type PrismaCloudClient, cspmMissing } from './client.ts'
import { DOWNLOAD_PATH, type Download, closeUnread, downloadRows } from './cspm-download.ts'
import {
  type Part,
  SEVERITIES,
  TOLD_BY_COMPUTE,
  groupsOf,
  nameOf,
  queryOf,
  typesToRead,
  unlisted,
} from './cspm-parts.ts'
import {
  ASSETS_PATH,
  ASSET_TYPES,
  type AssetType,
  hasCves,
  listCves,
  listWeakAssets,
  someCve,
  tryWeakAssets,
} from './cspm-searches.ts'
import { type CspmSource, isEnabled, isRefusal } from './cspm-source.ts'

/** A part is made for so many rows, as assets have a CVE in several packages. */
const FILL_SHARE = 0.5
const PARTS_MAX = 20_000
const DRIFT_SHARE_MAX = 0.01
const PROBLEMS_MAX = 20

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
    let types: readonly AssetType[] = ASSET_TYPES
    await ask(null, async () => {
      types = await typesToRead(client)
      const [first] = types
      if (first !== undefined) await tryDownload(client, wholeOf(first))
    })
    // These two are asked where a download is cut or empty.
    const found = await ask('search', () => someWeakness(client, types))
    if (found === undefined || found === null) return
    const { type, cveId } = found
    await ask('assets of a CVE', () => tryWeakAssets(client, wholeOf(type), cveId, type))
  },
}

/** Everything of a type. */
const wholeOf = (type: AssetType): string => queryOf({ type, severity: null, cves: null })

/** A CVE of the first of these types that has one; null where none has. */
async function someWeakness(
  client: PrismaCloudClient,
  types: readonly AssetType[],
): Promise<{ readonly type: AssetType; readonly cveId: string } | null> {
  for (const type of types) {
    const cveId = await someCve(client, wholeOf(type))
    if (cveId !== null) return { type, cveId }
  }
  return null
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
    const types = await typesToRead(this.#client)
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

const tooManyParts = (): PipelineError =>
  new PipelineError('INTERNAL', 'FETCH', `more than ${PARTS_MAX} downloads in one run`)
