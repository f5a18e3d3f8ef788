// How many rows the tables hold: for reports and tests.
import { resolveSecret } from '../../runtime/environment.ts'
import type { Logger } from '../../runtime/log.ts'
import type { PostgresConfig } from './config.ts'
import { WRITE_LIMITS, openDatabase } from './database.ts'

/** Rows per table or view. */
export type PostgresCounts = {
  readonly assets: number
  readonly findings: number
  /** Findings with status OPEN or REOPENED. */
  readonly openFindings: number
  readonly vulnerabilities: number
  readonly connectorErrors: number
  readonly openConnectorErrors: number
  readonly runs: number
}

const OPEN = `WHERE status IN ('OPEN', 'REOPENED')`

/** Counts in one snapshot. @throws PipelineError when the store is away or has no tables yet */
export async function postgresCounts(
  config: Pick<PostgresConfig, 'url' | 'schema'>,
  log: Logger,
): Promise<PostgresCounts> {
  const url = () => resolveSecret(config.url)
  const database = openDatabase({ url, poolMax: 1, limits: WRITE_LIMITS, log })
  const of = (table: string, where = '') =>
    `(SELECT count(*) FROM "${config.schema}".${table} ${where})::int`
  try {
    return await database.transaction('counting rows in PostgreSQL', async (query) => {
      const { rows } = await query(
        `SELECT ${of('asset')} AS "assets", ${of('finding')} AS "findings",
           ${of('finding', OPEN)} AS "openFindings", ${of('vulnerability')} AS "vulnerabilities",
           ${of('connector_error')} AS "connectorErrors",
           ${of('open_connector_error')} AS "openConnectorErrors", ${of('run')} AS "runs"`,
      )
      return rows[0] as PostgresCounts
    })
  } finally {
    await database.close()
  }
}
