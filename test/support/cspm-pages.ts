// A vendor of CSPM that answers as a test says, over real HTTP.
import { connectPrisma } from './connect.ts'
import { type Received, reply, serve } from './http-server.ts'

const KEY = { accessKeyId: 'ak-1', secretKey: 'sk-1' } as const
export const AWS_ONLY = { configApis: ['aws-ec2-describe-instances'] }
export type Item = { readonly assetId?: string; readonly deleted?: boolean; readonly pad?: string }
type Page = { readonly [name: string]: unknown }
export type Answer = (body: Record<string, unknown>, call: Received, n: number) => Page | number

/** CSPM on one server; a number is a status. */
export async function cspmVendor(answer: Answer, settings: Record<string, unknown> = AWS_ONLY) {
  const calls: Received[] = []
  const server = await serve((request, response) => {
    if (request.url === '/login') return reply(response, 200, { token: 't-1' })
    calls.push(request)
    const given = JSON.parse(request.body) as Record<string, unknown>
    const page = answer(given, request, calls.length)
    return typeof page === 'number' ? reply(response, page, {}) : reply(response, 200, page)
  })
  return { ...connectPrisma({ url: server.url, ...KEY }, settings), calls }
}

export const items = (count: number, from = 0): Item[] =>
  Array.from({ length: count }, (_, n) => ({ assetId: `a-${String(from + n).padStart(4, '0')}` }))

/** Pages of 10 by the token `p<offset>`, as a well-behaved vendor gives them. */
export const paged =
  (rows: readonly Item[], last: object = {}): Answer =>
  ({ pageToken }) => {
    const from = Number(/^p(\d+)$/.exec(String(pageToken))?.[1] ?? 0)
    const more = from + 10 < rows.length ? { nextPageToken: `p${from + 10}` } : last
    return { totalRows: rows.length, items: rows.slice(from, from + 10), ...more }
  }
