// CSPM's configuration search: the first page by query, the next ones by token.
import { z } from 'zod'
import type { Answer } from '../delivery.ts'
import {
  type Row,
  ROWS_HERE,
  jsonAround,
  pageRows,
  rowOf,
  shownRows,
  withoutField,
} from '../rows.ts'
import type { Call } from '../site.ts'
import type { World } from '../world.ts'
import { redlock } from './answers.ts'
import type { CspmBehaviour } from './cspm-behaviour.ts'
import { API_NAMES, type ApiName, configRows } from './cspm-items.ts'
import { parsed } from './cspm.ts'

const searchBody = z.looseObject({
  query: z.string(),
  limit: z.int().min(1).optional(),
  withResourceJson: z.boolean().optional(),
  nextPageToken: z.string().nullish(),
})
const pageBody = z.looseObject({
  pageToken: z.string(),
  limit: z.int().min(1).optional(),
  withResourceJson: z.boolean().optional(),
})
const token = z.tuple([z.enum(API_NAMES), z.int().min(0)])
const QUERY = /^config from cloud\.resource where api\.name = '([a-z0-9-]+)'$/

type Page = { apiName: ApiName; offset: number; limit: number; withJson: boolean }

export function searchConfig(world: World, behaviour: CspmBehaviour, call: Call): Answer {
  const body = searchBody.safeParse(parsed(call.body))
  if (!body.success) return redlock(400, 'bad_request')
  const { query, limit = behaviour.configRowsMax, withResourceJson, nextPageToken } = body.data
  // Its specification can be read as if the token might come here, too.
  const at = nextPageToken ? tokenOf(nextPageToken) : null
  const name = API_NAMES.find((known) => known === QUERY.exec(query)?.[1])
  if (name === undefined || behaviour.unknownApis.includes(name)) {
    return redlock(400, 'invalid_parameter_value', 'api.name')
  }
  const page = { apiName: name, offset: at?.[1] ?? 0, limit, withJson: withResourceJson === true }
  return answerPage(world, behaviour, call, page)
}

export function searchPage(world: World, behaviour: CspmBehaviour, call: Call): Answer {
  const body = pageBody.safeParse(parsed(call.body))
  const at = body.success ? tokenOf(body.data.pageToken) : null
  if (!body.success || at === null) return redlock(400, 'bad_request', 'pageToken')
  const { limit = behaviour.configRowsMax, withResourceJson = true } = body.data
  const [apiName, offset] = at
  return answerPage(world, behaviour, call, { apiName, offset, limit, withJson: withResourceJson })
}

function answerPage(world: World, behaviour: CspmBehaviour, call: Call, page: Page): Answer {
  const all = rowsOf(world, page.apiName)
  const shown = shownRows(all, call.fault)
  const end = page.offset + Math.min(page.limit, behaviour.configRowsMax)
  const rows = pageRows(shown.rows.slice(page.offset, end), call.fault)
  const value = {
    totalRows: shown.declared,
    items: ROWS_HERE,
    id: 'simulated-search',
    dynamicColumns: [],
    ...nextToken(page, end, shown.rows.length, behaviour),
  }
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround(
      value,
      rows.map((row) => (page.withJson ? row : withoutData(row))),
    ),
  }
}

/** Rows of a file are those of the first name. */
function rowsOf(world: World, apiName: ApiName): readonly Row[] {
  const fromFile = world.files.get('cspm.config')
  if (fromFile === undefined) return configRows(world.estate(), apiName)
  return apiName === API_NAMES[0] ? fromFile : []
}

const withoutData = (row: Row): Row => rowOf(row.id, () => withoutField(row.value(), 'data'))

function nextToken(
  page: Page,
  end: number,
  count: number,
  { lastToken, tokenBytesMin }: CspmBehaviour,
): { nextPageToken?: string | null } {
  const tokenAt = (offset: number) => encode([page.apiName, offset], tokenBytesMin)
  const next = { nextPageToken: tokenAt(end) }
  if (end < count) return next
  switch (lastToken) {
    case 'absent':
      return {}
    case 'empty':
      return { nextPageToken: '' }
    case 'null':
      return { nextPageToken: null }
    case 'repeated':
      return { nextPageToken: tokenAt(page.offset) }
    case 'one-more':
      return page.offset < count ? next : {}
  }
}

const encode = (value: z.infer<typeof token>, bytesMin: number): string =>
  Buffer.from(JSON.stringify(value).padEnd(bytesMin)).toString('base64url')

function tokenOf(text: string): z.infer<typeof token> | null {
  return token.safeParse(parsed(Buffer.from(text, 'base64url'))).data ?? null
}
