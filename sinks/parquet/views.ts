// The SQL by which readers see the lake: the log of each table, and its current state.
import { TABLES } from './tables.ts'

/** Where the lake keeps them for its readers, from its root. */
export const VIEWS_FILE = 'views.sql'

/** Tables in which an entity has one current row. */
const STATES = new Set([TABLES.asset.name, TABLES.finding.name, TABLES.vulnerability.name])

/** Statements for DuckDB; `root` is the folder as the reader names it. */
export function lakeViews(root: string): string {
  const folder = root.replaceAll("'", "''")
  const logs = Object.values(TABLES).map(
    ({ name }) => `CREATE OR REPLACE VIEW ${name}_log AS
SELECT * FROM read_parquet('${folder}/${name}/*/*/*.parquet',
  hive_partitioning = true, hive_types_autocast = false, union_by_name = true);`,
  )
  const states = [...STATES].map(
    (name) => `CREATE OR REPLACE VIEW ${name} AS
WITH log AS (
  SELECT *, max(kafka_offset) FILTER (WHERE deleted)
    OVER (PARTITION BY uid, kafka_topic, kafka_partition) AS deleted_offset
  FROM ${name}_log)
SELECT * EXCLUDE (deleted, deleted_offset) FROM log
WHERE NOT deleted AND kafka_offset > coalesce(deleted_offset, -1)
QUALIFY row_number() OVER (PARTITION BY uid ORDER BY revision DESC, kafka_offset) = 1;`,
  )
  return [...logs, ...states].join('\n\n')
}
