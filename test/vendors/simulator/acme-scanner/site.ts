// The simulated Acme Scanner: one listing by offset behind a token, over real HTTP.
import { type Answer, html, json, text } from '../../../../simulator/delivery.ts'
import type { StatusAnswer } from '../../../../simulator/faults.ts'
import {
  ROWS_HERE,
  type Value,
  jsonAround,
  pageRows,
  rowOf,
  shownRows,
} from '../../../../simulator/rows.ts'
import type { Call, Endpoint, Site } from '../../../../simulator/site.ts'

export type ScannerOptions = {
  readonly token: string
  readonly tenant: string
  /** What the account holds now; a test may change it between two runs. */
  readonly hosts: () => readonly Value[]
}

const REFUSALS: Partial<Record<StatusAnswer, readonly [status: number, code: string]>> = {
  unauthorized: [401, 'no_such_token'],
  forbidden: [403, 'not_your_hosts'],
  'not-found': [404, 'no_such_path'],
  'too-many-requests': [429, 'slow_down'],
}

/** The site of one account. */
export function createScannerSite(options: ScannerOptions): Site {
  const hosts: Endpoint = {
    name: 'scanner.hosts',
    shows: new Set(['empty', 'missing-rows', 'drop-field'] as const),
    answer: (call) => hostsPage(options, call),
  }
  const unknown: Endpoint = {
    name: 'unknown',
    shows: new Set(),
    answer: () => refusal('not-found'),
  }
  return {
    vendor: 'acme-scanner',
    tenant: options.tenant,
    find: (method, path) => (`${method} ${path}` === 'GET /v2/hosts' ? hosts : unknown),
    statusAnswer: refusal,
    // A token is good until it is taken back.
    expireTokens: () => {},
  }
}

function refusal(answer: StatusAnswer): Answer {
  const [status, code] = REFUSALS[answer] ?? []
  if (status !== undefined) return json(status, { code, message: `refused: ${code}` })
  return answer === 'unavailable' ? text(503, '') : html(502, 'Bad Gateway')
}

function hostsPage({ token, hosts }: ScannerOptions, call: Call): Answer {
  if (call.headers['x-acme-token'] !== token) return refusal('unauthorized')
  const [from, size] = [Number(call.query.get('from')), Number(call.query.get('size'))]
  const rows = hosts().map((host) => rowOf(String(host['hostId']), () => host))
  const shown = shownRows(rows, call.fault)
  const page = pageRows(shown.rows.slice(from, from + size), call.fault)
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: jsonAround({ total: shown.declared, hosts: ROWS_HERE }, page),
  }
}
