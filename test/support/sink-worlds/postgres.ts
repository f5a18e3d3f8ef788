// PostgreSQL for the suite over all sinks: a database of its own behind a door that can be closed.
import { onTestFinished } from 'vitest'
import { createPostgresSink } from '../../../sinks/postgres/sink.ts'
import { openDoor } from '../../chaos/door.ts'
import { secretFile, testDatabase, testLog } from '../postgres.ts'
import type { HeldEntity, Row, SinkWorlds } from './sink-world.ts'

const SCHEMA = 'exposure'
const HELD = `
  SELECT 'asset' AS kind, asset_uid AS uid, revision::float8, status FROM ${SCHEMA}.asset
  UNION ALL
  SELECT 'finding', finding_uid, revision::float8, status FROM ${SCHEMA}.finding`

export const postgresWorlds: SinkWorlds = {
  refused: { title: 'a\u0000b' },
  async open() {
    const database = await testDatabase()
    const address = new URL(database.url)
    const door = await openDoor(address.hostname, Number(address.port))
    onTestFinished(() => door.end())
    const url = new URL(database.url)
    url.host = door.address
    const config = { url: secretFile(url.href), schema: SCHEMA, poolMax: 2 }
    return {
      sink: (groupOf) => createPostgresSink(config, { groupOf, log: testLog }),
      held: async () => (await database.query(HELD)) as HeldEntity[],
      async seen() {
        // As JSON: the client would make dates of times, which hold fewer years and digits.
        const of = (table: string) =>
          `SELECT ${table}_uid AS uid, to_jsonb(t) AS row FROM ${SCHEMA}.${table} AS t`
        const rows = await database.query(`${of('asset')} UNION ALL ${of('finding')}`)
        return new Map(rows.map(({ uid, row }) => [String(uid), row as Row]))
      },
      goAway: () => door.close(),
      comeBack: () => door.open(),
      empty: async () => void (await database.query(`DROP SCHEMA ${SCHEMA} CASCADE`)),
    }
  },
}
